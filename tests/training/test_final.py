"""A model that is judged first and then fitted on all texts: what it is trained on, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexport.__main__ import run
from lexport.data.load import load
from lexport.export.archive.format.reader import EVIDENCE
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.pack import archive
from lexport.export.evaluate import evaluate
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.models import recipes
from lexport.models.run import Run
from lexport.training.train import train

SMALL = recipes.load("bag").changed("text", buckets=64, min_count=1).changed("embedding", dim=8)
SMALL = SMALL.changed("training", epochs=4)


@pytest.fixture(scope="module")
def plain(tiny_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(str(tiny_csv), tmp_path_factory.mktemp("plain") / "run", recipe=SMALL)


@pytest.fixture(scope="module")
def final(tiny_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(str(tiny_csv), tmp_path_factory.mktemp("final") / "run", recipe=SMALL, final=True)


def test_the_metrics_are_those_of_the_model_before_which_had_not_seen_the_texts(plain: Run, final: Run) -> None:
    assert {part: final.metrics[part] for part in ("validation", "test")} == plain.metrics
    assert final.own_metrics == final.metrics["final"]
    assert plain.own_metrics == plain.metrics


def test_words_of_held_out_texts_are_in_its_vocabulary(plain: Run, final: Run, tiny_csv: Path) -> None:
    words = {word for text in load(str(tiny_csv)).texts for word in text.split()}
    assert words <= set(final.encoder.vocabulary)
    assert not words <= set(plain.encoder.vocabulary)


def test_the_run_says_on_how_many_texts(final: Run, tiny_csv: Path) -> None:
    assert final.info.training["final"] == {"texts": len(load(str(tiny_csv)))}


def test_the_card_says_what_was_measured_on_what(plain: Run, final: Run) -> None:
    card = (final.folder / "README.md").read_text(encoding="utf-8")
    assert f"Final fit**: on all {len_all(final):,} texts" in card
    assert f"accuracy {plain.metrics['test']['accuracy']:.4f}" in card
    assert "Final fit" not in (plain.folder / "README.md").read_text(encoding="utf-8")


def len_all(run: Run) -> int:
    return int(run.info.data["train"] + run.info.data["validation"] + run.info.data["test"])


def test_all_texts_count_as_seen(final: Run, tiny_csv: Path) -> None:
    assert evaluate(final.folder).seen == final.info.data["test"]
    assert evaluate(final.folder, str(tiny_csv)).seen == len_all(final)
    assert evaluate(final.folder, str(tiny_csv), part="test").seen == final.info.data["test"]


def test_its_variants_are_compared_with_itself_and_the_evidence_says_what_it_scored_before(
    final: Run, plain: Run, tmp_path: Path
) -> None:
    evidence = export(final, choose("onnx-fp32,onnx-int8"))
    assert [one.refused for one in evidence.variants] == [None, None]
    for one in evidence.variants:
        assert one.validation["flips"] <= 1
    assert evidence.trained["test"] == final.own_metrics["test"]
    assert evidence.run["final"]["before"]["test"] == plain.metrics["test"]["accuracy"]
    packed = archive(final.folder, version="1.0", variant="onnx-fp32", out=tmp_path)
    with load_archive(packed) as archived:
        assert archived.read(EVIDENCE)["run"]["final"]["texts"] == len_all(final)


def test_an_archive_of_it_counts_the_texts_of_its_data_as_seen(final: Run, tiny_csv: Path, tmp_path: Path) -> None:
    export(final, choose("onnx-fp32"))
    packed = archive(final.folder, version="1.0", variant="onnx-fp32", out=tmp_path)
    assert evaluate(packed, str(tiny_csv), part="test").seen == final.info.data["test"]


def test_the_command_says_that_all_texts_were_trained_on(final: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(final.folder)]) == 0
    count = final.info.data["test"]
    assert f"{count} of these {count} texts were trained on; the metrics are too good" in capsys.readouterr().err
