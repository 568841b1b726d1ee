"""docs/evidence.md names every field of the evidence, and none that is not there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lexport.evaluation.tasks import TASKS
from lexport.export.archive.format.reader import EVIDENCE, read_json
from lexport.export.archive.pack import archive
from lexport.export.evidence.evidence import read_evidence
from lexport.export.export import export
from lexport.export.formats.variants import VARIANTS
from lexport.models.run import open_run

from .test_gates import Swapped

PAGE = Path(__file__).parents[3] / "docs" / "evidence.md"


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Every field of a JSON value by its path, `a.b[].c`."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from paths(inner, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from paths(inner, f"{prefix}[]")
    else:
        yield prefix


def general(path: str) -> str:
    """A path as the page writes it: what is different for every run by a word in capitals, both parts by one."""
    path = path.removeprefix("variants[].")
    path = re.sub(r"^validation\.", "test.", path)
    path = re.sub(r"^batch_sensitivity\.(validation|test)\.", "batch_sensitivity.PART.", path)
    path = re.sub(r"^latency\.\d+\.\d+\.", "latency.THREADS.BATCH.", path)
    path = re.sub(r"\.p(1|5|50|95|99)$", ".PERCENTILE", path)
    return re.sub(
        rf"^(robustness\.(?:rates\[\]\.)?)({'|'.join(kind.METRIC for kind in TASKS.values())})$", r"\1METRIC", path
    )


def named() -> set[str]:
    """What the page puts between backticks."""
    return set(re.findall(r"`([^`\n]+)`", PAGE.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def fields(run_folder: Path, task_run: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The fields of real evidence: of every task, and of a refused variant."""
    folder = tmp_path_factory.mktemp("refused") / "topics"
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("export"))
    export(open_run(folder), [Swapped("onnx", "fp32", VARIANTS["onnx-fp32"].table), VARIANTS["onnx-int8"]])
    assert read_evidence(folder).variants[0].worst
    runs = [run_folder, folder, *(task_run(task) for task in ("multilabel", "vector", "joint"))]
    found = [json.loads((run / "export" / "evidence.json").read_text()) for run in runs]
    every = {general(path) for evidence in found for path in paths(evidence)}
    # What is nothing, or empty, in one of them and has fields in another is these fields.
    return {field for field in every if not any(other.startswith((f"{field}.", f"{field}[]")) for other in every)}


def covered(field: str, names: set[str]) -> bool:
    if field in names or f"{field}.*" in names:
        return True
    if field.startswith("gates[]."):
        return field.removeprefix("gates[].") in names
    parts = field.split(".")
    if any(".".join([*parts[:end], "*"]) in names for end in range(1, len(parts))):
        return True
    return parts[0] == "test" and "test.METRIC.*" in names and parts[1] not in ("encoder",)


def test_every_field_is_on_the_page(fields: set[str]) -> None:
    names = named()
    assert sorted(field for field in fields if not covered(field, names)) == []


def test_every_field_on_the_page_is_in_the_evidence(fields: set[str]) -> None:
    dotted = {name for name in named() if re.fullmatch(r"[a-z_]+(\[\])?(\.[A-Za-z_*\[\]]+)+", name)}
    dotted -= {"run.json", "evidence.json"}
    for name in dotted:
        if name == "test.METRIC.*":
            continue
        here = any(field == name or field.startswith(f"{name.removesuffix('.*')}.") for field in fields)
        assert here or name.removesuffix(".*") in fields, name


def test_an_archive_carries_it_with_its_own_variant_in_front(run_folder: Path, tmp_path: Path) -> None:
    mar = archive(run_folder, version="1.0", variant="onnx-int8", out=tmp_path)
    carried = read_json(mar, EVIDENCE)
    assert carried.pop("variant") == "onnx-int8"
    assert carried == json.loads((run_folder / "export" / "evidence.json").read_text())
