"""On a CUDA device: every fp32 and fp16 variant answers there as the trained model does on the CPU.

`make gpu-check` runs these. Without CUDA they are skipped with the reason; what is asserted there is that a device
which is not there is refused in words.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from lexport.api import doctor
from lexport.errors import SystemProblem
from lexport.export.archive.format.reader import extracted
from lexport.export.archive.inprocess import Context
from lexport.export.formats.variants import IDS_IN
from lexport.handlers.engine.engines import open_engine
from lexport.handlers.worker import Worker
from lexport.serving import serve
from lexport.serving.torchserve.java import find_java

from ..refusals import refused
from .test_every_variant import batches, made

BOUND = {"fp32": 1e-4, "fp16": 5e-3}
ON_GPU = [name for name, variant in IDS_IN.items() if variant.precision in BOUND]
ENGINES = ["torchscript-fp32", "onnx-fp32", "pt2-fp32"]
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "gpu.py"

no_cuda = not torch.cuda.is_available()
on_cuda = pytest.mark.skipif(no_cuda, reason=f"torch {torch.__version__} sees no CUDA device")
without_cuda = pytest.mark.skipif(not no_cuda, reason="there is a CUDA device")


def needs(engine: str) -> None:
    if engine == "onnx" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip(f"onnxruntime {onnxruntime.__version__} has no CUDA provider: see docs/gpu.md")


@on_cuda
@pytest.mark.parametrize("name", ON_GPU)
@pytest.mark.parametrize("recipe", ["bag", "hashed", "cnn", "lstm", "transformer", "char"])
def test_the_device_answers_as_the_trained_model(recipe: str, name: str, tmp_path: Path) -> None:
    variant, (model, encoder) = IDS_IN[name], made(recipe)
    needs(variant.engine)
    variant.write(model, encoder.spec.inputs, tmp_path)
    run = open_engine(variant.engine, tmp_path / variant.file, threads=1, device="cuda:0")
    for what, ids in batches(encoder).items():
        with torch.inference_mode():
            expected = model.head.answer(model(torch.from_numpy(ids))).numpy()
        found = run(ids)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=BOUND[variant.precision], err_msg=what)


@on_cuda
@pytest.mark.parametrize("name", ENGINES)
def test_a_worker_on_the_device_answers_its_goldens(archive_of: Callable[[str], Path], name: str) -> None:
    needs(name.partition("-")[0])
    with extracted(archive_of(name)) as folder:
        context = Context(folder)
        context.system_properties["gpu_id"] = 0
        worker: Any = Worker(context)
        assert worker.predictor.predict(["the goal of the season"])[0]["label"] == "sport"


@without_cuda
@pytest.mark.parametrize("name", ENGINES)
def test_a_device_that_is_not_there_is_refused_in_words(archive_of: Callable[[str], Path], name: str) -> None:
    with extracted(archive_of(name)) as folder:
        context = Context(folder)
        context.system_properties["gpu_id"] = 0
        with pytest.raises(RuntimeError, match=r"given cuda:0, but .*(no CUDA provider|sees no CUDA device).*cpu"):
            Worker(context)


@without_cuda
def test_a_gpu_whose_torch_is_a_cpu_build_fails_at_the_start_with_the_way_out(
    archive_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nvidia-smi names a device; the worker finds that torch cannot use it."""
    find_java()
    fake_gpu(tmp_path, monkeypatch)
    with refused(SystemProblem, "LX-SERVE-072") as caught:
        serve([archive_of("torchscript-fp32")], workers="gpu:1", state_dir=tmp_path / "state", port=0)
    assert "was given cuda:0, but torch sees no CUDA device" in str(caught.value)
    assert "Install a CUDA build of torch or use cpu workers" in str(caught.value)


def fake_gpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = folder / "bin" / "nvidia-smi"
    command.parent.mkdir()
    script = '#!/bin/sh\ncase "$*" in *-L*) echo "GPU 0: A (UUID: x)";; *) echo index; echo 0;; esac\n'
    command.write_text(script)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@without_cuda
def test_doctor_tells_a_cpu_build_of_torch_on_a_machine_with_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_gpu(tmp_path, monkeypatch)
    finding = doctor._gpu()
    assert finding.state == "note"
    assert finding.found.startswith("1; torch ")
    assert f"torch {torch.__version__} is a CPU build" in finding.remedy
    assert "onnxruntime-gpu" in finding.remedy


@without_cuda
def test_doctor_tells_a_device_that_nvidia_smi_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor._gpu() == doctor.Finding("GPU", "ok", "none that can be used, and none is needed")
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(doctor, "_DEVICE", tmp_path / "nvidia0")
    finding = doctor._gpu()
    assert finding.state == "note"
    assert "nvidia-smi" in finding.found
    assert "is a CPU build" in finding.remedy


def test_doctor_reads_the_cuda_that_torch_was_built_for() -> None:
    assert doctor._torch_cuda() == torch.version.cuda


def check(*options: str) -> str:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), *options], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@without_cuda
@pytest.mark.long
def test_the_check_says_plainly_that_nothing_ran_on_a_gpu() -> None:
    assert check().startswith("Nothing was run on a GPU: torch ")


@pytest.mark.long
def test_the_check_rehearses_on_the_cpu() -> None:
    printed = check("--quick", "--device", "cpu", "--recipes", "bag,transformer")
    assert "A rehearsal on the CPU against itself" in printed
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows] == [f"`{name}`, {one}" for name in ("bag", "transformer") for one in ON_GPU]
    assert all(float(row[1]) <= 1e-5 for row in rows)
    assert "No load test" in printed
