"""Teachers: whatever form the probabilities of labels have, they are found by text, checked, and asked for once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from lexport.client.answers import Prediction
from lexport.data.reading.options import Reading
from lexport.data.teacher import Teacher
from lexport.errors import InputError

from ..refusals import refused

LABELS = ("neg", "pos")
TEXTS = ["good fun", "a bore", "unheard of"]


def write(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    return str(path)


def learned(teacher: Teacher, labels: Sequence[str] = LABELS, *, several: bool = False) -> Any:
    teacher.learn(labels, TEXTS, several=several)
    return np.round(teacher.probabilities(TEXTS).astype(float), 6).tolist()


def same(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, atol=1e-6)


NOTHING = [float("nan")] * 2


def test_a_file_has_a_column_for_each_label(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "id,pos,text,neg\n1,0.9,good fun,0.1\n2,0.25,  a bore ,0.75\n")
    teacher = Teacher.of_file(path)
    same(learned(teacher), [[0.1, 0.9], [0.75, 0.25], NOTHING])
    assert teacher.name == "t.csv"
    assert teacher.texts == ["good fun", "a bore"]
    assert teacher.knows("a bore")
    assert not teacher.knows("unheard of")


def test_a_file_may_be_what_score_writes_with_rows_that_were_refused(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"body": "good fun", "prediction": "pos", "confidence": 0.9, "score_neg": 0.1, "score_pos": 0.9},
        {"body": "unheard of", "error": "too long"},
        {"body": "", "prediction": "pos", "confidence": 0.6, "score_neg": 0.4, "score_pos": 0.6},
    ]
    path = write(tmp_path / "t.jsonl", "\n".join(map(json.dumps, rows)))
    teacher = Teacher.of_file(path, "body")
    same(learned(teacher), [[0.1, 0.9], NOTHING, NOTHING])
    assert teacher.texts == ["good fun"]


def test_blank_cells_are_no_answer(tmp_path: Path) -> None:
    same(learned(Teacher.of_file(write(tmp_path / "t.csv", "text,neg,pos\ngood fun,,\na bore,1,0\n"))), [
        NOTHING, [1, 0], NOTHING,
    ])  # fmt: skip


def test_a_text_that_occurs_several_times_has_the_mean_of_its_probabilities(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "text,neg,pos\ngood fun,0,1\ngood fun,1,0\ngood fun,0.2,0.8\n")
    same(learned(Teacher.of_file(path))[0], [0.4, 0.6])


def test_rounded_probabilities_are_made_to_sum_to_one(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "text,neg,pos\ngood fun,0.3333,0.6663\n")
    same(sum(learned(Teacher.of_file(path))[0]), 1.0)


def test_with_several_labels_each_has_its_own_probability(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "text,neg,pos\ngood fun,0.9,0.8\n")
    same(learned(Teacher.of_file(path), several=True)[0], [0.9, 0.8])


def test_all_rows_that_are_no_probabilities_are_listed_at_once(tmp_path: Path) -> None:
    rows = ["fine,0.5,0.5", "a,0.5,0.4", "b,nan,1", "c,-0.1,1.1", "d,high,0", "e,,1", "f,inf,0"]
    path = write(tmp_path / "t.csv", "\n".join(["text,neg,pos", *rows]))
    with refused(InputError, "LX-DATA-066", "6 of 7 rows", "--skip-bad-rows 6") as caught:
        learned(Teacher.of_file(path))
    for said in (
        "line 3: the probabilities",
        "sum to 0.9",
        "line 4",
        "nan",
        "line 5",
        "-0.1",
        "neg is high",
        "neg is missing",
        "line 8",
    ):
        assert said in str(caught.value)
    teacher = Teacher.of_file(path, reading=Reading(skip_bad_rows=6))
    learned(teacher)
    assert teacher.texts == ["fine"]


def test_rows_that_cannot_be_read_are_listed_with_those_that_are_wrong(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "text,neg,pos\nfine,0.5,0.5\na,0.5,0.4\nb,1,0,more,cells\n")
    with refused(InputError, "LX-DATA-066", "t.csv", "2 of 3 rows", "--skip-bad-rows 2"):
        learned(Teacher.of_file(path, reading=Reading(skip_bad_rows=1)))
    answers = {"fine": {"neg": 0.5, "pos": 0.5}, "a": {"neg": 2, "pos": 0}}
    teacher = Teacher.of(answers, Reading(skip_bad_rows=1))
    learned(teacher)
    assert teacher.texts == ["fine"]


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [("0.5,0.4", "LX-DATA-098", "0.9"), ("1.5,0", "LX-DATA-097", "1.5"), ("true,0", "LX-DATA-097", "true")],
)
def test_one_row_that_is_wrong_says_what_is(tmp_path: Path, row: str, code: str, said: str) -> None:
    path = write(tmp_path / "t.csv", f"text,neg,pos\na,{row}\n")
    with refused(InputError, code, "t.csv, line 2", said):
        learned(Teacher.of_file(path))


def test_of_several_labels_too_a_probability_is_at_most_one(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "text,neg,pos\na,0.2,1.2\n")
    with refused(InputError, "LX-DATA-097", "line 2", "1.2"):
        learned(Teacher.of_file(path), several=True)


def test_a_file_without_any_of_the_labels_is_refused_with_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "text,bad,good\na,0.2,0.8\n")
    with refused(InputError, "LX-DATA-099", "t.csv", "neg, pos", "text, bad, good", "score_neg"):
        learned(Teacher.of_file(path))


def test_a_label_that_the_teacher_lacks_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "text,neg\na,1\n")
    with refused(InputError, "LX-DATA-096", "pos", "neg, pos"):
        learned(Teacher.of_file(path))


def test_a_label_that_the_data_lack_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "text,score_neg,score_none,score_pos\na,0.5,0.1,0.4\n")
    with refused(InputError, "LX-DATA-095", "none", "neg, pos"):
        learned(Teacher.of_file(path))
    with refused(InputError, "LX-DATA-095", "none", "neg, pos"):
        learned(Teacher.of({"a": {"neg": 0.5, "none": 0.1, "pos": 0.4}}))


def test_a_mapping_has_texts_of_its_own() -> None:
    teacher = Teacher.of({" good fun": {"pos": 0.9, "neg": 0.1}, "new": {"pos": 0.5, "neg": 0.5}})
    same(learned(teacher)[0], [0.1, 0.9])
    assert teacher.texts == ["good fun", "new"]
    assert teacher.without(["new"]).texts == ["good fun"]
    assert teacher.name == "mapping"


def test_a_function_is_asked_about_each_text_once_in_batches() -> None:
    asked: list[list[str]] = []

    def answer(texts: list[str]) -> list[dict[str, float]]:
        asked.append(texts)
        return [{"neg": 0.25, "pos": 0.75} for _ in texts]

    texts = [f"text {number}" for number in range(300)]
    teacher, steps = Teacher.of(answer), list[tuple[int, int]]()
    teacher.learn(LABELS, texts, several=False, progress=lambda done, most, _: steps.append((done, most)))
    teacher.without(["text 1"]).learn(LABELS, [*texts, "one more", "one more"], several=False)
    assert [len(one) for one in asked] == [256, 44, 1]
    assert steps == [(256, 300), (300, 300)]
    same(teacher.probabilities(["one more"]), [[0.25, 0.75]])
    assert teacher.texts == []


def test_the_answers_of_a_model_are_taken_as_they_are() -> None:
    class Model:
        name = "large"

        def predict(self, texts: Sequence[str]) -> list[Prediction]:
            return [Prediction("pos", 0.7, {"pos": 0.7, "neg": 0.3}, 2, 0, False) for _ in texts]

    teacher = Teacher.of(Model())
    same(learned(teacher), [[0.3, 0.7]] * 3)
    assert teacher.name == "large"


def test_a_classifier_of_scikit_learn_teaches_whatever_its_labels_are() -> None:
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(["good fun", "a bore"], [1, 0])
    same(learned(Teacher.of(model), ("0", "1")), [*np.round(model.predict_proba(TEXTS), 6)])


def test_what_is_no_teacher_is_refused() -> None:
    with refused(InputError, "LX-DATA-094", "7", "int"):
        Teacher.of(7)
    with refused(InputError, "LX-DATA-100", "2 answers to 3 texts"):
        learned(Teacher.of(lambda texts: [{"neg": 1.0, "pos": 0.0}] * 2))
    with refused(InputError, "LX-DATA-101", "text 1", "pos"):
        learned(Teacher.of(lambda texts: ["pos"] * len(texts)))
