"""Open Inference Protocol v2: Triton's own client against the real TorchServe, and v1 and v2 in one batch."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lexport.export.archive.inprocess import LoadedArchive

from ..cases import JSON

http = pytest.importorskip("tritonclient.http", reason='no tritonclient: pip install "lexport[dev]"')

pytestmark = pytest.mark.usefixtures("unharmed")

TEXTS = ["the goal and the referee", "", "rain 很"]
# What Triton's client asks for besides `infer`, and which of it TorchServe lacks: docs/http.md lists them.
MISSING = ["is_server_live", "is_server_ready", "get_server_metadata"]
MISSING_OF_A_MODEL = ["is_model_ready", "get_model_metadata", "get_model_config"]


@pytest.fixture
def triton(client: Any) -> Iterator[Any]:
    found = http.InferenceServerClient("{}:{}".format(*client.address), connection_timeout=60, network_timeout=60)
    yield found
    found.close()


@pytest.fixture
def headers(client: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {client.server.token()}", "Content-Type": JSON}


def tensor(texts: list[str], *, binary: bool = False) -> Any:
    found = http.InferInput("text", [len(texts)], "BYTES")
    found.set_data_from_numpy(np.array([text.encode() for text in texts], object), binary_data=binary)
    return found


def test_tritons_client_gets_the_answers_of_the_archive(
    triton: Any, headers: dict[str, str], inprocess: dict[str, LoadedArchive], model: str
) -> None:
    plain = inprocess[model].predict(TEXTS)
    found = triton.infer(model, [tensor(TEXTS)], request_id="7", headers=headers)
    answer = found.get_response()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("7", model, "1.0")
    assert found.as_numpy("label").tolist() == [one["label"] for one in plain]
    for name in ("tokens", "unknown", "truncated"):
        assert found.as_numpy(name).tolist() == [one[name] for one in plain]
    scores = found.as_numpy("scores")
    assert scores.dtype == np.float32
    assert scores == pytest.approx(np.array([list(one["scores"].values()) for one in plain]), abs=1e-6)


def test_tritons_client_gets_the_outputs_that_it_asks_for(triton: Any, headers: dict[str, str], model: str) -> None:
    whole = triton.infer(model, [tensor(TEXTS)], headers=headers)
    outputs = [http.InferRequestedOutput("scores"), http.InferRequestedOutput("label", binary_data=False)]
    found = triton.infer(model, [tensor(TEXTS)], outputs=outputs, headers=headers)
    assert [one["name"] for one in found.get_response()["outputs"]] == ["scores", "label"]
    for name in ("scores", "label"):
        assert found.as_numpy(name).tolist() == whole.as_numpy(name).tolist()
    with pytest.raises(http.InferenceServerException, match="'nothing'") as caught:
        triton.infer(model, [tensor(TEXTS)], outputs=[http.InferRequestedOutput("nothing")], headers=headers)
    assert caught.value.status() == "400"


def test_tritons_default_binary_tensors_are_read(
    triton: Any, headers: dict[str, str], inprocess: dict[str, LoadedArchive], model: str
) -> None:
    plain = inprocess[model].predict(TEXTS)
    for own in (headers, {"Authorization": headers["Authorization"]}):
        found = triton.infer(model, [tensor(TEXTS, binary=True)], headers=own)
        assert found.as_numpy("label").tolist() == [one["label"] for one in plain]


@pytest.mark.parametrize("name", MISSING)
def test_a_route_of_the_server_that_torchserve_lacks(
    engine: str, triton: Any, headers: dict[str, str], name: str
) -> None:
    if engine != "torchserve":
        pytest.skip("the embedded engine has it: tests/serving/embedded/addresses/test_open_inference.py")
    lacks(lambda: getattr(triton, name)(headers=headers))


@pytest.mark.parametrize("name", MISSING_OF_A_MODEL)
def test_a_route_of_a_model_that_torchserve_lacks(
    engine: str, triton: Any, headers: dict[str, str], model: str, name: str
) -> None:
    if engine != "torchserve":
        pytest.skip("the embedded engine has it: tests/serving/embedded/addresses/test_open_inference.py")
    lacks(lambda: getattr(triton, name)(model, headers=headers))


def lacks(ask: Any) -> None:
    """The client says no, or raises with TorchServe's status."""
    try:
        found = ask()
    except http.InferenceServerException as error:
        assert error.status() in ("404", "405", None)  # noqa: PT017
    else:
        assert found is False


def test_v1_and_v2_share_a_batch(client: Any) -> None:
    """The model waits twenty seconds for 32 requests: answers before that show that one batch held all."""
    texts = ["goal " * number + "rain" for number in range(32)]
    replies: dict[int, Any] = {}
    barrier = threading.Barrier(32)

    def ask(number: int) -> None:
        v2 = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [texts[number]]}]}
        value = [{"text": texts[number]}, v2, {"texts": [texts[number]]}][number % 3]
        path = "/v2/models/patient/infer" if number % 3 == 1 else "/predictions/patient"
        barrier.wait()
        replies[number] = client.post(path, json.dumps(value).encode(), JSON)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert sorted(replies) == list(range(32))
    for number, reply in replies.items():
        assert reply.status == 200
        if number % 3 == 1:
            outputs = {one["name"]: one["data"] for one in reply.json["outputs"]}
            assert (outputs["tokens"], outputs["unknown"]) == ([number + 1], [0])
        else:
            answer = reply.json if number % 3 == 0 else reply.json[0]
            assert (answer["tokens"], answer["unknown"]) == (number + 1, 0)
