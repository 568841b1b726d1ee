"""Killed with SIGKILL again and again, also while a checkpoint is written, a training ends with the same weights."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lexport.storage.atomic import sha256_file


def command(data: Path, out: Path, *options: str) -> list[str]:
    fixed = ["--dim", "64", "--checkpoint-every", "0", "--device", "cpu"]
    return [sys.executable, "-m", "lexport", "train", str(data), "--out", str(out), *fixed, *options]


@pytest.mark.parametrize(
    ("model", "kills"),
    [("bag", 2), *(pytest.param(name, 4, marks=pytest.mark.long) for name in ("bag", "lstm"))],
)
def test_kill_9_at_any_moment_costs_no_bit(model: str, kills: int, tiny_csv: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    encoder = '[encoder]\nname = "lstm"\nhidden = 32' if model == "lstm" else ""
    recipe.write_text(f"{encoder}\n[training]\nepochs = 12\npatience = 12\nlearning_rate = 0.01\nbatch_size = 4")
    options = ["--model", str(recipe), "--epochs", "12"]
    subprocess.run(command(tiny_csv, tmp_path / "whole", *options), check=True, capture_output=True)
    draw = random.Random(model)
    checkpoint = tmp_path / "run.training" / "checkpoint.safetensors"
    for _ in range(kills):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        with subprocess.Popen(
            command(tiny_csv, tmp_path / "run", *options, "--resume"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as child:
            while child.poll() is None and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
                time.sleep(0.01)
            # Checkpoints follow one another without a pause: most of the time one is being written. There are over a
            # hundred, a few of which pass meanwhile, so that the training is far from its end after the last kill.
            time.sleep(draw.random() / 20)
            child.kill()
        assert child.returncode == -signal.SIGKILL
    ended = subprocess.run(
        command(tiny_csv, tmp_path / "run", *options, "--resume"), check=True, capture_output=True, text=True
    )
    assert "resuming in epoch" in ended.stdout
    assert sha256_file(tmp_path / "run" / "weights.safetensors") == sha256_file(
        tmp_path / "whole" / "weights.safetensors"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.toml", "run", "whole"]
