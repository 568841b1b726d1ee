"""Each exit in the server that it is for, installed in an environment of its own, answers all goldens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.export.exits.bentoml import BentoML
from lexport.export.exits.exit import Exit
from lexport.export.exits.kserve import Amounts, KServe
from lexport.export.exits.mlflow import MLflow
from lexport.export.exits.mlserver import MLServer
from lexport.export.exits.triton import Triton
from lexport.export.exits.writing import WrittenExit, write_exit

from .environments import interpreter_with

EXITS: dict[str, Exit] = {
    "mlflow": MLflow(),
    "mlserver": MLServer(),
    "bentoml": BentoML(),
    "kserve": KServe(Amounts(1, 1, 300, 600, ())),
    "triton": Triton(backend="python"),
}
TASKS = ("multilabel", "vector", "joint", "languages")


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", EXITS)
def test_it_answers_the_goldens_of_every_task(
    archive_of: Callable[[str], Path], task_archive: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    archives = {"classify": archive_of("onnx-int8"), **{task: task_archive(task) for task in TASKS}}
    with interpreter_with(name) as python:
        for task, mar in archives.items():
            written = write_exit(mar, name, EXITS[name], tmp_path / task, python=python)
            _check(written, tmp_path / task, images=task == "joint")


def _check(written: WrittenExit, folder: Path, *, images: bool) -> None:
    assert all(proof.proven for proof in written.proofs), written.proofs
    server = written.proofs[-1]
    goldens = next(folder.rglob("golden.jsonl")).read_text(encoding="utf-8").splitlines()
    assert server.left_out == 0
    assert server.asked >= len(goldens)
    assert images == any('"image"' in golden for golden in goldens)
    # The server left nothing of its own in it.
    assert not list(folder.rglob("__pycache__"))
