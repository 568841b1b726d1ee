"""`run.score`, `archive.score`, `server.score`: the rows of a file come out with the answers that `predict` gives."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import lexport
from lexport.api.model import AT_ONCE
from lexport.api.scoring import ScoringSummary
from lexport.client import MultiLabelPrediction, Prediction, Vector
from lexport.data.columns import Columns
from lexport.data.whole_rows import open_whole

from ..data.files import jsonl, written
from ..refusals import refused

WORDS = {"good": "gripping warm funny superb".split(), "bad": "dull flat slow tired".split()}


def made_up(count: int) -> tuple[list[str], list[str]]:
    draw = random.Random(0)
    labels = [draw.choice(sorted(WORDS)) for _ in range(count)]
    return [
        f"a {draw.choice(WORDS[one])}, {draw.choice(WORDS[one])} film {n}" for n, one in enumerate(labels)
    ], labels


@pytest.fixture(scope="module")
def run() -> lexport.Run:
    texts, labels = made_up(240)
    return lexport.train(texts=texts, labels=labels, epochs=3, dim=8)


@pytest.fixture(scope="module")
def archive(run: lexport.Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[lexport.Archive]:
    run.export("onnx-fp32")
    with run.archive("1.0", out=tmp_path_factory.mktemp("store")) as archive:
        yield archive


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a scored file, its own column of texts among them."""
    with open_whole(str(path), Columns("text", None), lexport.Reading()) as rows:
        return [dict(row.record) for row in rows]


TEXTS = [*made_up(300)[0], "", "zzz", 'so "dull",\tand\nslow', "a superb film", "a superb film", "很好看"]
ROWS: list[dict[str, Any]] = [{"id": str(n), "text": text, "more": "x,y"} for n, text in enumerate(TEXTS)]
FORMATS = ["out.csv", "out.tsv.gz", "out.jsonl", "out.jsonl.gz", "out.parquet", "out.arrow"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("data") / "new.jsonl", jsonl(*ROWS))


@pytest.mark.parametrize("name", FORMATS)
def test_in_every_format_the_rows_come_out_in_order_with_what_predict_answers(
    run: lexport.Run, source: Path, tmp_path: Path, name: str
) -> None:
    found = run.score(source, tmp_path / name, scores=True)
    columns = ["prediction", "confidence", "score_bad", "score_good"]
    assert found == ScoringSummary(str(tmp_path / name), len(ROWS), 0, columns, {})
    rows = read(tmp_path / name)
    assert [list(row) for row in rows] == [["id", "text", "more", *columns]] * len(ROWS)
    assert [{key: row[key] for key in ("id", "text", "more")} for row in rows] == ROWS
    for row, answer in zip(rows, run.predict(TEXTS), strict=True):
        assert isinstance(answer, Prediction)
        assert row["prediction"] == answer.label
        # As text a number has all of its digits.
        assert float(row["confidence"]) == pytest.approx(answer.score, abs=1e-6)
        assert {label: float(row[f"score_{label}"]) for label in WORDS} == pytest.approx(answer.scores, abs=1e-6)


def test_without_scores_there_are_the_label_and_its_score(run: lexport.Run, source: Path, tmp_path: Path) -> None:
    run.score(str(source), str(tmp_path / "out.jsonl"))
    assert {tuple(row) for row in read(tmp_path / "out.jsonl")} == {
        ("id", "text", "more", "prediction", "confidence")
    }


def test_an_archive_scores_as_its_run_does(
    run: lexport.Run, archive: lexport.Archive, source: Path, tmp_path: Path
) -> None:
    for model, name in ((run, "run.jsonl"), (archive, "archive.jsonl")):
        model.score(source, tmp_path / name)
    for ours, theirs in zip(read(tmp_path / "run.jsonl"), read(tmp_path / "archive.jsonl"), strict=True):
        assert ours.pop("confidence") == pytest.approx(theirs.pop("confidence"), abs=1e-5)
        assert ours == theirs


def test_several_labels_are_a_list_with_a_list_of_their_scores(
    task_run: Callable[[str], Path], tasks_jsonl: Path, tmp_path: Path
) -> None:
    model = lexport.load(task_run("multilabel"))
    model.score(tasks_jsonl, tmp_path / "out.parquet", scores=True)
    rows = read(tmp_path / "out.parquet")
    for row, answer in zip(rows, model.predict([row["text"] for row in rows]), strict=True):
        assert isinstance(answer, MultiLabelPrediction)
        assert row["prediction"] == [one.label for one in answer.labels]
        assert row["confidence"] == pytest.approx([one.score for one in answer.labels], abs=1e-6)
        assert {label: row[f"score_{label}"] for label in answer.scores} == pytest.approx(answer.scores, abs=1e-6)
    assert len({len(row["prediction"]) for row in rows}) > 1


@pytest.mark.parametrize("task", ["vector", "joint"])
def test_models_of_vectors_add_the_vector(
    task_run: Callable[[str], Path], tasks_jsonl: Path, tmp_path: Path, task: str
) -> None:
    model = lexport.load(task_run(task))
    assert model.score(tasks_jsonl, tmp_path / "out.arrow").columns == ["vector"]
    rows = read(tmp_path / "out.arrow")
    for row, answer in zip(rows, model.predict([row["text"] for row in rows]), strict=True):
        assert isinstance(answer, Vector)
        assert row["vector"] == pytest.approx(answer.vector, abs=1e-6)
    with refused(lexport.InputError, "LX-API-017", "--scores"):
        model.score(tasks_jsonl, tmp_path / "more.jsonl", scores=True)
    assert not (tmp_path / "more.jsonl").exists()


def test_a_column_that_would_be_there_twice_is_refused_and_a_prefix_makes_room(
    run: lexport.Run, source: Path, tmp_path: Path
) -> None:
    run.score(source, tmp_path / "first.csv")
    with refused(lexport.InputError, "LX-API-018", "first.csv", "prediction, confidence", "--prefix"):
        run.score(tmp_path / "first.csv", tmp_path / "second.csv")
    assert not (tmp_path / "second.csv").exists()
    run.score(tmp_path / "first.csv", tmp_path / "second.csv", prefix="new_")
    for row in read(tmp_path / "second.csv"):
        assert list(row)[3:] == ["prediction", "confidence", "new_prediction", "new_confidence"]
        assert row["prediction"] == row["new_prediction"]


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(
    run: lexport.Run, source: Path, tmp_path: Path
) -> None:
    written(tmp_path / "out.csv", "old")
    with refused(lexport.InputError, "LX-FILE-001", "out.csv"):
        run.score(source, tmp_path / "out.csv")
    with refused(lexport.InputError, "LX-DATA-019", "'body'"):
        run.score(source, tmp_path / "out.csv", text_column="body", replace=True)
    assert (tmp_path / "out.csv").read_text() == "old"
    run.score(source, tmp_path / "out.csv", replace=True)
    assert len(read(tmp_path / "out.csv")) == len(ROWS)


def test_a_file_may_take_its_own_place(run: lexport.Run, tmp_path: Path) -> None:
    written(tmp_path / "a.csv", "text\nso dull\n")
    run.score(tmp_path / "a.csv", tmp_path / "a.csv", replace=True)
    assert [row["prediction"] for row in read(tmp_path / "a.csv")] == ["bad"]


def test_rows_that_cannot_be_read_are_refused_or_left_out(run: lexport.Run, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", '{"text": "so dull"}\n{"text": 3}\n{"text": "superb"}\n')
    with refused(lexport.InputError, "LX-DATA-001", "a.jsonl, line 2"):
        run.score(path, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    found = run.score(path, tmp_path / "out.csv", reading=lexport.Reading(skip_bad_rows=1))
    assert (found.rows, found.dropped) == (2, {"bad": 1})
    assert [row["prediction"] for row in read(tmp_path / "out.csv")] == ["bad", "good"]


LANGUAGES = jsonl(
    {"text": "soup and bread", "lang": "en"},
    {"text": "mots", "lang": "fr"},
    *({"text": f"goal {n}", "lang": "en"} for n in range(8)),
    {"text": "", "lang": "de"},
)


def assert_errors(rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows of LANGUAGES, of which two were refused."""
    assert len(rows) == 11
    for number, row in enumerate(rows):
        known = number not in (1, 10)
        assert bool(row.get("prediction")) == bool(row.get("confidence")) == known
        assert bool(row.get("error")) != known
    assert "fr" in rows[1]["error"]
    assert "de" in rows[10]["error"]


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_a_refused_row_has_an_error_in_place_of_an_answer(
    task_run: Callable[[str], Path], task_archive: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    path = written(tmp_path / "a.jsonl", LANGUAGES)
    for made in (task_run, task_archive):
        with lexport.load(made("languages")) as model:
            found = model.score(path, tmp_path / name, language_column="lang", replace=True)
        assert (found.rows, found.refused) == (11, 2)
        assert found.columns == ["prediction", "confidence", "error"]
        assert_errors(read(tmp_path / name))


def test_where_every_row_is_refused_the_reason_is_the_error(
    task_run: Callable[[str], Path], run: lexport.Run, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.jsonl", LANGUAGES)
    with refused(lexport.InputError, "LX-API-005", "does not say the language"):
        lexport.load(task_run("languages")).score(path, tmp_path / "out.csv")
    with refused(lexport.InputError, "LX-API-005", "this model has no languages"):
        run.score(path, tmp_path / "out.csv", language_column="lang")
    assert not (tmp_path / "out.csv").exists()


def test_progress_is_told_and_notes_are_said(run: lexport.Run, source: Path, tmp_path: Path) -> None:
    said: list[str] = []
    steps: list[tuple[int, int]] = []
    run.score(
        source, tmp_path / "out.csv", say=said.append, progress=lambda done, total, _: steps.append((done, total))
    )
    assert steps == [(AT_ONCE, len(ROWS)), (len(ROWS), len(ROWS))]
    assert said == ["new.jsonl: UTF-8, a JSON object on every line"]


@pytest.mark.parametrize("name", ["out.csv", pytest.param("out.jsonl.gz", marks=pytest.mark.long)])
def test_memory_does_not_grow_with_the_file(run: lexport.Run, tmp_path: Path, name: str) -> None:
    def peak(rows: int) -> tuple[int, int]:
        """The bytes of a file of so many rows, and the most that were held while it was scored."""
        path = tmp_path / f"{rows}.csv"
        with path.open("w") as file:
            file.write("text,more\n")
            file.writelines(f"so dull {number},{'x' * 1_000}\n" for number in range(rows))
        tracemalloc.start()
        try:
            assert run.score(path, tmp_path / f"{rows}-{name}").rows == rows
            return path.stat().st_size, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    run.predict("so dull")  # what is made once
    (bytes_small, small), (bytes_large, large) = peak(1_000), peak(8_000)
    assert large - small < (bytes_large - bytes_small) / 10


def test_a_server_is_asked_and_what_it_refuses_is_an_error_of_the_row(
    task_archive: Callable[[str], Path], tmp_path: Path
) -> None:
    path = written(tmp_path / "a.jsonl", LANGUAGES)
    state = tmp_path / "state"
    with lexport.serve(task_archive("languages"), port=0, state_dir=state, workers="cpu:1") as server:
        found = server.score(path, tmp_path / "served.csv", language_column="lang")
        assert (found.rows, found.refused) == (11, 2)
        rows = read(tmp_path / "served.csv")
        assert_errors(rows)
        assert "refused the request (400)" in rows[1]["error"]
        # A request that is too long is cut; a text that is too long alone is an error.
        texts = ["soup " * 500_000, "x" * 7_000_000, "soup " * 900_000, "soup"]
        written(tmp_path / "long.jsonl", jsonl(*({"text": text, "lang": "en"} for text in texts)))
        assert server.score(tmp_path / "long.jsonl", tmp_path / "long.out.jsonl", language_column="lang").refused == 1
        assert ["error" in row for row in read(tmp_path / "long.out.jsonl")] == [False, True, False, False]
        # Its address may name the model, and the version.
        for address in (f"{server.url}/predictions/languages", f"{server.url}/predictions/languages/1.0"):
            with lexport.load(address, token_file=state / "key_file.json") as named:
                named.score(path, tmp_path / "again.csv", language_column="lang", replace=True)
            assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "served.csv").read_bytes()
        with (
            lexport.load(f"{server.url}/predictions/other", token_file=state / "key_file.json") as other,
            refused(lexport.LexportError, "LX-CLIENT-012", "other"),
        ):
            other.score(path, tmp_path / "other.csv")
        with (
            lexport.load(server.url, token_file=state / "key_file.json") as unnamed,
            refused(lexport.InputError, "LX-API-011", "/predictions/NAME"),
        ):
            unnamed.score(path, tmp_path / "other.csv")
    with (
        lexport.load(f"{server.url}/predictions/languages") as gone,
        refused(lexport.SystemProblem, "LX-CLIENT-014"),
    ):
        gone.score(path, tmp_path / "other.csv")
    assert not (tmp_path / "other.csv").exists()
