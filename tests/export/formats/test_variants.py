"""Which variants there are, how they are chosen, and what is said of those that cannot be made."""

from __future__ import annotations

import ast
import io
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import lexport
from lexport.errors import InputError, RefusedError
from lexport.export.archive.format.reader import EVIDENCE, read_json
from lexport.export.archive.pack import archive
from lexport.export.evidence.evidence import read_evidence
from lexport.export.export import export
from lexport.export.formats import pt2 as programs
from lexport.export.formats.variants import DEFAULT, DYNAMIC, VARIANTS, choose
from lexport.handlers.model.predictor import Predictor
from lexport.models import recipes
from lexport.models.run import Run, open_run
from lexport.reports.evidence_table import evidence as evidence_table
from lexport.training.train import train

from ...chain.combination_cases import Combination, made
from ...refusals import refused


def names(text: str | None) -> list[str]:
    return [variant.name for variant in choose(text)]


def test_names_are_engine_precision_whether_layers_are_quantized_and_whether_texts_go_in() -> None:
    every = [(engine, bits) for engine in ("torchscript", "onnx") for bits in ("fp32", "fp16", "int8", "int4")]
    assert {(one.engine, one.precision, one.takes) for one in VARIANTS.values()} == {
        *((engine, bits, "ids") for engine, bits in [*every, ("pt2", "fp32")]),
        *((engine, bits, "text") for engine, bits in every if engine == "onnx"),
    }
    assert list(DYNAMIC) == ["torchscript-int8-dynamic", "onnx-int8-dynamic", "onnx-int8-dynamic-text"]
    for name, one in VARIANTS.items():
        assert one.dense == (name in DYNAMIC)
        dynamic, text = "-dynamic" if one.dense else "", "-text" if one.takes == "text" else ""
        assert name == f"{one.engine}-{one.precision}{dynamic}{text}"
    assert len({variant.file for variant in VARIANTS.values()}) == 3


def test_the_usual_ones_are_the_exact_and_the_small_of_both_engines_and_of_texts() -> None:
    assert names(None) == list(DEFAULT)
    assert not any(variant.named for variant in choose(None))


TAKE_APART = {"split", "rsplit", "partition", "rpartition", "startswith", "endswith", "removeprefix", "removesuffix"}
PARTS = {"-"} | {
    part
    for one in VARIANTS.values()
    for part in (one.engine, one.precision, f"-{one.precision}", "-dynamic", "-text")
}
# Other names with hyphens: an archive's file, an error's code, a range of addresses.
OTHERS = [
    "benchmarks/memory.py",
    "docs/generate/errors.py",
    "export/imports/packing.py",
    "handlers/engine/prefault.py",
]


def test_no_name_of_a_variant_is_taken_apart() -> None:
    """What it says stands in the fields of `VARIANTS`; a name is only looked up there."""
    root = Path(lexport.__file__).resolve().parent
    files = [
        file for file in root.glob("*/**/*.py") if not file.relative_to(root).parts[0].startswith((".", "tests"))
    ]
    found = [
        file.relative_to(root).as_posix()
        for file in sorted(files)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TAKE_APART
        if PARTS
        & {one.value for argument in node.args for one in ast.walk(argument) if isinstance(one, ast.Constant)}
    ]
    assert found == OTHERS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*", list(VARIANTS)),
        ("onnx-*", [name for name in VARIANTS if name.startswith("onnx-")]),
        (
            "*-text",
            ["onnx-fp32-text", "onnx-fp16-text", "onnx-int8-text", "onnx-int4-text", "onnx-int8-dynamic-text"],
        ),
        ("*-dynamic", ["torchscript-int8-dynamic", "onnx-int8-dynamic"]),
        ("*-int?", ["torchscript-int8", "torchscript-int4", "onnx-int8", "onnx-int4"]),
        ("pt2-fp32, *-fp32", ["pt2-fp32", "torchscript-fp32", "onnx-fp32"]),
        ("onnx-int8,onnx-int8", ["onnx-int8"]),
    ],
)
def test_names_and_patterns_choose(text: str, expected: list[str]) -> None:
    assert names(text) == expected
    written = [one.strip() for one in text.split(",")]
    assert [one.name for one in choose(text) if one.named] == [name for name in expected if name in written]


@pytest.mark.parametrize("text", ["onnx-int9", "tflite-*", "", "onnx-int8,", "ONNX-INT8"])
def test_what_chooses_nothing_is_an_error_that_names_those_there_are(text: str) -> None:
    with refused(InputError, "LX-EXPORT-014", "torchscript-fp32", "pt2-fp32"):
        choose(text)


@pytest.fixture
def copied(run_folder: Path, tmp_path: Path) -> Run:
    folder = tmp_path / "topics"
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("export"))
    return open_run(folder)


@pytest.mark.long
def test_what_cannot_be_made_is_left_out_with_the_reason(copied: Run) -> None:
    evidence = export(copied, choose("*-int8*,onnx-fp32"))
    assert evidence.left_out == dict.fromkeys(DYNAMIC, "its encoder has no dense layers")
    assert [one.name for one in evidence.variants] == [
        "torchscript-int8",
        "onnx-int8",
        "onnx-int8-text",
        "onnx-fp32",
    ]
    assert read_evidence(copied.folder).left_out == evidence.left_out
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(evidence_table(asdict(evidence)))
    assert f"left out {', '.join(DYNAMIC)}: its encoder has no dense layers." in console.export_text()
    with refused(InputError, "LX-EXPORT-009", "onnx-int8-dynamic", "dense layers"):
        archive(copied.folder, version="1.0", variant="onnx-int8-dynamic", out=copied.folder)


@pytest.mark.parametrize("text", ["onnx-int8-dynamic,onnx-fp32", "*-dynamic"])
def test_what_cannot_be_made_is_an_error_by_name_and_where_nothing_else_is_left(copied: Run, text: str) -> None:
    with refused(InputError, "LX-EXPORT-006", "onnx-int8-dynamic: its encoder has no dense layers"):
        export(copied, choose(text))
    assert not (copied.folder / "export").exists()


def test_a_torch_that_cannot_export_an_lstm_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm, bag = (made(Combination("table", encoder))[0] for encoder in ("lstm", "bag"))
    assert VARIANTS["pt2-fp32"].unsupported_reason(lstm) is None
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    assert f"torch {torch.__version__} exports an LSTM for one length" in str(
        VARIANTS["pt2-fp32"].unsupported_reason(lstm)
    )
    assert VARIANTS["pt2-fp32"].unsupported_reason(bag) is None


def test_a_variant_whose_answers_depend_on_their_batch_beyond_the_goldens_tolerance_is_refused(
    copied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One scale for a whole batch may do that; here every answer in a batch is moved."""
    original = Predictor.predict

    def moved(self: Predictor, texts: Sequence[str], languages: Sequence[str] | None = None) -> list[dict[str, Any]]:
        answers = original(self, texts, languages)
        for answer in answers if len(texts) > 1 else ():
            answer["scores"] = {label: score - 0.05 for label, score in answer["scores"].items()}
        return answers

    monkeypatch.setattr(Predictor, "predict", moved)
    with refused(RefusedError, "LX-EXPORT-005", "answers differ from the recorded ones (golden 1 in"):
        export(copied, choose("onnx-int8"))
    [variant] = read_evidence(copied.folder).variants
    assert str(variant.refused).endswith("so no worker would become ready")


def test_evidence_states_how_far_an_answer_depends_on_its_batch(run_folder: Path) -> None:
    """With a table alone in fewer bits: by the order of sums at most."""
    texts = len(open_run(run_folder).held_out("test"))
    for variant in read_evidence(run_folder).variants:
        assert variant.dense == "fp32"
        assert list(variant.batch_sensitivity) == ["validation", "test"]
        assert variant.batch_sensitivity["test"]["texts"] == min(texts, 512)
        for found in variant.batch_sensitivity.values():
            assert found["flips"] == 0
            assert found["largest_change"] <= 1e-6


@pytest.mark.long
@pytest.mark.parametrize("name", ["cnn", "transformer"])
def test_dynamic_layers_are_measured_to_depend_on_their_batch(name: str, tiny_csv: Path, tmp_path: Path) -> None:
    recipe = recipes.load(name).changed("embedding", dim=96).changed("training", epochs=2)
    run = train(str(tiny_csv), tmp_path / name, recipe=recipe, seed=0)
    evidence = export(run, choose(None))
    assert evidence.left_out == {}
    assert [one.name for one in evidence.variants] == list(DEFAULT)
    changes = {one.name: one.batch_sensitivity["test"]["largest_change"] for one in evidence.variants}
    for variant in evidence.variants:
        assert variant.dense == ("int8" if variant.name in DYNAMIC else "fp32")
    assert max(change for name, change in changes.items() if name not in DYNAMIC) <= 1e-6
    assert min(changes["torchscript-int8-dynamic"], changes["onnx-int8-dynamic"]) > 1e-6
    assert max(changes.values()) < 0.2
    said: list[str] = []
    mar = archive(run.folder, version="1.0", variant="onnx-int8-dynamic", out=tmp_path)
    [own] = [one for one in read_json(mar, EVIDENCE)["variants"] if one["name"] == "onnx-int8-dynamic"]
    assert own["batch_sensitivity"]["test"]["largest_change"] == changes["onnx-int8-dynamic"]
    chosen = archive(run.folder, version="1.1", out=tmp_path, say=said.append)
    assert read_json(chosen, EVIDENCE)["variant"] not in DYNAMIC
    assert "of answers that do not depend on their batch" in said[0]
    # Made of the files of int8 or by itself: the same bytes.
    alone = export(run, choose("onnx-int8-dynamic"))
    assert alone.variants[0].digests == evidence.variant("onnx-int8-dynamic").digests
