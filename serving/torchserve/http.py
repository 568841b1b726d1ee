"""TorchServe's HTTP interface."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import httpx

from ...errors import InputError, SystemProblem


def request(
    method: str, url: str, path: str, *, token: str, body: bytes | None = None, timeout: float = 10.0
) -> tuple[int, Any]:
    """Send one request to the server at `url`. Return the status and the answer, parsed if it is JSON, else as text.

    Raises TimeoutError if nothing comes for `timeout` seconds, another OSError if the server cannot be reached or
    closes the connection.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        # The address is http and of this server: no proxy of the environment, no certificates to load.
        with httpx.Client(timeout=timeout, trust_env=False, verify=False) as client:
            response = client.request(method, url + path, content=body, headers=headers)
    except httpx.TimeoutException as error:
        raise TimeoutError(str(error) or "timed out") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConnectionError(str(error) or type(error).__name__) from error
    try:
        return response.status_code, json.loads(response.content)
    except (ValueError, RecursionError):
        return response.status_code, response.content.decode("utf-8", "replace")


def is_healthy(url: str, token: str) -> bool:
    """Return whether `/ping` at the inference address answers that all workers run."""
    try:
        status, answer = request("GET", url, "/ping", token=token)
    except OSError:
        return False
    return status == 200 and isinstance(answer, dict) and answer.get("status") == "Healthy"


def describe(url: str, token: str, *, timeout: float = 10.0) -> list[dict[str, Any]]:
    """Return every version of every model at the management address, as TorchServe describes it.

    Each also has `default`: whether a request that names no version goes to it.

    `timeout` in seconds, for each of several requests. Raises SystemProblem if the server cannot be reached or
    refuses.
    """
    descriptions: list[dict[str, Any]] = []
    page = "/models?limit=100"
    while page:
        listing = _get(url, page, token, timeout)
        for model in listing["models"]:
            descriptions += _describe_model(url, f"/models/{model['modelName']}", token, timeout)
        following = listing.get("nextPageToken")
        page = f"/models?limit=100&next_page_token={following}" if following else ""
    return descriptions


def _describe_model(url: str, path: str, token: str, timeout: float) -> list[dict[str, Any]]:
    """Return all versions of one model; without a version in its path TorchServe describes the default."""
    versions: list[dict[str, Any]] = _get(url, f"{path}/all", token, timeout)
    default = versions[0] if len(versions) == 1 else _get(url, path, token, timeout)[0]
    return [{**one, "default": one["modelVersion"] == default["modelVersion"]} for one in versions]


def _get(url: str, path: str, token: str, timeout: float) -> Any:
    try:
        status, answer = request("GET", url, path, token=token, timeout=timeout)
    except OSError as error:
        raise SystemProblem(
            f"The server at {url} does not answer ({error}). Look with: lexport status", code="LX-SERVE-041"
        ) from None
    if status != 200:
        raise SystemProblem(
            f"The server at {url} answered {path} with {status}: {message(answer)}", code="LX-SERVE-042"
        )
    return answer


def message(answer: Any) -> str:
    """Return the one-line reason in an error answer of TorchServe or of a handler."""
    if isinstance(answer, dict):
        reason = str(answer.get("error") or answer.get("message") or answer)
        expected = answer.get("expected")
        return " ".join(f"{reason} Expected: {expected}".split() if expected else reason.split())
    return " ".join(str(answer).split())[:300]


def base_url(host: str) -> str:
    """Return the URL of `127.0.0.1:8080` or `http://127.0.0.1:8080`. Raises InputError for anything else."""
    url = host if "://" in host else f"http://{host}"
    try:
        parts = urlsplit(url)
        wrong = parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/")
        port = parts.port or 8080
    except ValueError:
        wrong, port = True, 0
    if wrong:
        raise InputError(
            f"--host {host!r} is not understood. Expected HOST:PORT, for example 127.0.0.1:8080.", code="LX-SERVE-043"
        )
    name = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"http://{name}:{port}"
