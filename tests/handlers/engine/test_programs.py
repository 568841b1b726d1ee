"""A program of torch.export is opened only where nothing in it would be unpickled, evaluated or compiled."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lexport.export.formats.torchscript_onnx import rewrite
from lexport.export.formats.variants import VARIANTS
from lexport.handlers.engine.engines import open_engine
from lexport.handlers.engine.programs import EXAMPLE, GRAPH, check_program

from ...chain.combination_cases import BATCHES, Combination, assembled, eager, made

PT2 = VARIANTS["pt2-fp32"]
CHARACTERS = Combination("char_cnn", "cnn")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with every kind of argument there is: symbols, texts, negative infinity."""
    folder = tmp_path_factory.mktemp("program")
    model, encoder = made(CHARACTERS)
    PT2.write(model, encoder.spec.inputs, folder)
    return folder / PT2.file


def changed(program: Path, folder: Path, change: Callable[[str, bytes], bytes]) -> Path:
    path = folder / "model.pt2"
    with program.open("rb") as source, path.open("wb") as target:
        rewrite(
            source,
            target,
            drop=lambda name: False,
            edit=lambda name: lambda content: change(name.partition("/")[2], content),
        )
    return path


def with_graph(program: Path, folder: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    def change(name: str, content: bytes) -> bytes:
        if name != GRAPH:
            return content
        graph = json.loads(content)
        edit(graph)
        return json.dumps(graph).encode()

    return changed(program, folder, change)


class Bomb:
    """What unpickling would run."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('unpickled')",)


def test_what_is_written_is_opened_and_answers_as_the_trained_model(program: Path) -> None:
    check_program(program)
    run = open_engine("pt2", program, threads=1, device="cpu")
    for texts in BATCHES.values():
        ids = assembled(CHARACTERS, texts)
        np.testing.assert_allclose(run(ids), eager(CHARACTERS, ids), rtol=0, atol=1e-5)


def test_torch_itself_opens_what_is_written(program: Path) -> None:
    ids = assembled(CHARACTERS, BATCHES["ragged"])
    found = torch.export.load(str(program)).module()(torch.from_numpy(ids))
    np.testing.assert_allclose(found.detach().numpy(), eager(CHARACTERS, ids), rtol=0, atol=1e-5)


def test_nothing_of_this_machine_and_nothing_pickled_is_inside(program: Path) -> None:
    content = program.read_bytes()
    assert str(Path(__file__).parents[3]).encode() not in content
    with zipfile.ZipFile(io.BytesIO(content)) as members:
        for name in members.namelist():
            member = members.read(name)
            assert not member.startswith((b"PK", b"\x80\x02")), name
            if name.endswith(EXAMPLE):
                assert member == b""


def test_the_same_model_makes_the_same_bytes(program: Path, tmp_path: Path) -> None:
    model, encoder = made(CHARACTERS)
    PT2.write(model, encoder.spec.inputs, tmp_path)
    assert (tmp_path / PT2.file).read_bytes() == program.read_bytes()


def test_shapes_are_symbolic(program: Path) -> None:
    loaded = torch.export.load(str(program))
    [name] = loaded.graph_signature.user_inputs
    [node] = [node for node in loaded.graph.nodes if node.name == name]
    assert len(node.meta["val"].shape) == 3
    assert all(isinstance(size, torch.SymInt) for size in node.meta["val"].shape)


def test_pickled_example_inputs_are_not_opened(program: Path, tmp_path: Path) -> None:
    bomb = pickle.dumps(Bomb())
    path = changed(program, tmp_path, lambda name, content: bomb if name == EXAMPLE else content)
    with pytest.raises(ValueError, match="pickled example inputs"):
        open_engine("pt2", path, threads=1, device="cpu")


@pytest.mark.parametrize("kind", ["weights", "constants"])
def test_pickled_tensors_are_not_opened(program: Path, tmp_path: Path, kind: str) -> None:
    place = f"data/{kind}/model_{kind}_config.json"

    def change(name: str, content: bytes) -> bytes:
        if name != place:
            return content
        own = {"path_name": "weight_0" if kind == "weights" else "tensor_0", "use_pickle": True}
        return json.dumps({"config": {"own": own | {"is_param": False, "tensor_meta": None}}}).encode()

    with pytest.raises(ValueError, match="has own as a pickle"):
        open_engine("pt2", changed(program, tmp_path, change), threads=1, device="cpu")


@pytest.mark.parametrize(
    "name",
    [
        "data/weights/model.pt",
        "data/constants/model.pt",
        "data/constants/custom_obj_0",
        "data/constants/opaque_obj_0",
        "data/aotinductor/model/model.so",
        "models/other.json",
    ],
)
def test_members_that_torch_would_unpickle_or_load_are_not_opened(program: Path, tmp_path: Path, name: str) -> None:
    root = program.stem
    with zipfile.ZipFile(program) as members:
        root = members.namelist()[0].partition("/")[0]
    path = tmp_path / "model.pt2"
    path.write_bytes(program.read_bytes())
    with zipfile.ZipFile(path, "a") as members:
        members.writestr(f"{root}/{name}", pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=f"has members that no exported model needs: {name}"):
        open_engine("pt2", path, threads=1, device="cpu")


CODE = "__import__('os').abort()"


def _guards(graph: dict[str, Any]) -> None:
    graph["guards_code"] = [CODE]


def _shape(graph: dict[str, Any]) -> None:
    values = graph["graph_module"]["graph"]["tensor_values"]
    next(iter(values.values()))["sizes"] = [{"as_expr": {"expr_str": CODE, "hint": None}}]


def _target(graph: dict[str, Any]) -> None:
    graph["graph_module"]["graph"]["nodes"][0]["target"] = "torch.serialization.os.abort"


def _file(graph: dict[str, Any]) -> None:
    graph["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


def _library(graph: dict[str, Any]) -> None:
    graph["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.load_library"


def _methods(graph: dict[str, Any]) -> None:
    graph["graph_module"]["graph"]["nodes"][0]["target"] = "_operator.methodcaller"


def _name(graph: dict[str, Any]) -> None:
    graph["graph_module"]["graph"]["nodes"][0]["name"] = f"x={CODE}"


def _range(graph: dict[str, Any]) -> None:
    graph["range_constraints"][CODE] = {"min_val": 0, "max_val": None}


def _spec(graph: dict[str, Any]) -> None:
    graph["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = '[1, {"type": "os.abort"}]'


def _power(graph: dict[str, Any]) -> None:
    values = graph["graph_module"]["graph"]["tensor_values"]
    power = "Pow(Symbol('s27', positive=True, integer=True), Integer(3))"
    next(iter(values.values()))["sizes"] = [{"as_expr": {"expr_str": power, "hint": None}}]


@pytest.mark.parametrize("edit", [_power, _guards, _shape, _target, _file, _library, _methods, _name, _range, _spec])
def test_a_graph_with_code_in_it_is_not_opened(
    program: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    with pytest.raises(ValueError, match=r"which are code|is not run"):
        open_engine("pt2", with_graph(program, tmp_path, edit), threads=1, device="cpu")


def test_the_older_format_that_torch_falls_back_to_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version", "8.8")
        archive.writestr("serialized_exported_program.json", "{}")
    with pytest.raises(ValueError, match=r"model\.pt2 has members outside its one folder"):
        check_program(path)
