"""One request to a served model and its answer, without any transport.

`Exchange.ask` is a generator: it yields a request to send or a pause to make, receives the response or the
transport's error, and returns the answer. `Client` and `AsyncClient` drive the same generator.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import httpx

from ..serving.torchserve import http as api
from .errors import (
    ClientError,
    ModelFailed,
    NoServer,
    QueueFull,
    RefusedInput,
    TimedOut,
    Unauthorised,
    UnknownModel,
    WorkerLost,
)
from .tokens import Keys

# The pause before the first retry, in seconds; it doubles for each further one, and half of it is random.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
# A request that ends one worker may end the next one too: it is sent again only once.
AFTER_A_LOSS = 1


@dataclass(frozen=True)
class Sending:
    """A POST request to send; the answer must arrive within `timeout` seconds."""

    path: str
    headers: dict[str, str]
    body: bytes
    timeout: float


@dataclass(frozen=True)
class Pausing:
    """A pause to make, in seconds."""

    seconds: float


Steps = Generator[Sending | Pausing, httpx.Response | None, Any]


def pause_before(repetition: int, draw: Callable[[], float] = random.random) -> float:
    """Return the seconds before retry 1, 2, …: twice as long each time, up to LONGEST_PAUSE, half of it random.

    The random half spreads clients that failed at the same time.
    """
    whole = min(FIRST_PAUSE * 2.0 ** (repetition - 1), LONGEST_PAUSE)
    return float(whole * (0.5 + 0.5 * draw()))


class Exchange:
    """One server with its `url`, its keys, the number of retries and the timeout."""

    def __init__(self, url: str, keys: Keys, *, retries: int, timeout: float) -> None:
        """Keep the options; `timeout`, in seconds, includes all retries."""
        self.url = url
        self._keys = keys
        self._retries = retries
        self._timeout = timeout

    def ask(self, name: str, path: str, question: dict[str, Any] | str) -> Steps:
        """Send a JSON body, or a text as it is. Return the answer's JSON value, or its text if it is not JSON.

        The request is sent again if the queue is full (not before the answer's `Retry-After`), if the connection
        breaks or is refused, and once if the worker was lost. A prediction changes nothing, so sending it twice is
        safe. A request that timed out is not sent again, because the server still works on it. Raises a ClientError.
        """
        is_text = isinstance(question, str)
        body = question.encode("utf-8", "replace") if isinstance(question, str) else json.dumps(question).encode()
        deadline = time.monotonic() + self._timeout
        repetition = losses = 0
        refused: str | None = None
        while True:
            token = self._keys.token()
            try:
                response = yield Sending(
                    path, _headers(token, is_text=is_text), body, max(deadline - time.monotonic(), 0.001)
                )
                assert response is not None
                return _read(response, name, self.url)
            except httpx.HTTPError as error:
                problem = _broken(error, self.url, self._timeout)
            except ClientError as error:
                problem = error
            if isinstance(problem, Unauthorised):
                # The key file may have changed between its reading and the server's.
                if token is None or refused == token or self._keys.token() == token:
                    raise problem
                refused = token
                continue
            repetition += 1
            losses += isinstance(problem, WorkerLost)
            pause = pause_before(repetition)
            if isinstance(problem, QueueFull):
                pause = max(pause, problem.retry_after or 0.0)
            if (
                not isinstance(problem, (QueueFull, NoServer, WorkerLost))
                or repetition > self._retries
                or losses > AFTER_A_LOSS
                or time.monotonic() + pause >= deadline
            ):
                raise problem
            yield Pausing(pause)


def _headers(token: str | None, *, is_text: bool) -> dict[str, str]:
    headers = {"Content-Type": "text/plain; charset=utf-8" if is_text else "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _broken(error: httpx.HTTPError, url: str, timeout: float) -> ClientError:
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(
            f"{url} did not answer within {timeout:g} s.",
            "Give it longer (timeout=…, --timeout) or send less at once.",
        )
    if isinstance(error, httpx.ConnectError):
        return NoServer(f"No server listens at {url}.", "Start one with: lexport serve NAME-1.0.mar")
    reason = str(error) or type(error).__name__
    return NoServer(f"The request to {url} failed: {reason}.", "Look with: lexport status")


def _read(response: httpx.Response, name: str, url: str) -> Any:
    """Return the answer's JSON, or its text if it is not JSON. Raises a ClientError for a status other than 2xx."""
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
        answer = response.text
    if response.is_success:
        return answer
    problem = _refused(response.status_code, answer, name, url)
    if isinstance(problem, QueueFull):
        problem.retry_after = _seconds(response.headers.get("Retry-After", ""))
    raise problem


def _seconds(value: str) -> float | None:
    """Return the seconds of a `Retry-After` header; None if it is missing or has another form."""
    return float(value) if re.fullmatch("[0-9]{1,6}", value) else None


def _refused(status: int, answer: Any, name: str, url: str) -> ClientError:
    reason = api.message(answer)
    details = answer if isinstance(answer, dict) else {}
    if details.get("type") == "InvalidKeyException" or status in (401, 403):
        return Unauthorised(
            f"{url} refused the request as unauthorised: the token is missing, wrong or expired.",
            "Expected that of its key file: token_file=… or --token-file STATE_DIR/key_file.json",
            status,
        )
    if status == 404 and re.search("not found|does not exist", reason, re.IGNORECASE):
        return UnknownModel(f"{url} does not serve {name}: {reason}.", "lexport status shows what it serves.", status)
    if status == 503 and "prediction failed" in reason.lower():
        return ModelFailed(
            f"The handler of {name} failed for this request (503): {reason}.",
            "It may expect another body; look into the server's logs: lexport status",
            status,
        )
    if status in (429, 503):
        # TorchServe has one message for a full queue and for a model without workers; other answers name the reason.
        why = reason if "error" in details else "its queue is full, or it has no worker that runs."
        return QueueFull(
            f"{name} has no room for the request ({status}): {why}",
            "Ask again a little later and send less at once, or serve it with more workers. lexport status shows how "
            "many requests wait and which workers run.",
            status,
        )
    if status == 413 and "error" not in details:
        return RefusedInput(
            "The request is longer than the server takes (413).", "Send fewer texts or images at once.", status
        )
    if 400 <= status < 500:
        remedy = (
            f"Expected: {details['expected']}" if "expected" in details else "Change what it names and send it again."
        )
        refused = RefusedInput(
            f"{name} refused the request ({status}): {details.get('error') or reason}", remedy, status
        )
        if re.fullmatch("LX-[A-Z]+-[0-9]{3}", str(details.get("code"))):
            refused.code = details["code"]
        positions = details.get("positions", ())
        refused.positions = tuple(positions) if isinstance(positions, list) else ()
        return refused
    if "worker died" in reason.lower():
        return WorkerLost(
            f"The worker of {name} was lost while it had the request ({status}): {reason}",
            "TorchServe starts another; look into the server's logs: lexport status",
            status,
        )
    return ModelFailed(f"{name} failed ({status}): {reason}.", "Look into the server's logs: lexport status", status)
