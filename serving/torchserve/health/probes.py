"""Answer liveness and readiness probes of orchestrators and proxies, without a token.

    GET /livez     200 while the server is alive, 503 if it must be restarted
    GET /readyz    200 while each model has a worker that is ready, 503 otherwise

The supervisor answers, so a restart of TorchServe by the supervisor does not fail the liveness probe. Answers name no
model.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ....errors import SystemProblem
from ...state import Server
from .. import http as api
from ..process import frontend

PATIENCE = 3.0  # seconds that TorchServe may take to answer; it needs milliseconds
STARTING = 300.0  # seconds after its start in which it need not listen yet
_CACHED_FOR = 1.0  # seconds for which an answer is repeated without a new check
_REQUEST_TIME = 2.0  # seconds that a client may take to send its request and to read the answer
_MAX_BYTES = 8192  # of a request
_MAX_CLIENTS = 32  # at once; further ones are closed
_REQUEST = re.compile(rb"(GET|HEAD) (/[!-~]*) HTTP/1\.[01]\r\n")
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 503: "Service Unavailable"}

Check = Callable[[], str]
"""Returns the reason for a failure; "" if the check passes."""


def why_dead(server: Server) -> str:
    """Return why a server with a running supervisor must be restarted; "" while it is alive.

    It is alive while TorchServe answers anything, is starting, or has ended and is being started by the supervisor.
    """
    if frontend(server) is None:
        return ""
    try:
        api.request("GET", server.inference_url, "/ping", token="", timeout=PATIENCE)
    except TimeoutError:
        return f"TorchServe runs and does not answer within {PATIENCE:g} s"
    except OSError:
        if time.time() - server.started > STARTING:
            return f"TorchServe runs and has not listened within {STARTING:g} s"
    return ""


def why_unready(server: Server) -> str:
    """Return why a model cannot answer; "" if each model has a ready worker of its default version."""
    if frontend(server) is None:
        return "TorchServe is being started again"
    try:
        api.request("GET", server.inference_url, "/ping", token="", timeout=PATIENCE)
        models = api.describe(server.management_url, server.token("management"), timeout=PATIENCE)
    except (OSError, SystemProblem):
        return "TorchServe does not answer"
    asked = [model["workers"] for model in models if model["default"]]
    idle = sum(all(worker["status"] != "READY" for worker in workers) for workers in asked)
    return f"{idle} of {len(asked)} models have no worker that is ready" if idle else ""


class HealthEndpoint:
    """A port that answers GET requests to the paths of `checks` with 200, or with 503 and the reason."""

    def __init__(self, host: str, port: int, checks: Mapping[str, Check]) -> None:
        """Listen, on threads that end with the process. Raises SystemProblem if the port cannot be opened."""
        self._checks = {path: _Remembered(check) for path, check in checks.items()}
        self._free = threading.Semaphore(_MAX_CLIENTS)
        try:
            self._listening = socket.create_server((host, port))
        except OSError as error:
            raise SystemProblem(
                f"The health port {host}:{port} cannot be opened: {error.strerror}. Choose another with --health.",
                code="LX-SERVE-067",
            ) from None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:  # the client has gone, or descriptors are short
                time.sleep(0.1)
                continue
            if self._free.acquire(blocking=False):
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()
            else:
                client.close()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, suppress(OSError):
                request = _received(client)
                if request:
                    client.sendall(self._answer(request))
                    client.shutdown(socket.SHUT_WR)
        finally:
            self._free.release()

    def _answer(self, request: bytes) -> bytes:
        match = _REQUEST.match(request)
        check = self._checks.get(match[2].decode("ascii").partition("?")[0]) if match else None
        if check is None:
            status, reason = (404, "nothing is at this path") if match else (400, "expected GET or HEAD over HTTP/1")
        else:
            reason = check()
            status = 503 if reason else 200
        body = json.dumps({"status": reason or "ok"}).encode()
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (b"" if match and match[1] == b"HEAD" else body)


class _Remembered:
    """A check that runs at most once a second, for any number of clients."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._until = 0.0
        self._reason = ""

    def __call__(self) -> str:
        with self._lock:
            if time.monotonic() >= self._until:
                self._reason = self._check()
                self._until = time.monotonic() + _CACHED_FOR
            return self._reason


def _received(client: socket.socket) -> bytes:
    """Return a request's header; what there is of it where it is too long or ends early.

    Raises OSError after a while.
    """
    deadline, data = time.monotonic() + _REQUEST_TIME, b""
    while b"\r\n\r\n" not in data and len(data) < _MAX_BYTES:
        client.settimeout(max(deadline - time.monotonic(), 0.001))
        block = client.recv(_MAX_BYTES)
        if not block:
            break
        data += block
    client.settimeout(_REQUEST_TIME)
    return data
