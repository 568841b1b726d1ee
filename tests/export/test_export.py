"""Exporting: every variant gives the trained model's answers, whatever the batch, and says what it costs."""

from __future__ import annotations

import contextlib
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from lexport.data.load import Dataset
from lexport.errors import InputError, RefusedError
from lexport.evaluation.metrics import Outputs
from lexport.evaluation.tasks import task_of
from lexport.export.archive.pack import archive
from lexport.export.evidence import measure
from lexport.export.evidence.evidence import read_evidence
from lexport.export.export import export
from lexport.export.formats.tables import ByteTable, Int8GatherTable
from lexport.export.formats.torchscript_onnx import write_torchscript
from lexport.export.formats.variants import IDS_IN, TEXT_IN, VARIANTS, choose
from lexport.handlers.engine.engines import Engine, open_engine
from lexport.handlers.model.distributions import Distributions
from lexport.handlers.model.goldens import read_goldens
from lexport.handlers.model.predictor import Predictor
from lexport.handlers.text.encoder import Ids
from lexport.models.embeddings import Embedding, Table, TableOptions
from lexport.models.predict import image_outputs, text_outputs
from lexport.models.run import Run, open_run
from lexport.storage.cores import cores

from ..conftest import TASKS
from ..refusals import refused

BOUND = {"fp32": 1e-5, "fp16": 2e-3, "int8": 2e-2, "int4": 0.2}
LENGTHS = [(1, 1), (1, 7), (2, 3), (5, 40), (33, 200), (3, 2047)]


def engine_of(folder: Path, name: str) -> Engine:
    variant = VARIANTS[name]
    return open_engine(variant.engine, folder / "export" / name / variant.file, threads=1, device="cpu")


def ragged(run: Run, batch: int, length: int) -> Ids:
    """Random indices with rows of every length from empty to `length`, PAD on the right."""
    draw = np.random.default_rng(batch * 10_000 + length)
    ids = draw.integers(1, run.encoder.spec.rows, (batch, length))
    lengths = draw.integers(0, length + 1, batch)
    lengths[0] = length
    return np.where(np.arange(length) < lengths[:, None], ids, 0)


@pytest.mark.parametrize("name", IDS_IN)
@pytest.mark.parametrize(("batch", "length"), LENGTHS)
def test_every_variant_scores_as_the_trained_model(trained_run: Run, name: str, batch: int, length: int) -> None:
    ids = ragged(trained_run, batch, length)
    with torch.inference_mode():
        expected = trained_run.model(torch.from_numpy(ids)).softmax(dim=1).numpy()
    found = engine_of(trained_run.folder, name)(ids)
    assert found.shape == (batch, 3)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= BOUND[VARIANTS[name].precision]


@pytest.mark.parametrize("name", IDS_IN)
def test_a_text_scores_the_same_alone_and_in_any_batch(trained_run: Run, name: str) -> None:
    engine = engine_of(trained_run.folder, name)
    ids = ragged(trained_run, 9, 30)
    together = engine(ids)
    for row in range(len(ids)):
        width = max(int((ids[row] != 0).sum()), 1)
        assert np.abs(engine(ids[row : row + 1, :width]) - together[row]).max() <= 1e-5


@pytest.mark.parametrize("engine", ["torchscript", "onnx"])
def test_an_image_tower_answers_as_the_trained_one(
    task_run: Callable[[str], Path], tmp_path: Path, engine: str
) -> None:
    run = open_run(task_run("joint"))
    variant = VARIANTS[f"{engine}-int8"]
    variant.write(run.model, run.encoder.spec.inputs, tmp_path)
    tower = open_engine(engine, tmp_path / variant.image_file, threads=1, device="cpu", feed="image")
    for count in (1, 2, 33):
        images = np.random.default_rng(count).random((count, 3), np.float32)
        assert np.abs(tower(images) - image_outputs(run.model, images)).max() <= 1e-5


@pytest.mark.parametrize("name", [name for name in (*IDS_IN, *TEXT_IN) if name.startswith("onnx")])
def test_batch_and_length_are_symbolic_and_weights_lie_outside(run_folder: Path, name: str) -> None:
    folder = run_folder / "export" / name
    graph = onnx.load(str(folder / "model.onnx"), load_external_data=False).graph
    assert all(dim.dim_param for dim in graph.input[0].type.tensor_type.shape.dim)
    # A graph that takes texts has the vocabulary in it, and Unicode's tables, 250 kB.
    most = 350_000 if VARIANTS[name].takes == "text" else 100_000
    assert (folder / "model.onnx").stat().st_size < most
    assert (folder / "model.onnx.data").stat().st_size > 50_000


@pytest.mark.parametrize("name", TEXT_IN)
def test_a_text_in_model_is_the_ids_in_one_with_the_same_weights_beside_it(run_folder: Path, name: str) -> None:
    folder, ids_in = run_folder / "export" / name, run_folder / "export" / name.removesuffix("-text")
    assert (folder / "model.onnx.data").read_bytes() == (ids_in / "model.onnx.data").read_bytes()
    graph = onnx.load(str(folder / "model.onnx"), load_external_data=False).graph
    nodes = [node.name for node in graph.node]
    inner = [node.name for node in onnx.load(str(ids_in / "model.onnx"), load_external_data=False).graph.node]
    assert [node for node in nodes if node in inner] == inner
    assert [value.name for value in graph.input] == ["texts"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param


def test_torchscript_weights_begin_at_multiples_of_64_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    write_torchscript(torch.nn.Linear(80, 90), path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as members:
        assert any(info.file_size > 10_000 for info in members.infolist())
        for info in members.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            name, extra = (int.from_bytes(content[info.header_offset + at :][:2], "little") for at in (26, 28))
            assert (info.header_offset + 30 + name + extra) % 64 == 0
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("engine", ["torchscript", "onnx"])
def test_int8_weights_are_as_small_as_promised(engine: str) -> None:
    rows, dim = 5000, 64
    table: dict[str, Callable[[torch.Tensor], Embedding]] = {"torchscript": ByteTable, "onnx": Int8GatherTable}
    buffers = table[engine](torch.randn(rows, dim)).buffers()
    size = sum(buffer.numel() * buffer.element_size() for buffer in buffers)
    assert size / (rows * dim * 4) <= (dim + 8) / (4 * dim) + 0.01


@pytest.mark.parametrize("form", [ByteTable, Int8GatherTable])
def test_rows_of_unequal_norms_keep_their_direction(form: Callable[[torch.Tensor], Embedding]) -> None:
    """What per-tensor quantization destroys: small rows beside large ones."""
    torch.manual_seed(0)
    weight = torch.randn(1000, 64) * torch.logspace(-4, 2, 1000).unsqueeze(1)
    weight[0] = 0
    ids = torch.arange(1, 1000).unsqueeze(1)
    found = form(weight).pooled(ids)
    cosine = torch.nn.functional.cosine_similarity(found, Table.holding(weight).pooled(ids))
    assert cosine.min() > 0.999


@pytest.mark.parametrize("form", [ByteTable, Int8GatherTable])
def test_pad_stays_exactly_zero(form: Callable[[torch.Tensor], Embedding]) -> None:
    weight = torch.randn(10, 8)
    weight[0] = 0
    pooled = form(weight).pooled(torch.zeros(2, 5, dtype=torch.int64))
    assert torch.equal(pooled, torch.zeros(2, 8))


def test_evidence_states_metric_flips_difference_size_and_latency(run_folder: Path) -> None:
    evidence = read_evidence(run_folder)
    run = open_run(run_folder)
    assert [variant.name for variant in evidence.variants] == [*IDS_IN, *TEXT_IN]
    test = run.held_out("test")
    for variant in evidence.variants:
        assert variant.test["texts"] == len(test.texts)
        assert 0 <= variant.test["flip_share"] <= 1
        assert variant.test["largest_difference"] <= BOUND[variant.precision]
        assert set(variant.latency) == {"1", str(cores())}
        for by_batch in variant.latency.values():
            assert set(by_batch) == {"1", "8", "64"}
            for one in by_batch.values():
                assert 0 < one["p5_ms"] <= one["median_ms"] <= one["p95_ms"]
                assert one["model_median_ms"] > 0
        for part in (variant.validation, variant.test):
            assert part["interval"][0] <= part["accuracy"] <= part["interval"][1]
            assert part["encoder"]["cosine"]["p1"] > 0.98
            assert part["encoder"]["difference"]["p99"] <= 10 * BOUND[variant.precision]
        folder = run_folder / "export" / variant.name
        assert variant.size == sum(file.stat().st_size for file in folder.glob("model.*"))
        assert variant.size_ratio == variant.size / max(
            (run_folder / "weights.safetensors").stat().st_size, 1_000_000
        )
        assert variant.peak_memory is not None
        assert 0 <= variant.peak_memory < 1 << 30
        assert variant.neighbours["overlap"] > 0.8
        assert variant.calibration is not None
        assert abs(variant.calibration["shift"]) < 0.05
        assert variant.robustness is not None
        reference = variant.reference
        assert reference is not None
        texts = [*run.held_out("validation").texts, *run.held_out("test").texts]
        counts = run.encoder.look_up(texts)
        assert reference["texts"] == sum(reference["lengths"]) == sum(reference["confidence"]) == len(texts)
        assert reference["tokens"] == counts.lengths.sum()
        assert reference["unknown_tokens"] == counts.unknown.sum() > 0
        assert reference["unknown_texts"] == (counts.unknown > 0).sum()
        assert sum(reference["labels"].values()) == len(texts)
        assert set(reference["labels"]) == set(run.labels)
        assert [one["rate"] for one in variant.robustness["rates"]] == [0.1, 0.3]
        assert variant.refused is None
        assert variant.worst == []
    assert evidence.trained["test"] == run.metrics["test"]


def test_fp32_variants_report_the_trained_models_own_accuracy(run_folder: Path) -> None:
    evidence = read_evidence(run_folder)
    for name in ("torchscript-fp32", "onnx-fp32", "pt2-fp32"):
        assert evidence.variant(name).test["accuracy"] == evidence.trained["test"]["accuracy"]


class _Shuffled(Table):
    """A table whose rows moved: the answers are another model's."""

    def __init__(self, weight: torch.Tensor) -> None:
        rows = torch.randperm(len(weight), generator=torch.Generator().manual_seed(3))
        super().__init__(1, 1, TableOptions(weight.size(1)))
        self.weight = torch.nn.Parameter(weight[rows].contiguous(), requires_grad=False)


def test_a_wrong_export_is_refused_and_its_reason_recorded(run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "topics"
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("export"))
    good = VARIANTS["torchscript-fp32"]
    bad = replace(good, table=_Shuffled)
    with refused(RefusedError, "LX-EXPORT-005", "max_metric_drop"):
        export(open_run(folder), [bad])
    reason = read_evidence(folder).variant(good.name).refused
    assert reason is not None
    assert "max_metric_drop" in reason


def test_the_gate_judges_the_validation_texts_and_never_the_test_texts(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that are wrong on one part only: that part decides."""
    original = measure.predict_batched
    for wrong_on, expected in (("validation", True), ("test", False)):
        folder = tmp_path / wrong_on
        shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("export"))
        run = open_run(folder)

        def predict_batched(
            predictor: Predictor, part: Dataset, seen: Distributions | None = None, spoilt: str = wrong_on
        ) -> Outputs:
            found = original(predictor, part, seen)
            return np.roll(found, 1, axis=1) if part.name == spoilt else found

        monkeypatch.setattr(measure, "predict_batched", predict_batched)
        with contextlib.suppress(RefusedError):
            export(run, choose("torchscript-fp32"))
        assert (read_evidence(folder).variants[0].refused is not None) == expected


def test_goldens_cover_labels_and_edges(run_folder: Path) -> None:
    run = open_run(run_folder)
    goldens = read_goldens(run_folder / "export" / "onnx-int8" / "golden.jsonl")
    assert len(goldens) >= 16
    texts = [golden.text for golden in goldens]
    validation = run.held_out("validation").texts
    assert "" in texts
    assert any(golden.variant["tokens"] == golden.variant["unknown"] > 0 for golden in goldens)
    assert any(not text.isascii() for text in texts)
    assert max(validation, key=len) in texts
    assert {golden.trained["label"] for golden in goldens} == set(run.labels)
    assert not set(texts) & set(run.held_out("test").texts)
    for golden in goldens:
        [row] = text_outputs(run.model, run.encoder, [golden.text])
        assert golden.trained["scores"] == dict(zip(run.labels, row.tolist(), strict=True))


@pytest.mark.parametrize("name", TASKS)
def test_goldens_of_every_task_ask_what_its_users_ask(task_run: Callable[[str], Path], name: str) -> None:
    run = open_run(task_run(name))
    goldens = read_goldens(run.folder / "export" / "onnx-fp32" / "golden.jsonl")
    texts = [golden for golden in goldens if golden.image is None]
    assert len(texts) >= 16
    assert "" in [golden.text for golden in texts]
    assert {golden.lang for golden in texts} == ({"en", "ne"} if name == "languages" else {None})
    assert len(goldens) - len(texts) == (8 if name == "joint" else 0)
    if name == "multilabel":
        answered = [one["label"] for golden in texts for one in golden.trained["labels"]]
        assert set(answered) <= set(run.labels)
        assert all(one["score"] >= run.threshold for golden in texts for one in golden.trained["labels"])
    if name in ("vector", "joint"):
        for golden in goldens:
            assert golden.variant["vector"] == pytest.approx(golden.trained["vector"], abs=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_evidence_of_every_task_names_what_its_gate_reads(task_run: Callable[[str], Path], name: str) -> None:
    run = open_run(task_run(name))
    evidence = read_evidence(run.folder)
    [variant] = evidence.variants
    metric = task_of(run.recipe.task).METRIC
    assert (evidence.run["task"], evidence.run["metric"]) == (run.recipe.task, metric)
    assert evidence.trained["test"] == run.metrics["test"]
    assert variant.test[metric] == pytest.approx(run.metrics["test"][metric], abs=1e-6)
    assert variant.test["flips"] == 0
    assert variant.refused is None
    assert {"model.onnx", "golden.jsonl"} <= variant.digests.keys()
    assert ("image.onnx" in variant.digests) == (name == "joint")


def test_only_the_named_variants_are_exported(run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "topics"
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("export"))
    export(open_run(folder), choose("torchscript-int8"))
    assert sorted(entry.name for entry in (folder / "export").iterdir()) == ["evidence.json", "torchscript-int8"]
    with refused(InputError, "LX-EXPORT-010", "'onnx-fp32'", "torchscript-int8"):
        read_evidence(folder).variant("onnx-fp32")


def test_an_export_that_breaks_off_leaves_the_former_one(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "topics"
    shutil.copytree(run_folder, folder)
    before = (folder / "export" / "evidence.json").read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "latency", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(open_run(folder), choose("torchscript-fp32"))
    assert (folder / "export" / "evidence.json").read_bytes() == before
    assert not list(folder.glob(".export*"))


def test_unknown_variants_are_named() -> None:
    with refused(InputError, "LX-EXPORT-014", "'onnx-int9'", "torchscript-fp32"):
        choose("onnx-int8,onnx-int9")


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"schema": 2, "variants": [], "run": {"data": 1}}',
        '{"schema": 2, "variants": 3}',
        '{"schema": 2, "variants": [{}]}',
    ],
)
def test_damaged_evidence_is_said_to_be_damaged(tmp_path: Path, content: str) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "evidence.json").write_text(content)
    with refused(InputError, "LX-EXPORT-013"):
        read_evidence(tmp_path)


def test_evidence_of_a_newer_schema_is_refused(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    values = json.loads((run_folder / "export" / "evidence.json").read_text())
    (tmp_path / "export" / "evidence.json").write_text(json.dumps({**values, "schema": 3}))
    with refused(InputError, "LX-EXPORT-012", "3", "2"):
        read_evidence(tmp_path)


def test_an_export_of_an_earlier_lexport_must_be_made_again(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    values = json.loads((run_folder / "export" / "evidence.json").read_text())
    (tmp_path / "export" / "evidence.json").write_text(json.dumps({**values, "schema": 1}))
    with refused(InputError, "LX-EXPORT-016", tmp_path):
        archive(tmp_path, version="1.0")
