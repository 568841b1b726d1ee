"""A server of the embedded engine with both gRPC addresses."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lexport.serving import Server, serve, stop


@dataclass(frozen=True)
class Served:
    """A server, and its gRPC addresses."""

    server: Server
    inference: str
    management: str

    def headers(self, kind: str = "inference") -> dict[str, str]:
        """What bears a token."""
        return {"authorization": f"Bearer {self.server.token(kind)}"}


def free_ports() -> list[int]:
    """Two ports that are free now."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return [one.getsockname()[1], other.getsockname()[1]]


@pytest.fixture(scope="package")
def served(
    archive_of: Callable[[str], Path],
    task_archive: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """Two models; the model API is on."""
    folder = tmp_path_factory.mktemp("grpc")
    inference, management = free_ports()
    settings = folder / "own.properties"
    settings.write_text(
        f"grpc_inference_port={inference}\ngrpc_management_port={management}\nenable_model_api=true\n"
    )
    archives = [archive_of("onnx-int8"), task_archive("vector")]
    server = serve(
        archives, engine="embedded", workers="cpu:1", port=0, state_dir=folder / "s", config=settings, trust_code=True
    )
    yield Served(server, f"127.0.0.1:{inference}", f"127.0.0.1:{management}")
    stop(server.state_dir)
