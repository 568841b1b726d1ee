"""Each benchmark runs with tiny settings and prints its tables; the figures themselves mean nothing here."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from lexport.benchmarks import figures

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(script: str, *options: str) -> str:
    command = [sys.executable, str(BENCHMARKS / script), "--quick", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_accuracy(tiny_csv: Path) -> None:
    printed = run("accuracy.py", "--data", str(tiny_csv), "--seeds", "2")
    assert "| **mean of 2 seeds** |" in printed
    assert "| seed | trained | torchscript-fp32 | torchscript-int8 | onnx-fp32 | onnx-int8 |" in printed
    assert "| 30% |" in printed
    assert "| no variant more than 0.5 points below the trained model |" in printed


def test_serving(run_folder: Path) -> None:
    printed = run("serving.py", "--run", str(run_folder), "--variants", "onnx-fp32", "--workers", "1", "--users", "2")
    assert "### 1 worker a model" in printed
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| 2 |")]
    assert [row[1] for row in rows] == ["onnx-fp32", "no-op"]
    assert all(row[7] == "0" for row in rows), printed  # failed requests


def test_a_table_in_markdown() -> None:
    assert figures.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| -- | --: |\n| 1 | 2 |\n"


def test_intervals_hold_what_they_are_of() -> None:
    values = np.random.default_rng(1).normal(0.5, 1.0, (5, 400))
    for low, high in (
        figures.interval(values[0]),
        figures.crossed_interval(values),
        figures.paired_interval(values.mean(axis=1)),
    ):
        assert low < 0.5 < high
        assert high - low < 0.5
