"""The Open Inference Protocol v2 over gRPC, asked by Triton's own client."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lexport.export.archive.inprocess import load_archive

from .conftest import Served

triton = pytest.importorskip("tritonclient.grpc", reason='no tritonclient: pip install "lexport[dev]"')

import grpc  # noqa: E402

from lexport.serving.embedded.grpc.messages import message  # noqa: E402

TEXTS = ["the goal and the referee", "qqqq zzzz", "", "好 👍"]


def client(address: str) -> Any:
    return triton.InferenceServerClient(address)


def texts(*values: str) -> Any:
    tensor = triton.InferInput("text", [len(values)], "BYTES")
    tensor.set_data_from_numpy(np.array([value.encode() for value in values], object))
    return tensor


def test_the_client_finds_the_server_and_its_models_ready(served: Served) -> None:
    asked, headers = client(served.inference), served.headers()
    assert asked.is_server_live(headers=headers)
    assert asked.is_server_ready(headers=headers)
    assert asked.is_model_ready("topics", headers=headers)
    assert asked.is_model_ready("topics", "1.0", headers=headers)
    assert not asked.is_model_ready("topics", "9", headers=headers)
    assert not asked.is_model_ready("none", headers=headers)
    assert asked.get_server_metadata(headers=headers).name == "lexport"


@pytest.mark.parametrize("wrong", [{}, {"authorization": "Bearer wrong"}, {"authorization": ""}])
def test_nothing_is_told_without_the_token(served: Served, wrong: dict[str, str]) -> None:
    asked = client(served.inference)
    for question in (asked.is_server_live, asked.get_server_metadata):
        with pytest.raises(triton.InferenceServerException, match="Token Authorization failed") as caught:
            question(headers=wrong)
        assert caught.value.status() == "StatusCode.PERMISSION_DENIED"
    with pytest.raises(triton.InferenceServerException, match="Token Authorization failed"):
        client(served.management).unload_model("topics", headers=served.headers("inference"))


def test_without_the_token_no_message_is_read(served: Served) -> None:
    plain = Plain(served)
    with pytest.raises(grpc.RpcError) as caught:  # it is longer than any that is read
        plain.call(request(b"x" * 7_000_000), metadata=(("authorization", "Bearer wrong"),), timeout=30)
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_the_metadata_are_those_of_the_answers(served: Served) -> None:
    asked, headers = client(served.inference), served.headers()
    for name in ("topics", "vector"):
        told = asked.get_model_metadata(name, headers=headers)
        assert list(told.versions) == ["1.0"]
        assert [(one.name, one.datatype, list(one.shape)) for one in told.inputs] == [("text", "BYTES", [-1])]
        found = asked.infer(name, [texts("goal rain", "oven")], headers=headers).get_response()
        assert [(one.name, one.datatype) for one in found.outputs] == [
            (one.name, one.datatype) for one in told.outputs
        ]


def test_answers_are_those_of_the_archive(served: Served, archive_of: Callable[[str], Path]) -> None:
    found = client(served.inference).infer(
        "topics", [texts(*TEXTS)], model_version="1.0", request_id="mine", headers=served.headers()
    )
    with load_archive(archive_of("onnx-int8")) as archived:
        expected = archived.predict(TEXTS)
    assert [value.decode() for value in found.as_numpy("label")] == [one["label"] for one in expected]
    np.testing.assert_array_equal(found.as_numpy("score"), np.array([one["score"] for one in expected], np.float32))
    scores = np.array([list(one["scores"].values()) for one in expected], np.float32)
    np.testing.assert_array_equal(found.as_numpy("scores"), scores)
    np.testing.assert_array_equal(found.as_numpy("truncated"), [one["truncated"] for one in expected])
    np.testing.assert_array_equal(found.as_numpy("tokens"), [one["tokens"] for one in expected])
    response = found.get_response()
    assert (response.id, response.model_name, response.model_version) == ("mine", "topics", "1.0")
    labels = json.loads(found.get_output("scores").parameters["labels"].string_param)
    assert labels == list(expected[0]["scores"])


def test_the_outputs_that_are_asked_for_are_answered_in_their_order(served: Served) -> None:
    asked, headers = client(served.inference), served.headers()
    whole = asked.infer("topics", [texts(*TEXTS)], headers=headers)
    wanted = [triton.InferRequestedOutput("scores"), triton.InferRequestedOutput("label")]
    found = asked.infer("topics", [texts(*TEXTS)], outputs=wanted, headers=headers)
    assert [one.name for one in found.get_response().outputs] == ["scores", "label"]
    assert len(found.get_response().raw_output_contents) == 2
    for name in ("scores", "label"):
        np.testing.assert_array_equal(found.as_numpy(name), whole.as_numpy(name))
    for bad, code in (
        (triton.InferRequestedOutput("nothing"), "LX-HTTP-132"),
        (triton.InferRequestedOutput("scores", class_count=1), "LX-HTTP-133"),
    ):
        with pytest.raises(triton.InferenceServerException, match=code) as caught:
            asked.infer("topics", [texts(*TEXTS)], outputs=[bad], headers=headers)
        assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "label, score, scores, tokens, unknown, truncated" in refusal_of(asked, "nothing", headers)


def refusal_of(asked: Any, output: str, headers: dict[str, str]) -> str:
    """What is said to a request for an output."""
    with pytest.raises(triton.InferenceServerException) as caught:
        asked.infer("topics", [texts("goal")], outputs=[triton.InferRequestedOutput(output)], headers=headers)
    return str(caught.value)


class Plain:
    """Sends messages, without Triton's client."""

    def __init__(self, served: Served, package: str = "inference") -> None:
        # A connection of its own, which may lead to another process.
        self.channel = grpc.insecure_channel(served.inference, [("grpc.use_local_subchannel_pool", 1)])
        self.metadata = tuple(served.headers().items())
        self.call: Any = self.channel.unary_unary(
            f"/{package}.GRPCInferenceService/ModelInfer",
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=message("inference.ModelInferResponse").FromString,
        )

    def infer(self, request: Any) -> Any:
        return self.call(request, metadata=self.metadata, timeout=30)


def request(*values: bytes, **more: Any) -> Any:
    made = message("inference.ModelInferRequest")(model_name="topics", **more)
    tensor = made.inputs.add(name="text", datatype="BYTES", shape=[len(values)])
    tensor.contents.bytes_contents.extend(values)
    return made


@pytest.mark.parametrize("package", ["inference", "org.pytorch.serve.grpc.openinference"])
def test_contents_are_answered_with_contents(served: Served, package: str) -> None:
    plain = Plain(served, package)
    found = plain.infer(request(b"goal rain", "好".encode()))
    assert not found.raw_output_contents
    by_name = {one.name: one for one in found.outputs}
    raw = client(served.inference).infer("topics", [texts("goal rain", "好")], headers=served.headers())
    assert list(by_name["label"].contents.bytes_contents) == list(raw.as_numpy("label"))
    np.testing.assert_array_equal(by_name["scores"].contents.fp32_contents, raw.as_numpy("scores").ravel())
    assert list(by_name["unknown"].contents.int64_contents) == list(raw.as_numpy("unknown"))
    assert list(by_name["truncated"].contents.bool_contents) == list(raw.as_numpy("truncated"))


def test_metadata_behind_an_answer_name_request_version_and_variant(served: Served) -> None:
    plain = Plain(served)
    _, call = plain.call.with_call(
        request(b"goal"), metadata=(*plain.metadata, ("x-request-id", "mine-7")), timeout=30
    )
    told = dict(call.trailing_metadata())
    assert told["x-request-id"] == "mine-7"
    assert (told["lexport-version"], told["lexport-variant"]) == ("1.0", "onnx-int8")


def both(value: Any) -> Any:
    value.raw_input_contents.append(b"\0\0\0\0")
    return value


def other_field(value: Any) -> Any:
    value.inputs[0].contents.fp32_contents.append(1.0)
    return value


def with_parameter(value: Any, name: str) -> Any:
    value.parameters[name].string_param = "x"
    return value


@pytest.mark.parametrize(
    ("bad", "status", "reason"),
    [
        (lambda: request(b"\xff"), grpc.StatusCode.INVALID_ARGUMENT, "LX-HTTP-047"),
        (lambda: request(), grpc.StatusCode.INVALID_ARGUMENT, "LX-HTTP"),
        (lambda: both(request(b"goal")), grpc.StatusCode.INVALID_ARGUMENT, "LX-HTTP-120"),
        (lambda: other_field(request(b"goal")), grpc.StatusCode.INVALID_ARGUMENT, "LX-HTTP-121"),
        (lambda: with_parameter(request(b"goal"), "what"), grpc.StatusCode.INVALID_ARGUMENT, "LX-HTTP-041"),
        (lambda: request(b"goal", model_version="9"), grpc.StatusCode.NOT_FOUND, "Model version: 9 does not exist"),
        (lambda: request(b"x" * 7_000_000), grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_its_reason(
    served: Served, bad: Callable[[], Any], status: grpc.StatusCode, reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        Plain(served).infer(bad())
    assert caught.value.code() == status
    assert reason in (caught.value.details() or "")


def counted(served: Served, name: str) -> float:
    """The sum of a metric, whose name may have labels behind it."""
    query = {"name[]": name.partition("{")[0]}
    text = httpx.get(f"{served.server.metrics_url}/metrics", params=query, trust_env=False).text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def test_what_is_refused_is_counted_once_and_has_a_line_in_the_access_log(served: Served) -> None:
    plain = Plain(served)
    before = counted(served, "Requests4XX")
    refusals = [
        (request(b"\xff"), plain.metadata, None),  # by the model, which counts it
        (both(request(b"goal")), plain.metadata, "LX-HTTP-120"),
        (request(b"goal", model_version="9"), plain.metadata, "ModelVersionNotFoundException"),
        (request(b"goal"), (), "InvalidKeyException"),
    ]
    for number, (asked, metadata, _) in enumerate(refusals):
        with pytest.raises(grpc.RpcError):
            plain.call(asked, metadata=(*metadata, ("x-request-id", f"refused-{number}")), timeout=30)
    assert counted(served, "Requests4XX") == before + len(refusals)
    assert counted(served, 'lexport_refused_requests{code="LX-HTTP-120"}') >= 1
    file = served.server.logs / "access_log.0.jsonl"
    deadline = time.monotonic() + 30
    while "refused-3" not in (file.read_text() if file.exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found = {line["id"]: line.get("error") for line in map(json.loads, file.read_text().splitlines())}
    assert [found[f"refused-{number}"] for number in range(len(refusals))] == [error for _, _, error in refusals]


VALUES = st.binary(max_size=6)
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "bytes_contents": st.lists(VALUES, max_size=3),
        "fp32_contents": st.lists(st.floats(width=32), max_size=3),
        "int64_contents": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=2),
    },
)
TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["text", "image", "", "x"]),
        "datatype": st.sampled_from(["BYTES", "FP32", "INT64", "", "FP16"]),
        "shape": st.lists(st.integers(-2, 4), max_size=3),
        "contents": CONTENTS,
    },
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tensors=st.lists(TENSORS, max_size=2),
    raw=st.lists(VALUES, max_size=2),
    outputs=st.lists(st.sampled_from(["label", "vector", "", "x"]), max_size=2),
    name=st.sampled_from(["topics", "vector", "", "none"]),
    identity=st.text(max_size=3),
)
def test_no_request_makes_the_server_fail(
    served: Served, tensors: list[Any], raw: list[bytes], outputs: list[str], name: str, identity: str
) -> None:
    made = message("inference.ModelInferRequest")(model_name=name, id=identity, inputs=tensors)
    for output in outputs:
        made.outputs.add(name=output)
    made.raw_input_contents.extend(raw)
    plain = PLAIN.setdefault(served.inference, Plain(served))
    asked = plain.call.future(made, metadata=plain.metadata, timeout=30)
    assert asked.code() in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


PLAIN: dict[str, Plain] = {}


def test_models_are_unloaded_and_loaded_at_the_management_address(served: Served) -> None:
    asked, headers = client(served.management), served.headers("management")
    inference = client(served.inference)

    def states(where: Any, bearer: dict[str, str]) -> dict[str, str]:
        return {one.name: one.state for one in where.get_model_repository_index(headers=bearer).models}

    both_ready = {"topics": "READY", "vector": "READY"}
    assert states(asked, headers) == states(inference, served.headers()) == both_ready
    asked.unload_model("vector", headers=headers)
    assert states(asked, headers) == both_ready | {"vector": "UNAVAILABLE"}
    assert not inference.is_model_ready("vector", headers=served.headers())
    asked.load_model("vector", headers=headers)
    assert inference.is_model_ready("vector", headers=served.headers())
    with pytest.raises(triton.InferenceServerException, match="Model not found: none") as caught:
        asked.load_model("none", headers=headers)
    assert caught.value.status() == "StatusCode.NOT_FOUND"
    with pytest.raises(triton.InferenceServerException) as caught:
        inference.load_model("vector", headers=served.headers())
    assert caught.value.status() == "StatusCode.UNIMPLEMENTED"
