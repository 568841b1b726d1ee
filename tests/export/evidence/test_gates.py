"""The gates: each refuses the damage it is there for, says limit, value and worst texts, and lets good ones pass."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from safetensors.torch import load_file, save_file
from torch import Tensor

from lexport.errors import InputError, RefusedError
from lexport.export.archive.pack import archive
from lexport.export.evidence.evidence import Evidence, VariantEvidence, read_evidence
from lexport.export.evidence.gates import evaluate_gates, refusal, warning
from lexport.export.evidence.probes import compare_vectors
from lexport.export.export import export
from lexport.export.formats.tables import BagTable, ByteTable
from lexport.export.formats.variants import VARIANTS, Variant
from lexport.handlers.text.spec import Layout
from lexport.models import recipes
from lexport.models.compose import TextModel
from lexport.models.recipes import GateOptions
from lexport.models.run import Run, open_run

from ...refusals import refused

MakeRun = Callable[..., Run]


@pytest.fixture
def own_run(run_folder: Path, tmp_path: Path) -> MakeRun:
    """A copy of the shared run without its exports, with these gates in its recipe, weights as `edit` leaves them."""

    def make(edit: Callable[[Run, dict[str, Tensor]], None] = lambda run, weights: None, **gates: Any) -> Run:
        folder = tmp_path / "topics"
        shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("export"))
        weights = load_file(folder / "weights.safetensors")
        edit(open_run(folder), weights)
        save_file(weights, folder / "weights.safetensors")
        info = json.loads((folder / "run.json").read_text())
        info["recipe"]["gates"] |= gates
        (folder / "run.json").write_text(json.dumps(info))
        return open_run(folder)

    return make


def exported(run: Run, *variants: Variant) -> Evidence:
    """The evidence of an export of which at least one variant passes."""
    return export(run, [*variants, VARIANTS["torchscript-fp32"]])


def failed(variant: VariantEvidence) -> set[str]:
    return {gate["name"] for gate in variant.gates if not gate["held"]}


class PerTensor(BagTable):
    """Eight bits with one scale for the whole table, as quantization per tensor has it."""

    def __init__(self, weight: Tensor) -> None:
        scale = weight.abs().max() / 127
        super().__init__((weight / scale).round().clamp(-127, 127) * scale)


def lengthen_an_unused_row(run: Run, weights: dict[str, Tensor]) -> None:
    """Give a row that no held-out text meets 10,000 times the length of all others."""
    texts = [*run.held_out("validation").texts, *run.held_out("test").texts]
    used = set(np.unique(run.encoder.assemble(run.encoder.look_up(texts))).tolist())
    [table] = [value for name, value in weights.items() if name.startswith("embedding.")]
    row = next(row for row in range(2, len(table)) if row not in used)
    table[row] = 10_000 * table.abs().max()


def test_a_table_quantized_per_tensor_with_unequal_norms_is_refused_for_its_vectors(own_run: MakeRun) -> None:
    run = own_run(lengthen_an_unused_row)
    bad = Variant("torchscript", "int8", PerTensor)
    evidence = exported(run, bad)
    found = evidence.variant(bad.name)
    assert {"min_cosine_p1", "max_metric_drop"} <= failed(found)
    assert found.refused is not None
    assert "min_cosine_p1: for one validation text in 100" in found.refused
    assert "minimum allowed: 0.98" in found.refused
    assert found.neighbours["overlap"] < 0.9
    good = export(run, [VARIANTS["torchscript-int8"]]).variants[0]
    assert good.refused is None
    assert good.neighbours["overlap"] > 0.9


class Swapped(Variant):
    """Writes the model with its labels in another order."""

    def form(self, model: TextModel) -> TextModel:
        form = super().form(model)
        head = copy.deepcopy(form.head)
        for value in head.linear.parameters():  # type: ignore[union-attr]
            value.data = value.data.roll(1, dims=0)
        return type(form)(form.embedding, form.encoder, head).eval()


def test_swapped_labels_are_refused_for_metric_and_flips_while_the_vectors_are_right(own_run: MakeRun) -> None:
    bad = Swapped("onnx", "fp32", VARIANTS["onnx-fp32"].table)
    found = exported(own_run(), bad).variant("onnx-fp32")
    assert failed(found) == {"max_metric_drop", "max_flips"}
    assert found.validation["flip_share"] == pytest.approx(1.0, abs=0.05)
    assert found.validation["encoder"]["cosine"]["p1"] > 0.9999
    assert found.calibration is not None
    assert found.calibration["shift"] > 0.1  # as sure as before, and wrong
    assert found.refused is not None
    assert f"validation texts are predicted differently ({found.validation['flip_share']:.4f})" in found.refused


class DamagedScale(Variant):
    """Writes a good file, then changes the scale of the rows that the most texts meet."""

    def write(self, model: TextModel, inputs: Layout, folder: Path) -> None:
        super().write(model, inputs, folder)
        path = folder / self.file
        graph = onnx.load(str(path))
        rows = model.embedding.settled().size(0)  # type: ignore[operator]
        [scale] = [one for one in graph.graph.initializer if one.data_type == 1 and max(one.dims, default=0) == rows]
        values = numpy_helper.to_array(scale).copy()
        values[2:12] *= -30  # the words seen most often in training
        scale.CopyFrom(numpy_helper.from_array(values, scale.name))
        (folder / f"{self.file}.data").unlink()
        onnx.save(graph, str(path), save_as_external_data=True, location=f"{self.file}.data", size_threshold=1024)


def test_a_damaged_scale_in_the_file_is_refused(own_run: MakeRun) -> None:
    bad = DamagedScale("onnx", "int8", VARIANTS["onnx-int8"].table)
    found = exported(own_run(), bad).variant("onnx-int8")
    assert {"min_cosine_p1", "max_flips"} <= failed(found)
    assert found.validation["encoder"]["cosine"]["p1"] < 0.5
    assert found.neighbours["overlap"] > 0.9  # the table itself was right; the file is not


def test_a_wrong_order_of_the_vocabulary_is_refused_by_the_accuracy_that_training_found(
    own_run: MakeRun, tmp_path: Path
) -> None:
    run = own_run()
    words = (run.folder / "vocabulary.txt").read_text().splitlines()
    (run.folder / "vocabulary.txt").write_text("\n".join([*reversed(words)]) + "\n")
    with refused(RefusedError, "LX-EXPORT-005", "max_metric_drop: accuracy on the valid"):
        export(open_run(run.folder), [VARIANTS["onnx-fp32"]])
    assert failed(read_evidence(run.folder).variants[0]) == {"max_metric_drop"}


class Slow(ByteTable):
    """int8 that does its work 400 times over."""

    def pooled(self, ids: Tensor) -> Tensor:
        count, width = ids.size(0), ids.size(1)
        many = torch.cat([ids.reshape(-1).to(torch.int32)] * 400)
        offsets = torch.arange(400 * count, dtype=torch.int32, device=ids.device) * width
        return self._sums(many, offsets)[:count]


@pytest.mark.parametrize("refused", [False, True])
def test_an_int8_that_is_slower_is_warned_of_or_refused_where_the_recipe_says_so(
    own_run: MakeRun, refused: bool
) -> None:
    said: list[str] = []
    run = own_run(slow_refused=refused)
    slow = Variant("torchscript", "int8", Slow)
    found = export(run, [VARIANTS["torchscript-fp32"], slow], say=said.append).variant(slow.name)
    assert failed(found) == {"min_speedup"}
    reason = found.refused if refused else found.warning
    assert reason is not None
    assert "min_speedup: it answers 8 texts 0." in reason
    assert "minimum allowed: 0.8" in reason
    assert (found.refused is None) != refused
    assert any("min_speedup" in line for line in said) != refused


def test_an_archive_of_a_refused_variant_is_refused_with_gate_limit_value_and_the_ten_worst_texts(
    own_run: MakeRun, tmp_path: Path
) -> None:
    run = own_run()
    found = exported(run, Swapped("onnx", "fp32", VARIANTS["onnx-fp32"].table)).variant("onnx-fp32")
    with refused(RefusedError, "LX-ARCHIVE-019") as caught:
        archive(run.folder, version="1.0", variant="onnx-fp32", out=tmp_path / "store")
    first, second, *lines = str(caught.value).splitlines()
    assert first.startswith(
        "onnx-fp32 is refused by the gate max_metric_drop: accuracy on the validation texts fell by"
    )
    assert "maximum allowed: 0.005; max_flips: " in first
    assert second == "    Validation texts that differ most, trained model → variant:"
    assert len(lines) == len(found.worst) == 10
    validation = run.held_out("validation").texts
    for line, one in zip(lines, found.worst, strict=True):
        assert one["text"] in validation
        assert line == f"      {one['text']!r}: {one['trained']} → {one['variant']}"
        assert one["trained"].split()[0] != one["variant"].split()[0]
    assert not (tmp_path / "store").exists()
    assert archive(run.folder, version="1.0", out=tmp_path / "store").is_file()  # the one that passed


def test_a_recipe_changes_the_gates(own_run: MakeRun) -> None:
    lenient = {"max_metric_drop": 1.0, "max_flips": 1.0}
    found = exported(own_run(**lenient), Swapped("onnx", "fp32", VARIANTS["onnx-fp32"].table))
    assert found.variant("onnx-fp32").refused is None
    assert found.gates["max_flips"] == 1.0


def test_gates_are_read_from_toml_and_a_run_without_any_has_the_usual_ones() -> None:
    content = "[gates]\nmax_flips = 0\nmin_speedup = 1.2\nslow_refused = true\n"
    assert recipes.parse("mine", content).gates == GateOptions(max_flips=0, min_speedup=1.2, slow_refused=True)
    before = recipes.load("bag").to_json()
    del before["gates"]
    assert recipes.restore(before).gates == GateOptions()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "max_flip = 0.1",
            "unknown options: max_flip (did you mean max_flips?); known are: max_metric_drop",
        ),
        ("max_flips = 2", "max_flips=2.0 must be a share from 0 to 1"),
        ("min_cosine_p1 = 1.5", "min_cosine_p1=1.5 must be a cosine"),
        ("max_size_ratio = 0", "max_size_ratio=0.0 must be a number above 0"),
        ('slow_refused = "no"', "slow_refused is 'no'; bool was expected"),
    ],
)
def test_a_gate_that_is_no_limit_is_named(line: str, says: str) -> None:
    with refused(InputError, "LX-RECIPE-010") as error:
        recipes.parse("mine", f"[gates]\n{line}\n")
    assert says in str(error.value)


def figures(**changed: float) -> list[Any]:
    """`evaluate_gates` of a variant that is as good as the trained model, but for `changed`."""
    values = {"metric": 0.8, "flips": 0, "batch_flips": 0, "cosine": 1.0, "size": 1.0, "speedup": 1.0} | changed
    validation = {
        "accuracy": values["metric"],
        "texts": 1000,
        "flips": values["flips"],
        "encoder": {"cosine": {"p1": values["cosine"]}},
    }
    batch = {"texts": 500, "flips": values["batch_flips"]}
    return evaluate_gates(GateOptions(), "accuracy", 0.8, validation, batch, values["size"], values["speedup"])


@pytest.mark.parametrize(
    ("gate", "just_held", "beyond"),
    [
        ("max_metric_drop", {"metric": 0.795 + 1e-9}, {"metric": 0.794}),
        ("max_flips", {"flips": 30}, {"flips": 31}),
        ("max_batch_flips", {"batch_flips": 10}, {"batch_flips": 11}),
        ("min_cosine_p1", {"cosine": 0.98}, {"cosine": 0.9799}),
        ("max_size_ratio", {"size": 1.5}, {"size": 1.51}),
        ("min_speedup", {"speedup": 0.8}, {"speedup": 0.79}),
    ],
)
def test_each_limit_itself_is_allowed_and_what_lies_beyond_is_not(
    gate: str, just_held: dict[str, float], beyond: dict[str, float]
) -> None:
    assert all(one.held for one in figures(**just_held))
    found = figures(**beyond)
    assert [one.name for one in found if not one.held] == [gate]
    told = warning(found) if gate == "min_speedup" else refusal(found)
    assert told is not None
    assert told.startswith(f"{gate}: ")
    assert (refusal(found) is None) == (gate == "min_speedup")
    [nan] = [one for one in figures(**dict.fromkeys(beyond, float("nan"))) if one.name == gate]
    assert not nan.held


rows = st.lists(st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3), min_size=1, max_size=8)


@given(rows, st.floats(0.01, 100))
def test_vectors_that_differ_in_length_alone_have_the_cosine_one(values: list[list[float]], factor: float) -> None:
    vectors = np.array(values, np.float32)
    found = compare_vectors(vectors, vectors)
    assert found["cosine"]["p1"] == pytest.approx(1)
    assert found["difference"]["p99"] == 0
    if np.linalg.norm(vectors, axis=1).min() > 1e-3:
        scaled = compare_vectors(vectors, (vectors * factor).astype(np.float32))
        assert scaled["cosine"]["p1"] == pytest.approx(1, abs=1e-5)


def test_an_empty_vector_is_like_another_empty_one_and_no_other() -> None:
    zero, one = np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32)
    assert compare_vectors(zero, zero)["cosine"]["p50"] == 1
    assert compare_vectors(zero, one)["cosine"]["p50"] == 0
