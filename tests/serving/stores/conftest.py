"""Archives of several versions, a server that serves one of them, and what a store may not be left with."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lexport.export.archive.pack import archive
from lexport.export.archive.trust.keys import PublicKey, read_public
from lexport.serving import Server, serve, stop
from lexport.serving.stores.adding import add
from lexport.serving.stores.history import FILE
from lexport.serving.torchserve.http import request

from ...conftest import Once
from ...trust_cases import key_pair

Pack = Callable[..., Path]
Fill = Callable[..., Path]


@pytest.fixture(scope="session")
def pack(run_folder: Path, once: Once) -> Pack:
    """The archive of a version, packed once: of `name`, in `profile` (another gives other bytes), by `sign`."""

    def make(version: str, *, name: str = "topics", profile: str = "throughput", sign: Path | None = None) -> Path:
        def fill(folder: Path) -> None:
            archive(
                run_folder,
                version=version,
                name=name,
                variant="onnx-int8",
                out=folder,
                profile=profile,
                sign=sign,
            )

        made = f"pack-{name}_{version}_{profile}-{'unsigned' if sign is None else sign.stem}"
        return once(made, fill) / f"{name}-{version}.mar"

    return make


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PublicKey]:
    """A private key's file, and the public key."""
    private, public = key_pair(tmp_path_factory.mktemp("keys"), "ours", 1)
    return private, read_public(public)


@pytest.fixture
def store(tmp_path: Path, pack: Pack) -> Fill:
    """A store in `tmp_path / "store"` with versions of the model topics."""

    def fill(*versions: str) -> Path:
        add([pack(version) for version in versions], store=tmp_path / "store")
        return tmp_path / "store"

    return fill


@pytest.fixture(scope="module")
def server(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of topics 1.0, with 1.1 beside it for requests that name this version."""
    base = tmp_path_factory.mktemp("served")
    (base / "own.properties").write_text("enable_model_api=true\n")
    server = serve(
        [pack("1.0")],
        engine="embedded",
        workers="cpu:1",
        port=0,
        state_dir=base / "state",
        config=base / "own.properties",
    )
    shutil.copy(pack("1.1"), server.state_dir / "store")
    url = server.management_url
    status, _ = request("POST", url, "/models?url=topics-1.1.mar", token=server.token("management"), body=b"")
    assert status == 200
    yield server
    stop(server.state_dir)


@pytest.fixture
def nothing_served(tmp_path: Path) -> Path:
    """A state folder of no server, so that no other one of this user counts."""
    return tmp_path / "no-state"


def names(store: Path) -> list[str]:
    """What lies in a store besides its history."""
    return sorted(path.name for path in store.iterdir() if path.name != FILE)
