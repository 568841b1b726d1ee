"""Each exit in the server that it is for, installed in an environment of its own, answers all goldens."""

from __future__ import annotations

import subprocess
import sys
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


# Which keys of an InferenceService KServe's own types do not know.
_UNKNOWN = """
import sys
import kserve, yaml
service = yaml.safe_load(open(sys.argv[1], encoding="utf-8"))
for part, kind in (
    (service, kserve.V1beta1InferenceService),
    (service["spec"], kserve.V1beta1InferenceServiceSpec),
    (service["spec"]["predictor"], kserve.V1beta1PredictorSpec),
):
    print(*sorted(part.keys() - set(kind.attribute_map.values())))
"""


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_an_inference_service_has_what_kserves_types_have(archive_of: Callable[[str], Path], tmp_path: Path) -> None:
    chosen = KServe(Amounts(1, 1, 300, 600, ()), canary=10)
    write_exit(archive_of("onnx-int8"), "kserve", chosen, tmp_path / "out", python=Path(sys.executable))
    with interpreter_with("kserve") as python:
        command: list[str | Path] = [python, "-c", _UNKNOWN, tmp_path / "out" / "inferenceservice.yaml"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == []


def _check(written: WrittenExit, folder: Path, *, images: bool) -> None:
    assert all(proof.proven for proof in written.proofs), written.proofs
    server = written.proofs[-1]
    goldens = next(folder.rglob("golden.jsonl")).read_text(encoding="utf-8").splitlines()
    assert server.left_out == 0
    assert server.asked >= len(goldens)
    assert images == any('"image"' in golden for golden in goldens)
    # The server left nothing of its own in it.
    assert not list(folder.rglob("__pycache__"))
