"""A model of MLflow: a signature, code and data that MLflow finds, and no pickle."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lexport.export.exits.mlflow import MLflow
from lexport.export.exits.writing import write_exit

ArchiveOf = Callable[[str], Path]


def written(mar: Path, out: Path) -> dict[str, Any]:
    write_exit(mar, "mlflow", MLflow(), out, python=Path(sys.executable))
    found: dict[str, Any] = yaml.safe_load((out / "MLmodel").read_text(encoding="utf-8"))
    return found


def test_what_the_flavor_names_is_there_and_nothing_is_pickled(archive_of: ArchiveOf, tmp_path: Path) -> None:
    flavor = written(archive_of("onnx-fp32"), tmp_path / "out")["flavors"]["python_function"]
    assert (tmp_path / "out" / flavor["code"] / f"{flavor['loader_module']}.py").is_file()
    assert (tmp_path / "out" / flavor["data"] / "model.onnx").is_file()
    assert (tmp_path / "out" / flavor["env"]["virtualenv"]).is_file()
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.suffix in (".pkl", ".pickle")] == []


@pytest.mark.parametrize(
    ("task", "columns", "answer"),
    [
        ("multilabel", {"text": True}, ["labels", "scores", "tokens", "unknown", "truncated"]),
        ("vector", {"text": True}, ["vector", "tokens", "unknown", "truncated"]),
        ("joint", {"text": False, "image": False}, ["vector", "tokens", "unknown", "truncated"]),
        ("languages", {"text": True, "lang": True}, ["label", "score", "scores", "tokens", "unknown", "truncated"]),
    ],
)
def test_the_signature_names_what_a_model_takes_and_gives(
    task_archive: Callable[[str], Path], tmp_path: Path, task: str, columns: dict[str, bool], answer: list[str]
) -> None:
    signature = written(task_archive(task), tmp_path / "out")["signature"]
    assert {one["name"]: one["required"] for one in json.loads(signature["inputs"])} == columns
    assert [one["name"] for one in json.loads(signature["outputs"])] == answer


def test_the_example_is_a_golden(archive_of: ArchiveOf, tmp_path: Path) -> None:
    written(archive_of("onnx-fp32"), tmp_path / "out")
    example = json.loads((tmp_path / "out" / "input_example.json").read_text(encoding="utf-8"))["dataframe_split"]
    [golden, *_] = (tmp_path / "out" / "model" / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    assert example == {"columns": ["text"], "data": [[json.loads(golden)["text"]]]}
