"""A run, an archive and a server answer the same calls in the same way."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

import lexport
from lexport.client import Prediction
from lexport.export.archive.recorded import AgainstRecording

from ..refusals import refused

WORDS = {"good": "gripping warm funny superb".split(), "bad": "dull flat slow tired".split()}
TEXTS = ["a superb film", "so dull", "", "zzz", "warm and funny, ünïcode"]


def rows(count: int) -> tuple[list[str], list[str]]:
    draw = random.Random(0)
    labels = [draw.choice(sorted(WORDS)) for _ in range(count)]
    return [
        f"a {draw.choice(WORDS[one])} and {draw.choice(WORDS[one])} film {n}" for n, one in enumerate(labels)
    ], labels


@pytest.fixture(scope="module")
def run() -> lexport.Run:
    texts, labels = rows(300)
    return lexport.train(texts=texts, labels=labels, recipe="bag")


@pytest.fixture(scope="module")
def archive(run: lexport.Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[lexport.Archive]:
    run.export("onnx-fp32")
    with run.archive("1.0", out=tmp_path_factory.mktemp("store")) as archive:
        yield archive


def test_texts_in_memory_are_trained_on(run: lexport.Run) -> None:
    assert run.labels == ["bad", "good"]
    assert run.recipe == "bag"
    assert run.metrics["test"]["accuracy"] > 0.9
    answer = run.predict("a superb film")
    assert isinstance(answer, Prediction)
    assert (answer.label, answer.unknown) == ("good", 0)


def test_a_file_is_trained_on_and_its_path_may_be_a_string(tmp_path: Path) -> None:
    texts, labels = rows(200)
    lines = [f"{text},{label}" for text, label in zip(texts, labels, strict=True)]
    (tmp_path / "reviews.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    run = lexport.train(
        str(tmp_path / "reviews.csv"), out=str(tmp_path / "run"), recipe="linear", label_column="label"
    )
    assert lexport.load(str(tmp_path / "run")).predict(TEXTS) == run.predict(TEXTS)


def test_an_archive_answers_as_its_run_does(run: lexport.Run, archive: lexport.Archive) -> None:
    ours, theirs = run.predict(TEXTS), archive.predict(TEXTS)
    assert [type(one) for one in ours] == [type(one) for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert isinstance(one, Prediction)
        assert isinstance(other, Prediction)
        assert (one.label, one.tokens, one.unknown, one.truncated) == (
            other.label,
            other.tokens,
            other.unknown,
            other.truncated,
        )
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_a_loaded_archive_is_the_same(archive: lexport.Archive) -> None:
    with lexport.load(archive.path) as loaded:
        assert isinstance(loaded, lexport.Archive)
        assert loaded.predict(TEXTS) == archive.predict(TEXTS)
        assert loaded.verify().name == loaded.inspect().name == "bag"


def test_explanations_are_typed(run: lexport.Run, archive: lexport.Archive) -> None:
    ours, theirs = run.explain("a superb film"), archive.explain("a superb film")
    assert ours.method == theirs.method == "additive"
    assert [one.token for one in ours.tokens] == [one.token for one in theirs.tokens] == ["a", "superb", "film"]


@pytest.mark.parametrize("what", ["run", "archive"])
def test_options_mean_the_same_and_are_refused_alike(what: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(what)
    code = {"run": "LX-API-005", "archive": "LX-API-001"}[what]
    assert len(model.predict("so dull", top_k=1).scores) == 1
    with refused(lexport.InputError, code, "`threshold`", "0.5"):
        model.predict("so dull", threshold=0.5)
    with refused(lexport.InputError, code, "`lang`"):
        model.predict(["so dull"], lang="en")
    assert model.predict([]) == []
    with refused(lexport.InputError, "LX-API-007"):
        model.vectors(["so dull"])


def test_many_texts_come_back_in_order(run: lexport.Run) -> None:
    texts, _ = rows(700)
    found = run.predict(texts)
    assert len(found) == 700
    alone = run.predict(texts[650])
    assert isinstance(alone, Prediction)
    assert isinstance(found[650], Prediction)
    assert found[650].scores == pytest.approx(alone.scores, abs=1e-6)


def test_a_notebook_shows_tables_with_everything_escaped(run: lexport.Run, archive: lexport.Archive) -> None:
    shown = run.predict(["<script>alert(1)</script>", "so dull"])._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "bad" in shown
    assert "recipe" in run._repr_html_()
    evaluation = run.evaluate()
    assert evaluation.value == run.metrics["test"]["accuracy"]
    assert evaluation.interval[0] <= evaluation.value <= evaluation.interval[1]
    assert "macro f1" in evaluation._repr_html_()
    assert "onnx-fp32" in archive._repr_html_()


def test_a_temporary_run_is_removed_with_its_object_and_saved_by_save(tmp_path: Path) -> None:
    texts, labels = rows(120)
    run = lexport.train(texts=texts, labels=labels, recipe="bag")
    folder = run.folder
    kept = run.save(str(tmp_path / "kept"))
    assert kept.predict(TEXTS) == run.predict(TEXTS)
    del run
    gc.collect()
    assert not folder.exists()
    with refused(lexport.InputError, "LX-API-009"):
        kept.save(tmp_path / "kept")


def test_what_cannot_be_loaded_or_trained_on_is_said(tmp_path: Path) -> None:
    with refused(lexport.InputError, "LX-API-004"):
        lexport.load(tmp_path)
    with refused(lexport.InputError, "LX-API-003"):
        lexport.train()
    with refused(lexport.InputError, "LX-DATA-009", "2 texts, 1 labels are given"):
        lexport.train(texts=["a", "b"], labels=["x"])


def test_paths_in_options_may_be_strings(archive: lexport.Archive, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("so dull\na superb film\n")
    kept = lexport.record(str(archive.path), str(tmp_path / "texts.txt"), str(tmp_path / "answers.jsonl"))
    assert (kept.answers, kept.refused) == (2, 0)
    compared = lexport.diff(str(tmp_path / "answers.jsonl"), str(archive.path))
    assert isinstance(compared, AgainstRecording)
    assert compared.flips == []
    with refused(lexport.InputError, "LX-LOAD-029", "nothing.txt"):
        archive.loadtest(texts=str(tmp_path / "nothing.txt"), worker_sets=["cpu:1"], users=[1], duration=1)


def test_a_search_is_that_of_the_command(archive: lexport.Archive, run: lexport.Run, tmp_path: Path) -> None:
    for model in (archive, run):
        with refused(lexport.InputError, "LX-LOAD-141", "p99=20ms"):
            model.tune(slo=[], out=str(tmp_path / "tuned"))
    assert not (tmp_path / "tuned").exists()


def test_an_archive_that_could_not_be_named_is_taken_down_quietly() -> None:
    with pytest.raises(TypeError):
        lexport.Archive(3)  # type: ignore[arg-type]
    gc.collect()


def test_only_a_server_of_this_machine_is_stopped() -> None:
    with lexport.load("http://127.0.0.1:9", model="topics") as server:
        assert isinstance(server, lexport.Server)
        with refused(lexport.SystemProblem, "LX-API-012"):
            server.stop()
        with refused(lexport.LexportError, "LX-CLIENT-014", "9"):
            server.predict("still asked")


def test_scikit_learn_takes_it_for_a_classifier() -> None:
    texts, labels = rows(240)
    numbers = [int(label == "good") for label in labels]
    model = lexport.TextClassifier(epochs=4)
    assert is_classifier(model)
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        model.predict(texts)
    assert cross_val_score(model, texts, numbers, cv=3).mean() > 0.9
    model.fit(texts, numbers)
    assert list(model.classes_) == [0, 1]
    scores = model.predict_proba(["superb", "dull"])
    assert np.allclose(scores.sum(axis=1), 1)
    assert list(model.predict(["superb", "dull"])) == [1, 0]


def test_a_server_answers_as_the_archive_does(archive: lexport.Archive, tmp_path: Path) -> None:
    with lexport.serve(archive, port=0, state_dir=tmp_path / "state", workers="cpu:1") as server:
        assert server.models == {"bag": "1.0"}
        assert server.predict(TEXTS) == archive.predict(TEXTS)
        assert server.explain("so dull") == archive.explain("so dull")
        with lexport.load(server.url, model="bag", token_file=tmp_path / "state" / "key_file.json") as other:
            assert isinstance(other, lexport.Server)
            assert other.predict("so dull") == archive.predict("so dull")
        with refused(lexport.LexportError, "LX-CLIENT-012", server.url, "other", "lexport status"):
            server.model("other").predict("so dull")
    with refused(lexport.SystemProblem, "LX-SERVE-056"):
        lexport.server(tmp_path / "state")
