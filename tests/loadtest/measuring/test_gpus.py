"""The GPUs of a machine during a run, by `nvidia-smi`, for which a script stands here."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import psutil
import pytest

from lexport.loadtest.measuring.figures import GpuUse
from lexport.loadtest.measuring.gpus import read_samples, sampled, together

SAMPLES = """0, NVIDIA H200, 40, 1024
1, NVIDIA H200, 0, 10
0, NVIDIA H200, 60, 2048
1, NVIDIA H200, [N/A], 10
0, NVIDIA H2"""
PROGRAM = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[0]).with_name("pid").write_text(str(os.getpid()))
assert "--query-gpu=index,name,utilization.gpu,memory.used" in sys.argv, sys.argv
assert "--format=csv,noheader,nounits" in sys.argv
while True:
    print("0, NVIDIA H200, 50, 3", flush=True)
    time.sleep(0.01)
"""


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    (tmp_path / "program.py").write_text(PROGRAM)
    program.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(tmp_path))}/program.py "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


def test_of_each_gpu_the_mean_use_and_the_most_memory_is_kept() -> None:
    assert read_samples(SAMPLES) == (
        GpuUse(0, "NVIDIA H200", 0.5, 2048 << 20),
        GpuUse(1, "NVIDIA H200", 0.0, 10 << 20),
    )


def test_runs_are_taken_together_if_all_are_known() -> None:
    one, other = (GpuUse(0, "a", 0.2, 5),), (GpuUse(0, "a", 0.6, 3),)
    [both] = together([one, other]) or ()
    assert both.busy == pytest.approx(0.4)
    assert both.memory == 5
    assert together([one, None]) is None
    assert together([None, None]) is None


@pytest.mark.usefixtures("nvidia_smi")
def test_samples_are_taken_while_a_run_lasts_and_the_program_is_ended(tmp_path: Path) -> None:
    with sampled(tmp_path) as sampling:
        until = time.monotonic() + 30
        while not sampling.uses() and time.monotonic() < until:
            os.sched_yield()
    assert sampling.uses() == (GpuUse(0, "NVIDIA H200", 0.5, 3 << 20),)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


@pytest.mark.usefixtures("nvidia_smi")
def test_the_gpus_of_this_machine_say_nothing_of_a_server_elsewhere(tmp_path: Path) -> None:
    with sampled(tmp_path, here=False) as sampling:
        pass
    assert sampling.uses() is None


def test_without_the_program_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with sampled(tmp_path) as sampling:
        pass
    assert sampling.uses() is None
    assert list(tmp_path.iterdir()) == []
