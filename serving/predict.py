"""Asking a served model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import InputError, LexportError, SystemProblem
from . import api, state
from .torchserve import running


def predict(
    name: str,
    texts: Sequence[str] = (),
    *,
    lang: str | Sequence[str] | None = None,
    images: Sequence[Sequence[float]] | None = None,
    version: str | None = None,
    state_dir: Path | None = None,
    host: str | None = None,
    token_file: Path | None = None,
    timeout: float = 60.0,
) -> list[Any]:
    """The model's answers to `texts`, or to `images` of a joint model, one each, in their order.

    `lang` is the language of all texts or of each, for models that have languages. The server is the one of
    `state_dir`, or the one at `host` (`HOST:PORT` of its inference address) with the token of `token_file`.
    `timeout` in seconds. Raises InputError for texts or options that are refused, SystemProblem if the server
    cannot answer.
    """
    question, count = _question(texts, lang, images)
    if host is None:
        server = running(state_dir)
        url = server.inference_url
        token = state.read_token(token_file, "inference") if token_file else server.token()
    else:
        url = api.base_url(host)
        token = state.read_token(token_file, "inference") if token_file else ""
    path = "/predictions/" + "/".join(quote(part, safe="") for part in (name, version) if part)
    try:
        body = json.dumps(question).encode()
        status, answer = api.request("POST", url, path, token=token, body=body, timeout=timeout)
    except ConnectionRefusedError:
        raise SystemProblem(f"No server listens at {url}. Start one with: lexport serve NAME-1.0.mar") from None
    except TimeoutError:
        raise SystemProblem(
            f"{url} did not answer within {timeout:g} s. Raise --timeout or send less at once."
        ) from None
    except OSError as error:
        raise SystemProblem(f"The request to {url} failed: {error}. Look with: lexport status") from None
    if status != 200:
        raise _refused(name, url, status, answer, state_dir if host is None else None, own=host is None)
    if not isinstance(answer, list) or len(answer) != count:
        raise SystemProblem(
            f"{name} answered {count} {next(iter(question))} with {type(answer).__name__}, not with a list of as "
            "many answers. Expected an archive made by lexport."
        )
    return answer


def _question(
    texts: Sequence[str], lang: str | Sequence[str] | None, images: Sequence[Sequence[float]] | None
) -> tuple[dict[str, Any], int]:
    """The body of the request, and how many answers it asks for."""
    if images is not None:
        if texts or lang is not None:
            raise InputError("Texts or a language were given beside images. Ask about one or the other.")
        if not len(images):
            raise InputError("No images to ask about. Give at least one.")
        return {"images": [[float(value) for value in image] for image in images]}, len(images)
    if isinstance(texts, str) or not texts:
        raise InputError('No texts to ask about. Give at least one: lexport predict NAME "a text"')
    question: dict[str, Any] = {"texts": list(texts)}
    if lang is not None:
        question["lang"] = lang if isinstance(lang, str) else list(lang)
    return question, len(texts)


def _refused(name: str, url: str, status: int, answer: Any, state_dir: Path | None, *, own: bool) -> LexportError:
    reason = api.message(answer)
    kind = answer.get("type") if isinstance(answer, dict) else None
    if kind == "InvalidKeyException" or status in (401, 403):
        return SystemProblem(
            f"{url} refused the request as unauthorised: the token is missing, wrong or expired. Expected the key "
            "file of that server: --token-file STATE_DIR/key_file.json"
        )
    if status == 404 and re.search("not found", reason, re.IGNORECASE):
        known = f" It serves: {_known(state_dir)}." if own else ""
        return InputError(f"{url} does not serve {name}: {reason}.{known}")
    if status == 503:
        return SystemProblem(
            f"{name} has no room for the request (503): its queue is full or it has no worker that runs. Try again "
            "later, or look with: lexport status"
        )
    if status == 413 and not (isinstance(answer, dict) and "error" in answer):
        return InputError("The request is longer than the server takes (413). Send fewer texts at once.")
    if 400 <= status < 500:
        return InputError(f"{name} refused the request ({status}): {reason}")
    return SystemProblem(f"{name} failed ({status}): {reason}. Look into the server's logs: lexport status")


def _known(state_dir: Path | None) -> str:
    """The models of our own server, as they are now."""
    server = running(state_dir)
    descriptions = api.describe(server.management_url, server.token("management"))
    return ", ".join(f"{one['modelName']} {one['modelVersion']}" for one in descriptions) or "nothing"
