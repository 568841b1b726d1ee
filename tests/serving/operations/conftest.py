"""Versions of one model, and a server of each engine that tests change."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from lexport.errors import LexportError
from lexport.export.archive.pack import archive
from lexport.serving import Server, running, serve, stop
from lexport.serving.operations import deploy, promote, scale, undeploy
from lexport.serving.operations.locking import changing

from ...conftest import Once

VERSIONS = ("1.0", "2.0", "3.0")


@pytest.fixture(scope="session")
def version_of(run_folder: Path, once: Once) -> Callable[[str], Path]:
    """The archive of a version of the model `topics`, packed once."""

    def pack(version: str) -> Path:
        def fill(folder: Path) -> None:
            archive(run_folder, version=version, variant="onnx-fp32", out=folder)

        return once(f"version-{version}", fill) / f"topics-{version}.mar"

    return pack


@pytest.fixture(scope="module", params=["embedded", "torchserve"])
def shared(
    request: pytest.FixtureRequest, version_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The state folder of a running server of one engine with one worker of version 1.0."""
    folder = tmp_path_factory.mktemp(request.param) / "s"
    serve([version_of("1.0")], engine=request.param, workers="cpu:1", port=0, state_dir=folder)
    yield folder
    stop(folder)


@pytest.fixture
def folder(shared: Path, version_of: Callable[[str], Path]) -> Iterator[Path]:
    """The same server, which serves version 1.0 alone again afterwards."""
    yield shared
    with changing(shared) as change:
        others = [one for one in change.record.versions if one.version != "1.0"]
        first = change.record.of("topics").get("1.0")
    if first is None:
        deploy(version_of("1.0"), state_dir=shared)
    promote("topics", "1.0", state_dir=shared)
    for one in others:
        undeploy(one.name, one.version, state_dir=shared)
    if first is not None and first.workers != 1:
        scale("topics", 1, state_dir=shared)


class Load:
    """Clients that ask without a pause, and what they were answered."""

    def __init__(self, server: Server, clients: int, path: str) -> None:
        """Ask `path` with one text, over as many connections as clients."""
        self.statuses: Counter[int | str] = Counter()
        self.versions: Counter[str] = Counter()
        self._server, self._path = server, path
        self._ending, self._answered = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self._answered.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        headers = {"Authorization": f"Bearer {self._server.token()}", "Content-Type": "text/plain"}
        with httpx.Client(
            base_url=self._server.inference_url, headers=headers, timeout=60, trust_env=False
        ) as client:
            while not self._ending.is_set():
                status: int | str
                try:
                    found = client.post(self._path, content="sun and rain today")
                    status, version = found.status_code, found.headers.get("lexport-version", "")
                except httpx.HTTPError as error:
                    status, version = type(error).__name__, ""
                with self._lock:
                    self.statuses[status] += 1
                    self.versions[version] += 1
                self._answered.set()


def answered_by(folder: Path) -> str:
    """Return the version that answers where none is named."""
    server = running(folder)
    headers = {"Authorization": f"Bearer {server.token()}", "Content-Type": "text/plain"}
    url = f"{server.inference_url}/predictions/topics"
    found = httpx.post(url, content="sun", headers=headers, timeout=60, trust_env=False)
    assert found.status_code == 200, found.text
    return found.headers["lexport-version"]


def outcome(operation: Callable[[], object]) -> str:
    """Return "done", or the code of the error that an operation ended with."""
    try:
        operation()
    except LexportError as error:
        return error.code
    return "done"
