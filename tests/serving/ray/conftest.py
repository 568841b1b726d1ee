"""Ray clusters of several nodes on this machine, and clients that count what becomes of their requests."""

from __future__ import annotations

import http.client
import json
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from lexport.export.archive.pack import archive
from lexport.serving.ray.environment import LOOPBACK, discard, free_ports, of_one_machine

BODY = json.dumps({"text": "goal rain"}).encode()
PATIENCE = 20.0
NODE: dict[str, Any] = {"include_dashboard": False, "include_log_monitor": False, "node_ip_address": LOOPBACK}


class Load:
    """Clients that ask one after the other over connections that stay open, each as soon as it has its answer."""

    def __init__(self, url: str, path: str, clients: int = 8, pause: float = 0.0, token: str = "") -> None:
        self._address = urlsplit(url)
        self._path = path
        self._pause = pause
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()
        """Answers by status, and connection errors by name."""
        self.versions: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE + 5)
            assert not thread.is_alive(), "a request has neither an answer nor an error"

    def _ask_on(self) -> None:
        connection = self._connection()
        while not self._stop.is_set():
            try:
                connection.request("POST", self._path, BODY, self._headers)
                response = connection.getresponse()
                content = response.read()
                outcome = str(response.status)
                if response.status == 200:
                    assert json.loads(content)["label"]
                version = response.headers.get("lexport-version", "")
            except (OSError, http.client.HTTPException) as error:
                outcome, version = type(error).__name__, ""
                connection.close()  # the next request opens it again
            with self._lock:
                self.outcomes[outcome] += 1
                self.versions[version] += 1
            time.sleep(self._pause)
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address.hostname or "", self._address.port, PATIENCE)


def ask(url: str, path: str, body: bytes = BODY, **headers: str) -> tuple[int, dict[str, str], bytes]:
    address = urlsplit(url)
    with closing(http.client.HTTPConnection(address.hostname or "", address.port, PATIENCE)) as connection:
        connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
    return found


def add_node(cluster: Any, **options: Any) -> None:
    """Start a node, again where its raylet gives up: it waits 15 s for processes of its own, on any machine."""
    for left in reversed(range(6)):
        try:
            cluster.add_node(**NODE, **options)
            return
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise


@contextmanager
def machines(head: int = 4, worker: int = 4, **variables: str) -> Iterator[Any]:
    """A cluster of a head and a worker node with so many processors; `ray.cluster_utils.Cluster`."""
    folder = Path(tempfile.mkdtemp(prefix="lx", dir="/tmp"))
    before = dict(os.environ)
    # The head's address is written to Ray's usual folder, which a machine that had no cluster yet does not have.
    own = {"LEXPORT_RAY_CACHE": str(folder / "cache"), "RAY_TMPDIR": str(folder)}
    os.environ.update({**of_one_machine(folder), **own, **variables})
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[4]), before.get("PYTHONPATH")])
    )
    from ray.cluster_utils import Cluster as Machines

    found = Machines()
    try:
        add_node(found, num_cpus=head, no_monitor=True, temp_dir=str(folder / "ray"))
        if worker:
            add_node(found, num_cpus=worker)
        yield found
    finally:
        found.shutdown()  # type: ignore[no-untyped-call]
        os.environ.clear()
        os.environ.update(before)
        discard(folder)


@pytest.fixture(scope="module")
def port() -> int:
    [found] = free_ports(1)
    return found


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A head and a worker."""
    with machines() as found:
        yield found


@pytest.fixture(scope="module")
def paths(
    archive_of: Callable[[str], Path], run_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Versions 1.0 and 2.0 of `topics`."""
    folder = tmp_path_factory.mktemp("second")
    archive(run_folder, version="2.0", variant="onnx-fp32", out=folder)
    return [archive_of("onnx-int8"), folder / "topics-2.0.mar"]
