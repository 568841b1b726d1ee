"""A tiny server that speaks /predictions/NAME, archives of a few bytes, and Locust as a child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lexport.errors import SystemProblem
from lexport.export.archive.trust.rule import Trust
from lexport.loadtest import cells, servers
from lexport.loadtest.locust_process import Target
from lexport.loadtest.targets import Subject

LOCUSTFILE = Path(__file__).resolve().parents[2] / "loadtest" / "driver" / "locustfile.py"
GOOD = (200, b'{"label": "positive", "score": 0.9}')
Answer = Callable[[int, bytes], tuple[int, bytes] | None]
HANDLER = """
def handle(data, context):
    return [{"label": "positive", "score": 0.5} for _ in data or []]
"""


class Stub(ThreadingHTTPServer):
    """Answers every POST with `answer(number, body)`, None for hanging up, and keeps what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Answer = lambda number, body: GOOD
        self.bodies: list[bytes] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Stub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            number = len(self.server.bodies)
            self.server.bodies.append(body)
            self.server.requests.append((self.path, dict(self.headers)))
        answer = self.server.answer(number, body)
        if answer is None:
            self.close_connection = True
            return
        status, content = answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mar(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return make_archive(tmp_path / "store" / "films-1.0.mar", handler=HANDLER, variants=[{"name": "onnx-int8"}])


@pytest.fixture
def stubbed(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """The stub in TorchServe's place, on a machine without CUDA."""

    @contextmanager
    def opened(subject: Subject, engine: str, workers: str, trust: Trust, say: object) -> Iterator[Target]:
        yield Target(stub.url, subject.model, "key")

    def no_gpus() -> int:
        raise SystemProblem("none")

    monkeypatch.setattr(servers, "open_server", opened)
    monkeypatch.setattr(servers, "find_gpus", no_gpus)
    monkeypatch.setattr(cells, "SETTLE", 0.1)
    return stub


def locust(*options: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Plain Locust with the locustfile, headless."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("LOCUST_", "LEXPORT_"))}
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary", *options]
    environment = known | {"XDG_STATE_HOME": str(cwd)} | variables
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60, check=False, env=environment)


def measure(stub: Stub, folder: Path, *options: str, users: int = 1, **variables: str) -> dict[str, Any]:
    """A measured run against the stub; what the locustfile wrote."""
    result = folder / "result.json"
    run = locust(
        *("-H", stub.url, "-u", str(users), "-r", str(users), "--model", "m", "--result", str(result), *options),
        cwd=folder,
        **variables,
    )
    assert result.exists(), run.stderr
    measured: dict[str, Any] = json.loads(result.read_text())
    return measured


def make_archive(path: Path, texts: Sequence[str] = ("a good film",), handler: str = "", **evidence: Any) -> Path:
    """An archive with a manifest, goldens, evidence where given, and a handler."""
    manifest = {"model": {"modelName": "films", "modelVersion": "1.0", "handler": "handler.py"}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        archive.writestr("golden.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in texts))
        archive.writestr("handler.py", handler)
        if evidence:
            archive.writestr("MAR-INF/EVIDENCE.json", json.dumps(evidence))
    return path
