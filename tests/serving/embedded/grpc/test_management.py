"""TorchServe's gRPC calls for managing models are answered alike by both engines. Each difference has a reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lexport.serving import Server, serve, stop

from .conftest import free_ports

pytest.importorskip("grpc", reason='no grpcio: pip install "lexport[dev]"')

import grpc

from lexport.serving.embedded.grpc.messages import message

PACKAGE = "org.pytorch.serve.grpc.management"
REQUESTS = {
    "ListModels": "ListModelsRequest",
    "DescribeModel": "DescribeModelRequest",
    "RegisterModel": "RegisterModelRequest",
    "ScaleWorker": "ScaleWorkerRequest",
    "SetDefault": "SetDefaultRequest",
    "UnregisterModel": "UnregisterModelRequest",
}
FILE, NAME = "topics-1.0.mar", "topics"

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("ListModels", {}),
    ("ListModels", {"limit": 1}),
    ("ListModels", {"limit": -1}),
    ("ListModels", {"limit": 1, "next_page_token": 1}),
    ("ListModels", {"limit": 5000}),
    ("DescribeModel", {}),
    ("DescribeModel", {"model_name": NAME}),
    ("DescribeModel", {"model_name": NAME, "customized": True}),
    ("DescribeModel", {"model_name": NAME, "model_version": "all"}),
    ("DescribeModel", {"model_name": NAME, "model_version": "9"}),
    ("DescribeModel", {"model_name": "none"}),
    ("RegisterModel", {}),
    ("RegisterModel", {"url": "nothing.mar"}),
    ("RegisterModel", {"url": "../x.mar"}),
    ("RegisterModel", {"url": FILE}),
    ("RegisterModel", {"url": FILE, "model_name": "two", "synchronous": True, "initial_workers": 1}),
    ("RegisterModel", {"url": FILE, "model_name": "three", "runtime": "java"}),
    ("ScaleWorker", {}),
    ("ScaleWorker", {"model_name": "none"}),
    ("ScaleWorker", {"model_name": "two", "model_version": "9"}),
    ("ScaleWorker", {"model_name": "two", "min_worker": 2, "max_worker": 1}),
    ("ScaleWorker", {"model_name": "two", "min_worker": -1}),
    ("ScaleWorker", {"model_name": "two", "min_worker": 1, "synchronous": True}),
    ("SetDefault", {}),
    ("SetDefault", {"model_name": NAME}),
    ("SetDefault", {"model_name": NAME, "model_version": "9"}),
    ("SetDefault", {"model_name": "none", "model_version": "1.0"}),
    ("SetDefault", {"model_name": NAME, "model_version": "1.0"}),
    ("UnregisterModel", {}),
    ("UnregisterModel", {"model_name": "none"}),
    ("UnregisterModel", {"model_name": "two", "model_version": "9"}),
    ("UnregisterModel", {"model_name": "two"}),
    ("UnregisterModel", {"model_name": "two"}),
]

NAMED = "it is told which parameter is missing"
DIFFERENCES = {
    "ListModels {}": "TorchServe lists no models where no limit is given",
    "DescribeModel {}": NAMED,
    f"RegisterModel {{'url': '{FILE}'}}": "TorchServe's refusal has no reason",
    "ScaleWorker {}": "TorchServe's refusal has no reason",
    "ScaleWorker {'model_name': 'two', 'min_worker': -1}": "TorchServe takes a number of workers below 0",
    "SetDefault {}": NAMED,
    "SetDefault {'model_name': 'topics'}": NAMED,
    "UnregisterModel {}": NAMED,
}


@pytest.fixture(scope="module")
def answers(archive_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """By engine, a function that asks it."""
    folder = tmp_path_factory.mktemp("managed")
    archive = archive_of("onnx-int8")
    servers, asking = [], {}
    try:
        for engine in ("torchserve", "embedded"):
            inference, management = free_ports()
            settings = folder / f"{engine}.properties"
            ports = f"grpc_inference_port={inference}\ngrpc_management_port={management}\n"
            settings.write_text(f"{ports}enable_model_api=true\n")
            server = serve(
                [archive], engine=engine, workers="cpu:1", port=0, state_dir=folder / engine[:2], config=settings,
                trust_code=True,
            )  # fmt: skip
            servers.append(server)
            asking[engine] = caller(server, management)
        yield asking
    finally:
        for server in servers:
            stop(server.state_dir)


def caller(server: Server, port: int) -> Callable[..., Any]:
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    bearer = (("authorization", f"Bearer {server.token('management')}"),)

    def ask(method: str, values: dict[str, Any], metadata: Any = bearer) -> tuple[str, Any]:
        call: Any = channel.unary_unary(
            f"/{PACKAGE}.ManagementAPIsService/{method}",
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=message(f"{PACKAGE}.ManagementResponse").FromString,
        )
        try:
            found = call(message(f"{PACKAGE}.{REQUESTS[method]}")(**values), metadata=metadata, timeout=60)
        except grpc.RpcError as error:
            # TorchServe adds the name of a Java class in a second line.
            return error.code().name, (error.details() or "").partition("\n")[0]
        return "OK", comparable(found.msg)

    return ask


def comparable(text: str) -> Any:
    """What two engines have in common: names and types, and what is not by chance."""
    try:
        value = json.loads(text)
    except ValueError:
        return re.sub(r"\d+ initial", "N initial", text)
    if isinstance(value, list):
        return [{name: type(content).__name__ for name, content in one.items()} for one in value]
    return value


@pytest.mark.long
def test_both_engines_answer_alike(answers: dict[str, Any]) -> None:
    found, good = [], 0
    for method, values in CALLS:
        theirs, ours = (answers[engine](method, values) for engine in ("torchserve", "embedded"))
        good += theirs[0] == "OK"
        if (theirs != ours) != (f"{method} {values}" in DIFFERENCES):
            found.append((method, values, theirs, ours))
    assert found == []
    assert good >= 12


@pytest.mark.long
@pytest.mark.parametrize("engine", ["torchserve", "embedded"])
def test_without_the_token_for_management_nothing_is_done(answers: dict[str, Any], engine: str) -> None:
    for metadata in ((), (("authorization", "Bearer wrong"),)):
        code, reason = answers[engine]("ListModels", {"limit": 1}, metadata)
        assert (code, reason.partition(".")[0]) == ("PERMISSION_DENIED", "Token Authorization failed")
