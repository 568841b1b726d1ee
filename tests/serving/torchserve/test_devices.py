"""A server with GPUs and an archive that no GPU runs, in the real TorchServe; nvidia-smi is a script of ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport import serving
from lexport.client.once import predict
from lexport.errors import InputError
from lexport.export.archive.format.reader import extracted
from lexport.export.archive.inprocess import Context
from lexport.handlers.worker import Worker, load_checked
from lexport.serving.store import read

from ...refusals import refused
from ..conftest import Traces

ONE_GPU = '#!/bin/sh\ncase "$*" in *-L*) echo "GPU 0: A (UUID: x)";; *) echo index; echo 0;; esac\n'

CPU_ALONE = [
    (name, f"{name} runs only on the CPU: its {name.partition('-')[2]} table needs kernels that GPUs do not have")
    for name in ("torchscript-int8", "torchscript-int4", "onnx-int8", "onnx-int4")
]


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "bin" / "nvidia-smi"
    command.parent.mkdir()
    command.write_text(ONE_GPU)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(("name", "reason"), CPU_ALONE)
def test_gpu_workers_for_fewer_bits_are_refused_with_the_reason(
    gpu: None, archive_of: Callable[[str], Path], tmp_path: Path, name: str, reason: str
) -> None:
    mar = archive_of(name)
    assert read(mar).cpu_alone == reason
    with refused(InputError, "LX-SERVE-016", f"topics 1.0: {reason}"):
        serving.serve([mar], workers="gpu:1", state_dir=tmp_path / "state", port=0)


@pytest.mark.parametrize("name", ["torchscript-fp32", "torchscript-fp16", "onnx-fp16", "pt2-fp32"])
def test_fp32_and_fp16_are_not(archive_of: Callable[[str], Path], name: str) -> None:
    assert read(archive_of(name)).cpu_alone is None


def test_where_the_cpu_is_allowed_torchserve_itself_keeps_such_a_worker_off_the_gpu(
    gpu: None, java: None, traces: Traces, archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    said: list[str] = []
    state = tmp_path / "state"
    mar = archive_of("torchscript-int8")
    serving.serve([mar], workers="gpu:1", allow_cpu=True, state_dir=state, port=0, say=said.append)
    try:
        [model] = serving.status(state)["models"]
        assert [worker["device"] for worker in model["workers"]] == ["cpu"]
        [answer] = predict("topics", ["the goal of the season"], state_dir=state)
    finally:
        serving.stop(state)
    assert answer["label"] == "sport"
    assert "torchscript-int8 runs only on the CPU" in said[0]


@pytest.mark.parametrize(("name", "reason"), CPU_ALONE)
def test_a_worker_that_is_given_a_gpu_all_the_same_does_not_load(
    archive_of: Callable[[str], Path], tmp_path: Path, name: str, reason: str
) -> None:
    with extracted(archive_of(name)) as folder:
        context = Context(folder)
        context.system_properties["gpu_id"] = 0
        with pytest.raises(RuntimeError, match=rf"was given cuda:0; {reason}\. Use an fp32 or fp16 variant"):
            Worker(context)
        assert load_checked(folder, threads=1, device="cpu")[1] >= 16
