"""Which variants a GPU runs, and what a worker says that was given a device it cannot use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch

from lexport.export.formats.variants import VARIANTS
from lexport.handlers.engine.devices import check_device, why_cpu_alone
from lexport.handlers.engine.engines import open_engine, open_session


@pytest.mark.parametrize("name", VARIANTS)
def test_tables_of_less_than_16_bits_are_for_the_cpu_alone(name: str) -> None:
    precision = VARIANTS[name].precision
    reason = why_cpu_alone(name, precision)
    if precision in ("fp32", "fp16"):
        assert reason is None
        check_device(name, precision, "cuda:0")
    else:
        assert reason == f"{name} runs only on the CPU: its {precision} table needs kernels that GPUs do not have"
        with pytest.raises(RuntimeError) as refused:
            check_device(name, precision, "cuda:1")
        assert str(refused.value) == (
            f"This worker was given cuda:1; {reason}. Use an fp32 or fp16 variant or cpu workers."
        )
    check_device(name, precision, "cpu")


@pytest.mark.parametrize("engine", ["torchscript", "pt2"])
def test_a_device_that_torch_does_not_see_is_named_with_the_version_of_torch(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError) as refused:
        open_engine(engine, Path("nowhere.pt"), threads=1, device="cuda:3")
    for value in ("cuda:3", f"torch {torch.__version__}", "cpu workers"):
        assert value in str(refused.value)


class Session:
    """Stands in for a session on a machine with a GPU; `used` are the providers that it says it has."""

    used: list[str]
    options: Any
    providers: list[Any]

    def __init__(self, file: str, options: object, providers: list[Any]) -> None:
        Session.options, Session.providers = options, providers

    def get_providers(self) -> list[str]:
        return self.used


@pytest.fixture
def with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    Session.used = ["CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.usefixtures("with_cuda")
@pytest.mark.parametrize(("device", "number"), [("cuda:0", 0), ("cuda:12", 12)])
def test_a_session_on_a_gpu_is_given_its_number_and_no_tf32(device: str, number: int) -> None:
    assert isinstance(open_session(Path("m.onnx"), 3, device), Session)
    assert Session.providers == [
        ("CUDAExecutionProvider", {"device_id": number, "use_tf32": 0}),
        "CPUExecutionProvider",
    ]
    options = Session.options
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.usefixtures("with_cuda")
def test_a_session_that_falls_back_to_the_cpu_is_refused_and_one_asked_for_it_is_not() -> None:
    Session.used = ["CPUExecutionProvider"]
    with pytest.raises(RuntimeError) as refused:
        open_session(Path("m.onnx"), 1, "cuda:2")
    assert str(refused.value) == "onnxruntime could not use cuda:2 and fell back to the CPU."
    assert isinstance(open_session(Path("m.onnx"), 1, "cpu"), Session)
    assert Session.providers == ["CPUExecutionProvider"]


def test_an_onnxruntime_without_cuda_is_named_with_three_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(RuntimeError) as refused:
        open_session(Path("m.onnx"), 1, "cuda:1")
    for value in ("cuda:1", "no CUDA provider", "onnxruntime-gpu", "a torchscript variant", "cpu workers"):
        assert value in str(refused.value)
