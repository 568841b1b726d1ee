"""Several processes of torch's launcher train the model that one would have trained."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

# Nothing drawn at random but the order and the start, so that the sums alone may differ.
RECIPE = """
[text]
ngrams = 2
buckets = 64
[embedding]
dim = 8
sparse = {sparse}
[head]
dropout = 0.0
[training]
epochs = 3
batch_size = 7
word_dropout = 0.0
optimizer = "{optimizer}"
learning_rate = 0.05
clip = 0.2
averaging = {averaging}
"""


def train(folder: Path, data: Path, processes: int, *options: str) -> str:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *launcher, "-m", "lexport", "train", str(data), "--model", str(folder / "mine.toml")]
    command += ["--out", str(folder / str(processes)), "--device", "cpu", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("optimizer", "sparse", "averaging"),
    [
        ("adam", False, 0.0),
        ("adagrad", True, 0.0),
        ("adagrad", True, 0.7),
    ],
)
@pytest.mark.long
def test_three_processes_end_with_the_weights_of_one(
    tiny_csv: Path, tmp_path: Path, optimizer: str, sparse: bool, averaging: float
) -> None:
    recipe = RECIPE.format(optimizer=optimizer, sparse=str(sparse).lower(), averaging=averaging)
    (tmp_path / "mine.toml").write_text(recipe)
    for processes in (1, 3):
        said = train(tmp_path, tiny_csv, processes, "--checkpoint-every", "0")
        assert said.count("training texts") == said.count("Next: lexport export") == 1
    alone, together = (load_file(tmp_path / str(n) / "weights.safetensors") for n in (1, 3))
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-2, atol=2e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3", "mine.toml"]
