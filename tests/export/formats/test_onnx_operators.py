"""torch's table of ONNX operators is built once a process, and the files are those of a table built anew."""

from __future__ import annotations

import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.onnx._internal.exporter import _registration

from lexport.export.formats import onnx_operators
from lexport.export.formats.onnx_operators import operators_built_once
from lexport.export.formats.torchscript_onnx import OPSET, write_onnx


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The opset of every table that torch itself builds from now on."""
    opsets: list[int] = []
    original = in_use()

    def counted(cls: Any, opset_version: int = 18) -> Any:
        opsets.append(opset_version)
        return original(cls, opset_version)

    monkeypatch.setattr(_registration.ONNXRegistry, "from_torchlib", classmethod(counted))
    monkeypatch.setattr(onnx_operators, "_tables", {})
    return opsets


def in_use() -> Any:
    """The function that makes the tables now."""
    return _registration.ONNXRegistry.__dict__["from_torchlib"].__func__


def table(opset: int) -> _registration.ONNXRegistry:
    return _registration.ONNXRegistry.from_torchlib(opset)


def functions(found: _registration.ONNXRegistry) -> dict[Any, list[str]]:
    return {target: [one.onnx_function.__name__ for one in many] for target, many in found.functions.items()}


def exported(path: Path) -> bytes:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.ones(2, 4),), str(path), opset_version=20, dynamo=True, verbose=False)
    return path.read_bytes()


def test_a_second_table_of_an_opset_is_not_built_again(built: list[int]) -> None:
    with operators_built_once():
        first, second = table(20), table(20)
        third = table(18)
    with operators_built_once():
        fourth = table(20)
    assert built == [20, 18]
    assert functions(first) == functions(second) == functions(fourth)
    assert [one.opset_version for one in (first, second, third, fourth)] == [20, 20, 18, 20]


def test_a_table_is_the_one_that_torch_builds() -> None:
    with operators_built_once():
        ours = table(20)
    assert functions(ours) == functions(table(20))


def test_what_a_caller_adds_to_its_table_is_in_no_other(built: list[int]) -> None:
    with operators_built_once():
        mine = table(20)
        mine.register_op(torch.ops.aten.tanh.default, lambda x: x)
        assert len(mine.functions["aten::tanh"]) == len(table(20).functions["aten::tanh"]) + 1


def test_a_file_is_byte_for_byte_the_same(built: list[int], tmp_path: Path) -> None:
    plain = exported(tmp_path / "plain.onnx")
    with operators_built_once():
        first, second = exported(tmp_path / "first.onnx"), exported(tmp_path / "second.onnx")
    assert plain == first == second
    assert built == [20, 20]


def test_the_files_of_an_export_share_a_table(built: list[int], tmp_path: Path) -> None:
    for name in ("first.onnx", "second.onnx"):
        module = nn.Sequential(nn.Linear(4, 3), nn.Tanh()).eval()
        write_onnx(module, tmp_path / name, feed="values", example=torch.ones(2, 4), symbolic=["batch"])
    assert built == [OPSET]


def test_torchs_own_way_is_back_at_the_end_after_an_error_too() -> None:
    own = in_use()

    def fail() -> None:
        assert in_use() is not own
        raise KeyError

    with pytest.raises(KeyError), operators_built_once():
        fail()
    assert in_use() is own


def test_a_torch_that_keeps_it_elsewhere_builds_it_as_always(monkeypatch: pytest.MonkeyPatch) -> None:
    own = in_use()
    monkeypatch.delattr("torch.onnx._internal.exporter._registration.ONNXRegistry")
    with operators_built_once():
        pass
    monkeypatch.undo()
    assert in_use() is own


def test_threads_take_turns_and_torchs_own_way_is_back_at_the_end() -> None:
    own, inside, most = in_use(), 0, 0

    def export() -> None:
        nonlocal inside, most
        with operators_built_once():
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(export) for _ in range(8)]:
            done.result()
    assert most == 1
    assert in_use() is own
