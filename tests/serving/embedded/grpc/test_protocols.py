"""The compiled protocol files are those of the sources, and their messages those of TorchServe and of Triton."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("grpc_tools", reason='no grpcio-tools: pip install "lexport[dev]"')
triton = pytest.importorskip("tritonclient.grpc.service_pb2", reason='no tritonclient: pip install "lexport[dev]"')

from google.protobuf import descriptor_pb2  # noqa: E402

from lexport.docs.generate.protocols import compiled  # noqa: E402
from lexport.serving.embedded.grpc.messages import COMPILED  # noqa: E402

Fields = dict[str, tuple[int, int, int]]

PUBLISHED = {
    "inference.proto": "torchserve_inference.proto",
    "management.proto": "torchserve_management.proto",
    "open_inference_grpc.proto": "open_inference.proto",
}


def test_the_compiled_file_is_of_the_sources() -> None:
    assert COMPILED.read_bytes() == compiled(), "run: python docs/generate"


def files(content: bytes) -> dict[str, Any]:
    return {one.name: one for one in descriptor_pb2.FileDescriptorSet.FromString(content).file}


def fields(messages: Any, above: str = "") -> dict[str, Fields]:
    """By message, number, kind of value and label of each field."""
    found = {}
    for one in messages:
        name = f"{above}{one.name}"
        found[name] = {field.name: (field.number, field.type, field.label) for field in one.field}
        found |= fields(one.nested_type, f"{name}.")
    return found


@pytest.fixture(scope="module")
def torchserves(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The files that TorchServe's jar carries."""
    folder = tmp_path_factory.mktemp("published")
    jar = Path(str(metadata.distribution("torchserve").locate_file("ts/frontend/model-server.jar")))
    with zipfile.ZipFile(jar) as packed:
        for name in PUBLISHED:
            (folder / name).write_bytes(packed.read(f"proto/{name}"))
    spec = importlib.util.find_spec("google.rpc")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    common = Path(next(iter(spec.submodule_search_locations))).parents[1]
    includes = [folder, resources.files("grpc_tools") / "_proto", common]
    made = folder / "all.binpb"
    command = [sys.executable, "-m", "grpc_tools.protoc", *(f"-I{include}" for include in includes)]
    subprocess.run([*command, f"--descriptor_set_out={made}", *PUBLISHED], check=True)
    return files(made.read_bytes())


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_torchserve_publishes_is_the_same_on_the_wire(torchserves: dict[str, Any], name: str) -> None:
    theirs, ours = torchserves[name], files(COMPILED.read_bytes())[PUBLISHED[name]]
    if name != "open_inference_grpc.proto":
        assert ours.package == theirs.package
    own = fields(ours.message_type)
    for message, published in fields(theirs.message_type).items():
        published.pop("status", None)  # of StreamPredictions2, which is not served
        assert published.items() <= own[message].items(), message
    for service, other in zip(ours.service, theirs.service, strict=True):
        assert service.name == other.name
        assert {method.name for method in other.method} - {method.name for method in service.method} <= {
            "StreamPredictions2"
        }


def test_the_messages_of_tritons_client_are_the_same_on_the_wire() -> None:
    theirs = descriptor_pb2.FileDescriptorProto()
    triton.DESCRIPTOR.CopyToProto(theirs)
    published = fields(theirs.message_type)
    own = fields(files(COMPILED.read_bytes())["open_inference.proto"].message_type)
    for message, ours in own.items():
        assert ours.items() <= published[message].items(), message
