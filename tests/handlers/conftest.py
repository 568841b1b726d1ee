"""A server with four models to attack, altered archives, and clients that say what no library would."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from lexport.export.archive.inprocess import LoadedArchive, load_archive
from lexport.export.archive.pack import archive
from lexport.serving import Server, serve, stop
from lexport.serving.engines import ENGINES

from ..trust_cases import fitted

Repack = Callable[..., Path]

# Model names and the variants they are archives of.
SERVED = {"torchscript": "torchscript-int8", "onnx": "onnx-int8", "text": "onnx-int8-text"}


@pytest.fixture(scope="session")
def repack(tmp_path_factory: pytest.TempPathFactory) -> Repack:
    """A copy of an archive with members replaced; its digests are made right again unless `stale`."""

    def repack(source: Path, changes: Mapping[str, bytes], *, stale: bool = False) -> Path:
        with zipfile.ZipFile(source) as before:
            members = {name: before.read(name) for name in before.namelist()}
        assert changes.keys() <= members.keys()
        members |= changes
        if not stale:
            members = fitted(members)
        target = tmp_path_factory.mktemp("repacked") / source.name
        with zipfile.ZipFile(target, "w") as after:
            for name, content in members.items():
                after.writestr(name, content)
        return target

    return repack


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Speaks to one server, one connection a request."""

    server: Server

    def post(
        self,
        path: str,
        body: bytes | None = None,
        content_type: str | None = None,
        *,
        method: str = "POST",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        chunked: bool = False,
    ) -> Reply:
        """`token` None sends the right one, "" none."""
        token = self.server.token() if token is None else token
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        sent |= {"Content-Type": content_type} if content_type is not None else {}
        sent |= headers or {}
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            connection.request(method, path, iter([body or b""]) if chunked else body, sent, encode_chunked=chunked)
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def json(self, path: str, value: Any) -> Reply:
        return self.post(path, json.dumps(value).encode(), "application/json")

    def raw(self, head: bytes, body: bytes = b"") -> int:
        """Send bytes as they are, with a token; the status of the answer."""
        head += b"\r\nAuthorization: Bearer " + self.server.token().encode() + b"\r\nHost: x\r\n\r\n"
        with socket.create_connection(self.address, timeout=60) as connection:
            connection.sendall(head + body)
            return int(connection.makefile("rb").readline().split()[1])

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.server.inference_url)
        assert parts.hostname
        assert parts.port
        return parts.hostname, parts.port

    def workers(self) -> list[int]:
        return sorted(child.pid for child in psutil.Process(self.server.pid).children())


@pytest.fixture(scope="session")
def archives(run_folder: Path, repack: Repack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both engines, a text-in model, and one whose batches wait twenty seconds for 32 requests."""
    store = tmp_path_factory.mktemp("store")
    made = {
        name: archive(run_folder, version="1.0", name=name, variant=variant, out=store)
        for name, variant in SERVED.items()
    }
    patient = archive(run_folder, version="1.0", name="patient", variant="onnx-fp32", out=store)
    config = b"batchSize: 32\nmaxBatchDelay: 20000\nresponseTimeout: 60\n"
    return made | {"patient": repack(patient, {"model-config.yaml": config})}


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that serves: what a model answers, and refuses, is the same on both."""
    return str(request.param)


@pytest.fixture(scope="session")
def serving_on(
    archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Client]]:
    """The server on an engine, started when it is first asked for: files take turns with the engines."""
    started: dict[str, Client] = {}

    def client_of(engine: str) -> Client:
        if engine not in started:
            folder = tmp_path_factory.mktemp("served") / "state"
            server = serve(list(archives.values()), engine=engine, workers="cpu:1", state_dir=folder, port=0)
            started[engine] = Client(server)
        return started[engine]

    yield client_of
    for client in started.values():
        stop(client.server.state_dir)


@pytest.fixture(scope="session")
def client(engine: str, serving_on: Callable[[str], Client]) -> Client:
    return serving_on(engine)


@pytest.fixture(scope="session")
def pids(client: Client) -> list[int]:
    """The worker processes the server started with: one for each model, or for all of them."""
    found = client.workers()
    assert len(found) == {"torchserve": 4, "embedded": 1}[client.server.engine]
    return found


@pytest.fixture
def unharmed(client: Client, pids: list[int]) -> Iterator[None]:
    """After the test the workers are the same processes."""
    yield
    assert client.workers() == pids


@pytest.fixture(scope="session")
def inprocess(archives: dict[str, Path]) -> Iterator[dict[str, LoadedArchive]]:
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(load_archive(archives[name])) for name in SERVED}


@pytest.fixture(params=SERVED)
def model(request: pytest.FixtureRequest) -> str:
    """The name of a served model."""
    return str(request.param)


@pytest.fixture(scope="session")
def unpacked(archive_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive as TorchServe extracts it. Tests only read it."""
    target = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(archive_of("onnx-int8")) as packed:
        packed.extractall(target)
    return target
