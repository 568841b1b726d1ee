"""TorchServe's gRPC interface on both engines, asked by stubs made from the protocol files that its jar carries."""

from __future__ import annotations

import importlib
import importlib.util
import json
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lexport.export.archive.inprocess import load_archive
from lexport.serving import Server, serve, stop

grpc = pytest.importorskip("grpc", reason='no grpcio: pip install "lexport[dev]"')
grpc_tools = pytest.importorskip("grpc_tools", reason='no grpcio-tools: pip install "lexport[dev]"')

TEXTS = ["the goal and the referee", "qqqq zzzz", "", "好 👍"]


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModuleType, ModuleType]:
    """Messages and service of `inference.proto`, made by protoc."""
    folder = tmp_path_factory.mktemp("stubs")
    jar = Path(str(metadata.distribution("torchserve").locate_file("ts/frontend/model-server.jar")))
    with zipfile.ZipFile(jar) as packed:
        (folder / "inference.proto").write_bytes(packed.read("proto/inference.proto"))
    includes = [folder, resources.files("grpc_tools") / "_proto", Path(next(iter(find("google.rpc")))).parents[1]]
    command = [sys.executable, "-m", "grpc_tools.protoc", *(f"-I{include}" for include in includes)]
    command += [f"--python_out={folder}", f"--grpc_python_out={folder}", "inference.proto"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        return importlib.import_module("inference_pb2"), importlib.import_module("inference_pb2_grpc")


def find(package: str) -> list[str]:
    """The folders of a package, without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return list(spec.submodule_search_locations)


@pytest.fixture(scope="module")
def served(
    engine: str, archive_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, int, Path]]:
    """A server whose gRPC port is known, and the archive behind it."""
    folder = tmp_path_factory.mktemp("grpc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "my.properties").write_text(f"grpc_inference_port={port}\n")
    mar = archive_of("onnx-fp32")
    settings = folder / "my.properties"
    server = serve([mar], engine=engine, workers="cpu:1", state_dir=folder / "state", port=0, config=settings)
    yield server, port, mar
    stop(folder / "state")


class Caller:
    """Asks with the server's token."""

    def __init__(self, served: tuple[Server, int, Path], stubs: tuple[ModuleType, ModuleType], channel: Any) -> None:
        self.messages, services = stubs
        self.stub = services.InferenceAPIsServiceStub(channel)
        self.metadata = (("protocol", "gRPC"), ("authorization", f"Bearer {served[0].token()}"))

    def predict(self, fields: dict[str, bytes], **options: Any) -> Any:
        request = self.messages.PredictionsRequest(model_name="topics", input=fields)
        answer = self.stub.Predictions(request, metadata=options.get("metadata", self.metadata), timeout=30)
        return json.loads(answer.prediction)


@pytest.fixture
def caller(served: tuple[Server, int, Path], stubs: tuple[ModuleType, ModuleType]) -> Iterator[Caller]:
    with grpc.insecure_channel(f"127.0.0.1:{served[1]}") as channel:
        yield Caller(served, stubs, channel)


def test_a_text_is_answered_as_in_process(caller: Caller, served: tuple[Server, int, Path]) -> None:
    with load_archive(served[2]) as archived:
        for text in TEXTS:
            assert caller.predict({"data": text.encode()}) == archived.predict([text])[0]


def test_a_stream_has_one_answer(caller: Caller) -> None:
    request = caller.messages.PredictionsRequest(model_name="topics", input={"data": b"goal rain"})
    for _ in range(3):  # TorchServe's worker lives on
        answers = list(caller.stub.StreamPredictions(request, metadata=caller.metadata, timeout=30))
        assert [json.loads(answer.prediction) for answer in answers] == [caller.predict({"data": b"goal rain"})]


def test_options_are_fields_of_the_input(caller: Caller) -> None:
    whole = caller.predict({"data": b"goal rain"})["scores"]
    best = dict(sorted(whole.items(), key=lambda item: -item[1])[:2])
    assert caller.predict({"data": b"goal rain", "top_k": b"2"})["scores"] == best


def test_a_refusal_is_the_answer_for_grpc_has_no_place_for_the_handlers_status(caller: Caller) -> None:
    for fields, reason in (
        ({"data": b"\xff"}, "not valid UTF-8"),
        ({"text": b"goal"}, "no field `data`"),
        ({"data": b"goal", "top_k": b"0"}, "`top_k` is 0"),
    ):
        refused = caller.predict(fields)
        assert reason in refused["error"]
        assert refused["expected"]
    with pytest.raises(grpc.RpcError) as caught:
        caller.stub.Predictions(
            caller.messages.PredictionsRequest(model_name="nobody", input={"data": b"goal"}),
            metadata=caller.metadata,
            timeout=30,
        )
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert "Model not found: nobody" in caught.value.details()


def test_without_the_token_nothing_is_answered(caller: Caller) -> None:
    for wrong in ((("protocol", "gRPC"),), (("protocol", "gRPC"), ("authorization", "Bearer wrong"))):
        with pytest.raises(grpc.RpcError) as caught:
            caller.predict({"data": b"goal"}, metadata=wrong)
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_ping(caller: Caller) -> None:
    empty = importlib.import_module("google.protobuf.empty_pb2").Empty()
    answer = caller.stub.Ping(empty, metadata=caller.metadata, timeout=30)
    assert json.loads(answer.health) == {"status": "Healthy"}
