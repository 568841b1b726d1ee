"""The Open Inference Protocol v2 over REST, asked by Triton's own client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from lexport.serving import Server, serve, stop

http = pytest.importorskip("tritonclient.http", reason='no tritonclient: pip install "lexport[dev]"')


@pytest.fixture(scope="module")
def server(
    archive_of: Callable[[str], Path],
    task_archive: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("triton")
    config = folder / "own.properties"
    config.write_text("enable_model_api=true\n")
    archives = [archive_of("onnx-int8"), task_archive("vector")]
    started = serve(
        archives, engine="embedded", workers="cpu:1", port=0, state_dir=folder / "s", config=config, trust_code=True
    )
    yield started
    stop(started.state_dir)


def client(url: str) -> Any:
    return http.InferenceServerClient(urlsplit(url).netloc)


def bearer(server: Server, kind: str = "inference") -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token(kind)}"}


def test_the_client_finds_the_server_and_its_models_ready(server: Server) -> None:
    asked, headers = client(server.inference_url), bearer(server)
    assert asked.is_server_live(headers=headers)
    assert asked.is_server_ready(headers=headers)
    assert asked.is_model_ready("topics", headers=headers)
    assert asked.is_model_ready("topics", "1.0", headers=headers)
    assert not asked.is_model_ready("topics", "9", headers=headers)
    assert not asked.is_model_ready("none", headers=headers)
    assert asked.get_server_metadata(headers=headers)["name"] == "lexport"
    assert not asked.is_server_live()  # without the token


def test_the_metadata_are_those_of_the_answers(server: Server) -> None:
    asked, headers = client(server.inference_url), bearer(server)
    for name in ("topics", "vector"):
        told = asked.get_model_metadata(name, headers=headers)
        assert told["versions"] == ["1.0"]
        assert told["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
        found = asked.infer(name, [texts("goal rain", "oven")], headers=headers).get_response()
        assert [(one["name"], one["datatype"]) for one in found["outputs"]] == [
            (one["name"], one["datatype"]) for one in told["outputs"]
        ]
        for one, other in zip(found["outputs"], told["outputs"], strict=True):
            assert len(one["shape"]) == len(other["shape"])
            assert all(size in (here, -1) for here, size in zip(one["shape"], other["shape"], strict=True))


def texts(*values: str, binary: bool = True) -> Any:
    tensor = http.InferInput("text", [len(values)], "BYTES")
    tensor.set_data_from_numpy(np.array([value.encode() for value in values], object), binary_data=binary)
    return tensor


@pytest.mark.parametrize("binary", [True, False])
def test_texts_are_answered_with_a_version_too(server: Server, binary: bool) -> None:
    asked, headers = client(server.inference_url), bearer(server)
    found = asked.infer("topics", [texts("goal rain", binary=binary)], model_version="1.0", headers=headers)
    assert found.as_numpy("label").tolist() in ([b"sport"], ["sport"], [b"weather"], ["weather"])
    assert found.get_response()["model_version"] == "1.0"
    with pytest.raises(http.InferenceServerException, match="404"):
        asked.infer("topics", [texts("goal")], model_version="9", headers=headers)


def test_models_are_unloaded_and_loaded_at_the_management_address(server: Server) -> None:
    asked, headers = client(server.management_url), bearer(server, "management")
    served = {"topics": "READY", "vector": "READY"}
    states = {one["name"]: one["state"] for one in asked.get_model_repository_index(headers=headers)}
    assert states == served
    asked.unload_model("vector", headers=headers)
    states = {one["name"]: one["state"] for one in asked.get_model_repository_index(headers=headers)}
    assert states == served | {"vector": "UNAVAILABLE"}
    assert not client(server.inference_url).is_model_ready("vector", headers=bearer(server))
    asked.load_model("vector", headers=headers)
    assert client(server.inference_url).is_model_ready("vector", headers=bearer(server))
    with pytest.raises(http.InferenceServerException):
        asked.load_model("none", headers=headers)
    index = client(server.inference_url).get_model_repository_index(headers=bearer(server))
    assert {one["name"]: one["state"] for one in index} == served
