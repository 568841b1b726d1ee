"""What an ONNX file may name outside of itself: ONNX Runtime opens no file beyond the model's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lexport.handlers.engine.engines import open_session

VALUES = np.arange(4, dtype=np.float32)
Build = Callable[[TensorProto], onnx.ModelProto]


def external(location: str, count: int = 4) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[count], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", str(4 * count))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(nodes: list[onnx.NodeProto], initializers: list[TensorProto]) -> onnx.ModelProto:
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [size]) for name, size in (("x", 4), ("y", None))
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


ADD = helper.make_node("Add", ["x", "w"], ["y"])
SUMS = [helper.make_node("ReduceSum", ["w"], ["v"]), helper.make_node("Add", ["x", "v"], ["y"])]


def weight(tensor: TensorProto) -> onnx.ModelProto:
    return model([ADD], [tensor])


def constant(tensor: TensorProto) -> onnx.ModelProto:
    return model([helper.make_node("Constant", [], ["w"], value=tensor), ADD], [])


def sparse(tensor: TensorProto) -> onnx.ModelProto:
    made = model([ADD], [])
    places = helper.make_tensor("places", TensorProto.INT64, [4], range(4))
    made.graph.sparse_initializer.add(values=tensor, indices=places, dims=[4])
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder with weights in it and links out of it, and the same bytes outside."""
    inside = tmp_path / "model"
    inside.mkdir()
    for place in (tmp_path / "secret.bin", inside / "own.bin"):
        place.write_bytes(VALUES.tobytes())
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    (inside / "up").symlink_to(tmp_path)
    return inside


@pytest.mark.parametrize("build", [weight, constant, sparse])
def test_weights_in_the_folder_are_read(folder: Path, build: Build) -> None:
    file = folder / "model.onnx"
    onnx.save(build(external("own.bin")), str(file))
    [answer] = open_session(file, 1, "cpu").run(None, {"x": np.zeros(4, np.float32)})
    np.testing.assert_array_equal(answer, VALUES)


@pytest.mark.parametrize("build", [weight, constant, sparse])
@pytest.mark.parametrize("location", ["../secret.bin", "ABSOLUTE", "link.bin", "up/secret.bin", "*/_ORT_MEM_ADDR_/*"])
def test_weights_outside_of_the_folder_are_not(folder: Path, build: Build, location: str) -> None:
    location = location.replace("ABSOLUTE", str(folder.parent / "secret.bin"))
    (folder / "model.onnx").write_bytes(build(external(location)).SerializeToString())
    with pytest.raises(Exception, match=r"escapes model directory|Absolute path not allowed|(?i:external|in-memory)"):
        open_session(folder / "model.onnx", 1, "cpu")


def test_a_tensor_of_more_than_its_bytes_is_not_opened(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(model(SUMS, [external("own.bin", 1 << 40)]).SerializeToString())
    with pytest.raises(Exception, match=r"out of bounds|bad_alloc"):
        open_session(folder / "model.onnx", 1, "cpu")
    huge = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 20, 1 << 20], raw_data=b"1234")
    (folder / "model.onnx").write_bytes(model(SUMS, [huge]).SerializeToString())
    with pytest.raises(Exception, match="exceeds the 2147483648 byte limit"):
        open_session(folder / "model.onnx", 1, "cpu")


@pytest.mark.parametrize("domain", ["own", "ai.onnx.contrib", "com.microsoft"])
def test_operators_of_other_libraries_are_not_run(folder: Path, domain: str) -> None:
    # EPContext names a file for an execution provider to load.
    node = helper.make_node("EPContext", ["x"], ["y"], domain=domain, ep_cache_context="../secret.bin", embed_mode=0)
    made = model([node], [])
    made.opset_import.append(helper.make_opsetid(domain, 1))
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(
        Exception, match=r"is not a registered function/op|not compatible with any execution provider"
    ):
        open_session(folder / "model.onnx", 1, "cpu")
