"""Which variant is packed if none is named, and what is said of it."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from lexport.errors import InputError
from lexport.export.archive.format.reader import read_json
from lexport.export.archive.pack import archive
from lexport.export.archive.verify import verify
from lexport.reports.evidence_table import evidence as evidence_table

from ...refusals import refused

Changes = dict[str, tuple[float, int, int]]


def exported(run_folder: Path, folder: Path, changes: Changes) -> Path:
    """A copy of the run whose evidence says that these variants alone passed: milliseconds, bytes, flips of each."""
    shutil.copytree(run_folder, folder)
    path = folder / "export" / "evidence.json"
    evidence = json.loads(path.read_text())
    for variant in evidence["variants"]:
        if variant["name"] in changes:
            time, size, flips = changes[variant["name"]]
            variant |= {"refused": None, "size": size}
            variant["latency"]["1"]["8"]["median_ms"] = time
            variant["validation"] |= {"flips": flips}
        else:
            variant["refused"] = "max_metric_drop: accuracy fell"
    path.write_text(json.dumps(evidence))
    return folder


@pytest.mark.parametrize(
    ("prefer", "changes", "wanted", "reason"),
    [
        (
            None,
            {"onnx-fp32": (0.21, 17, 0), "onnx-int8": (0.24, 5, 0)},
            "onnx-int8",
            "smallest, 5 bytes, of",
        ),
        (None, {"onnx-fp32": (0.21, 17, 0), "onnx-int8": (0.30, 5, 0)}, "onnx-fp32", "the fastest of the variants"),
        (None, {"onnx-int8": (0.9, 5, 0), "onnx-int8-text": (0.1, 4, 0)}, "onnx-int8", "that take ids and passed"),
        (None, {"onnx-int8-text": (0.1, 4, 0)}, "onnx-int8-text", "the fastest of those that passed"),
        ("speed", {"onnx-int8": (0.9, 5, 0), "onnx-int8-text": (0.1, 4, 0)}, "onnx-int8-text", "0.10 ms for 8 texts"),
        (
            "size",
            {"onnx-fp32": (0.1, 17, 0), "onnx-int8": (0.9, 5, 9)},
            "onnx-int8",
            "is the smallest of the",
        ),
        (
            "accuracy",
            {"onnx-fp32": (0.9, 17, 0), "onnx-int8": (0.1, 5, 9)},
            "onnx-fp32",
            "0 of .* texts are predicted differently",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_auto_says_by_which_rule_it_takes_a_variant(
    run_folder: Path, tmp_path: Path, prefer: str | None, changes: Changes, wanted: str, reason: str
) -> None:
    told: list[str] = []
    folder = exported(run_folder, tmp_path / "topics", changes)
    mar = archive(folder, version="1.0", prefer=prefer, out=tmp_path, say=told.append)
    assert read_json(mar, "MAR-INF/EVIDENCE.json")["variant"] == wanted
    assert re.search(rf"{wanted} .*{reason}", told[0])


def slower(folder: Path, name: str, speedup: float, *, dense: str = "fp32", change: float = 0.0) -> None:
    """Have a variant measured at this speed beside its fp32 one; `change`: of its answers by their batch."""
    path = folder / "export" / "evidence.json"
    evidence = json.loads(path.read_text())
    [variant] = [one for one in evidence["variants"] if one["name"] == name]
    [gate] = [one for one in variant["gates"] if one["name"] == "min_speedup"]
    gate |= {"value": speedup, "told": f"it answers 8 texts {speedup:.2f} times as fast"}
    variant["dense"] = dense
    variant["batch_sensitivity"]["validation"]["largest_change"] = change
    path.write_text(json.dumps(evidence))


@pytest.mark.parametrize("prefer", [None, "size"])
def test_auto_says_where_it_takes_what_is_slower_than_its_fp32_variant(
    run_folder: Path, tmp_path: Path, prefer: str | None
) -> None:
    told: list[str] = []
    folder = exported(run_folder, tmp_path / "topics", {"onnx-fp32": (0.21, 17, 0), "onnx-int8": (0.24, 5, 0)})
    slower(folder, "onnx-int8", 0.875)
    archive(folder, version="1.0", prefer=prefer, out=tmp_path, say=told.append)
    assert re.fullmatch(r"onnx-int8 is the smallest.*; it answers 8 texts 0\.88 times as fast", told[0])
    slower(folder, "onnx-int8", 0.996)
    archive(folder, version="1.1", prefer=prefer, out=tmp_path, say=told.append)
    assert "times as fast" not in told[2]


def test_auto_takes_answers_that_depend_on_their_batch_only_where_it_is_told_to_or_none_else_passed(
    run_folder: Path, tmp_path: Path
) -> None:
    """int4 stands for a variant with dense layers in 8 bits, which this model has not."""
    told: list[str] = []
    both: Changes = {"onnx-int8": (0.24, 17, 0), "onnx-int4": (0.10, 5, 0)}
    folder = exported(run_folder, tmp_path / "topics", both)
    slower(folder, "onnx-int4", 1.5, dense="int8", change=0.0021)
    archive(folder, version="1.0", out=tmp_path, say=told.append)
    assert told[0].startswith(
        "onnx-int8 is the fastest of the variants that take ids and passed, of answers that do "
    )
    for prefer in ("speed", "size"):
        told.clear()
        archive(folder, version="1.0", prefer=prefer, out=tmp_path / prefer, say=told.append)
        assert re.match(rf"onnx-int4 is the {'fastest' if prefer == 'speed' else 'smallest'}", told[0])
        assert told[0].endswith("; its answers depend on their batch, by up to 2.1e-03 on the validation texts")
    told.clear()
    only = exported(run_folder, tmp_path / "only", {"onnx-int4": (0.10, 5, 0)})
    slower(only, "onnx-int4", 1.5, dense="int8", change=0.0021)
    archive(only, version="1.0", out=tmp_path, say=told.append)
    assert re.fullmatch(
        r"onnx-int4 is the fastest of the variants that take ids and passed: .*; its answers .*", told[0]
    )


def test_what_was_exported_before_names_said_that_dense_layers_are_quantized_is_packed_and_shown_as_it_is(
    run_folder: Path, tmp_path: Path
) -> None:
    folder = exported(run_folder, tmp_path / "topics", {"onnx-int8": (0.24, 5, 0)})
    slower(folder, "onnx-int8", 1.5, dense="int8", change=0.0021)
    mar = archive(folder, version="1.0", variant="onnx-int8", out=tmp_path)
    assert verify(mar).variant == "onnx-int8"
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(evidence_table(read_json(mar, "MAR-INF/EVIDENCE.json")))
    assert "onnx-int8 + dense " in (shown := console.export_text())
    assert shown.count("+ dense") == 1


def test_what_cannot_be_preferred_is_an_error(run_folder: Path, tmp_path: Path) -> None:
    with refused(InputError, "LX-ARCHIVE-003", "--prefer", "'beauty'", "speed, size, accuracy"):
        archive(run_folder, version="1.0", prefer="beauty", out=tmp_path)
    with refused(InputError, "LX-ARCHIVE-018", "--variant", "onnx-int8"):
        archive(run_folder, version="1.0", prefer="size", variant="onnx-int8", out=tmp_path)
