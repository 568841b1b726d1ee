"""A benchmark's JSON has what it printed, and the committed documents are whole and current."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lexport.benchmarks import figures, report
from lexport.benchmarks.questions import QUESTIONS
from lexport.benchmarks.report import Report, Verdict

from ..json_schema import problems

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted((ROOT / "docs" / "benchmarks").glob("*.json"))
TEXTS = {"type": "array", "items": {"type": "string", "minLength": 1}}


def fields(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has these and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


COLUMN = fields(name={"type": "string"}, unit={"type": "string"}, align={"enum": ["left", "right"]})
TABLE = fields(
    columns={"type": "array", "items": COLUMN, "minItems": 2},
    rows={"type": "array", "items": {"type": "array", "items": {"type": "string"}}, "minItems": 1},
)
PART = fields(
    title={"type": "string", "minLength": 1},
    above=TEXTS,
    tables={"type": "array", "items": TABLE, "minItems": 1},
    below=TEXTS,
)
SCHEMA = fields(
    benchmark={"enum": list(QUESTIONS)},
    title={"type": "string"},
    question={"type": "string", "pattern": r"^[A-Z].*\?$"},
    command={"type": "string", "pattern": r"^python benchmarks/\w+\.py"},
    date={"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
    minutes={"type": ["integer", "null"], "minimum": 0},  # null: not kept
    machine=fields(
        system={"type": "string"},
        processor={"type": "string"},
        cores={"type": "integer"},
        memory_gib={"type": "number"},
    ),
    versions={"type": "object", "additionalProperties": {"type": "string"}, "required": ["python", "lexport"]},
    parts={"type": "array", "items": PART, "minItems": 1},
    limits={
        "type": "array",
        "items": fields(asked={"type": "string"}, found={"type": "string"}, held={"type": "boolean"}),
    },
    remarks=TEXTS,
)


def validate(document: dict[str, Any]) -> None:
    """Check a document against the schema, and that no row is longer or shorter than its columns."""
    assert problems(SCHEMA, document) == []
    for part in document["parts"]:
        for table in part["tables"]:
            assert {len(row) for row in table["rows"]} == {len(table["columns"])}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_committed_document_is_whole_and_asks_what_its_script_asks(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    validate(document)
    question = QUESTIONS[document["benchmark"]]
    assert (document["title"], document["question"]) == (question.title, question.question)
    assert set(question.remarks) <= set(document["remarks"])
    assert "--quick" not in document["command"]


def test_make_bench_writes_every_document_and_no_other() -> None:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    written = re.findall(r"benchmarks/(\w+)\.py .*--json \$\(FIGURES\)/([\w-]+)\.json\b", lines)
    kept = [(json.loads(path.read_text(encoding="utf-8"))["benchmark"], path.stem) for path in DOCUMENTS]
    assert sorted(written) == sorted(kept)


def test_a_benchmark_writes_what_it_prints(run_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "path.json"
    script = ROOT / "benchmarks" / "request_path.py"
    options = ["--quick", "--run", run_folder, "--variant", "onnx-fp32", "--batches", "1,4", "--json", target]
    done = subprocess.run(
        [sys.executable, str(script), *map(str, options)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(target.read_text(encoding="utf-8"))
    validate(document)
    [part] = document["parts"]
    [table] = part["tables"]
    assert f"### {part['title']}\n\n" in done.stdout
    assert figures.table([column["name"] for column in table["columns"]], table["rows"]) in done.stdout
    assert [row[0] for row in table["rows"]] == ["1", "4"]
    assert {column["unit"] for column in table["columns"][1:]} == {"µs"}
    assert document["command"].endswith("--variant onnx-fp32 --batches 1,4")
    assert "--json" not in document["command"]
    assert f"{document['date']}, {document['minutes']} minutes; " in done.stdout


@pytest.mark.parametrize(
    ("quick", "held", "code"), [(False, [True, True], 0), (False, [True, False], 1), (True, [False], 0)]
)
def test_a_missed_limit_is_written_and_is_the_exit_code_unless_settings_are_quick(
    quick: bool,
    held: list[bool],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks/soak.py", "--json", "soak.json"])
    found = Report(argparse.Namespace(quick=quick, json=tmp_path / "soak.json"))
    found.part("A part")
    found.text("Above.")
    found.table(["process", "MB"], [["worker 1", "285.1"]])
    found.text("Below.")
    assert found.close([Verdict(f"limit {place}", "+0.1", one) for place, one in enumerate(held)]) == code
    document = json.loads((tmp_path / "soak.json").read_text(encoding="utf-8"))
    validate(document)
    assert [limit["held"] for limit in document["limits"]] == held
    assert (document["parts"][0]["above"], document["parts"][0]["below"]) == (["Above."], ["Below."])
    printed = capsys.readouterr().out
    assert "### A part\n\nAbove.\n\n| process | MB |\n| -- | --: |\n| worker 1 | 285.1 |\n\nBelow.\n" in printed
    assert printed.count(" NO |") == held.count(False)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("p50 ms", "ms"),
        ("seconds a fit", "seconds"),
        ("text-in, µs a text", "µs a text"),
        ("opened in s", "s"),
        ("requests/s", "requests/s"),
        ("ours, million words/s", "million words/s"),
        ("GB/s of rows", "GB/s"),
        ("points above fastText", "points"),
        ("users", ""),
        ("words", ""),
        ("× plain", ""),
    ],
)
def test_a_unit_is_taken_from_the_name_of_its_column(name: str, unit: str) -> None:
    assert report.unit_of(name) == unit
