"""A teacher: what is learned of it and of the labels, what a run says of it, and that it helps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import lexport
from lexport.__main__ import run as command_line
from lexport.data.load import Columns, dataset_of, load
from lexport.data.splits import SplitOptions, part_of
from lexport.data.teacher import Teacher
from lexport.errors import InputError
from lexport.models import recipes
from lexport.models.run import open_run
from lexport.training.prepare import prepare
from lexport.training.teaching import Taught, teach
from lexport.training.train import train

from ..conftest import TOPICS
from ..refusals import refused

LABELS = ["kitchen", "sport", "weather"]
SMALL = recipes.load("bag").changed("text", buckets=64, min_count=1).changed("embedding", dim=8)
SMALL = SMALL.changed("training", epochs=3)


def silent(*_: object) -> None:
    pass


def flat(texts: Sequence[str]) -> list[dict[str, float]]:
    """A teacher that is never sure."""
    return [{"kitchen": 0.5, "sport": 0.3, "weather": 0.2} for _ in texts]


def knowing(texts: Sequence[str]) -> list[dict[str, float]]:
    """A teacher that counts the words of each topic."""
    counts = [[1 + 9 * sum(word in TOPICS[label] for word in text.split()) for label in LABELS] for text in texts]
    return [dict(zip(LABELS, (value / sum(own) for value in own), strict=True)) for own in counts]


def new_texts(count: int = 300) -> list[str]:
    """Texts that the data lack."""
    words = [word for own in TOPICS.values() for word in own]
    return [f"{words[number % 30]} {words[number * 7 % 30]} novel{number // 2}" for number in range(count)]


def taught(tiny_csv: Path, teacher: Teacher, *, final: bool = False, **head: Any) -> Taught:
    recipe = SMALL.changed("head", **head)
    prepared = prepare(str(tiny_csv), recipe, Columns(), SplitOptions())
    return teach(prepared, teacher, recipe, LABELS, final=final, progress=silent)


def test_the_targets_mix_what_the_teacher_and_the_labels_say(tiny_csv: Path) -> None:
    known = load(str(tiny_csv)).texts[::2]
    teacher = dict(zip(known, flat(known), strict=True))
    parts = taught(tiny_csv, Teacher.of(teacher), teacher_weight=0.75).prepared.parts
    assert parts.train.targets is not None
    for text, label, target in zip(parts.train.texts, parts.train.labels, parts.train.targets, strict=True):
        own = np.array([name == label for name in LABELS], float)
        np.testing.assert_allclose(
            target, own / 4 + 0.75 * np.array([0.5, 0.3, 0.2]) if text in teacher else own, atol=1e-6
        )
    assert parts.validation.targets is None
    assert parts.test.targets is None


def test_texts_that_only_the_teacher_has_are_trained_on_and_follow_it_alone(tiny_csv: Path) -> None:
    texts = new_texts()
    found = taught(tiny_csv, Teacher.of(dict(zip(texts, knowing(texts), strict=True))), teacher_weight=0.1)
    train, facts = found.prepared.parts.train, found.facts
    assert train.texts[-300:] == texts
    assert train.targets is not None
    np.testing.assert_allclose(train.targets[-300:], [list(one.values()) for one in knowing(texts)], atol=1e-6)
    assert train.labels[-300:] == [max(one, key=one.get) for one in knowing(texts)]  # type: ignore[arg-type]
    assert (facts["texts"], facts["added"], facts["weight"]) == (0, 300, 0.1)
    assert f"0 of {len(train) - 300:,} training texts; 300 texts more" in found.said


def test_held_out_texts_are_never_added_whatever_the_teacher_says_of_them(tiny_csv: Path) -> None:
    every = load(str(tiny_csv)).texts
    found = taught(tiny_csv, Teacher.of(dict(zip(every, flat(every), strict=True))))
    assert found.facts["added"] == 0
    assert not set(found.prepared.parts.train.texts) & set(found.prepared.parts.test.texts)


def test_a_teacher_that_is_asked_is_asked_about_the_training_texts_alone_unless_all_are_fitted(
    tiny_csv: Path,
) -> None:
    asked: list[str] = []

    def answer(texts: list[str]) -> list[dict[str, float]]:
        asked.extend(texts)
        return flat(texts)

    parts = taught(tiny_csv, Teacher.of(answer)).prepared.parts
    assert asked == parts.train.texts
    whole = taught(tiny_csv, Teacher.of(flat), final=True).prepared.parts
    assert whole.test.targets is not None
    np.testing.assert_allclose(whole.test.targets[0], [0.5, 0.3, 0.2], atol=1e-6)


def test_certain_probabilities_of_several_labels_are_those_labels(tasks_jsonl: Path, tmp_path: Path) -> None:
    data = load(str(tasks_jsonl), Columns(label="labels"), multi_label=True)
    names = ["kitchen", "long", "sport", "weather"]
    teacher = {
        text: {name: float(name in own.split("|")) for name in names}
        for text, own in zip(data.texts, data.labels, strict=True)
    }
    options: dict[str, Any] = {"label_column": "labels", "multi_label": True, "recipe": "bag", "epochs": 2, "dim": 8}
    plain = lexport.train(tasks_jsonl, **options)
    same = lexport.train(tasks_jsonl, teacher=teacher, **options)
    assert open_run(same.folder).digest == open_run(plain.folder).digest


def test_of_several_labels_a_text_that_only_the_teacher_has_counts_for_the_probable_ones(tasks_jsonl: Path) -> None:
    recipe = SMALL.changed("head", multi_label=True, threshold=0.4)
    prepared = prepare(str(tasks_jsonl), recipe, Columns(label="labels"), SplitOptions())
    answer = {"kitchen": 0.4, "long": 0.9, "sport": 0.1, "weather": 0.0}
    teacher = Teacher.of({"something new": answer})
    train = teach(prepared, teacher, recipe, sorted(answer), final=False, progress=silent).prepared.parts.train
    assert (train.texts[-1], train.labels[-1]) == ("something new", "kitchen|long")
    assert train.targets is not None
    assert train.targets[-1].tolist() == pytest.approx(list(answer.values()))


def test_certain_probabilities_give_a_linear_model_the_labels(tiny_csv: Path) -> None:
    data = load(str(tiny_csv))
    teacher = {
        text: {name: float(name == label) for name in LABELS}
        for text, label in zip(data.texts, data.labels, strict=True)
    }
    options: dict[str, Any] = {"recipe": "linear", "settings": ["head.class_weights=balanced"]}
    plain, same = lexport.train(tiny_csv, **options), lexport.train(tiny_csv, teacher=teacher, **options)
    for one, other in zip(plain.predict(data.texts[:50]), same.predict(data.texts[:50]), strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-5)  # type: ignore[union-attr]


@pytest.mark.parametrize("recipe", ["bag", "linear"])
def test_a_model_answers_as_its_teacher_does(recipe: str, tiny_csv: Path) -> None:
    run = lexport.train(tiny_csv, teacher=flat, recipe=recipe)
    scores = run.predict("something else entirely").scores  # type: ignore[union-attr]
    assert list(scores.values()) == pytest.approx([0.5, 0.3, 0.2], abs=0.1)


def test_run_card_and_evidence_say_who_taught(tiny_csv: Path, tmp_path: Path) -> None:
    texts = new_texts(20)
    path = tmp_path / "large[1].jsonl"
    lines = [{"text": text} | answer for text, answer in zip(texts, knowing(texts), strict=True)]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    run = lexport.train(tiny_csv, teacher=path, recipe=SMALL, out=tmp_path / "run")
    facts = run.info.training["teacher"]
    assert facts | {"digest": ""} == {"name": path.name, "digest": "", "texts": 0, "added": 20, "weight": 1.0}
    assert len(facts["digest"]) == 64
    card = (run.folder / "README.md").read_text(encoding="utf-8")
    assert r"**Teacher**: large\[1\].jsonl" in card
    assert facts["digest"] in card
    assert run.export("onnx-fp32").run["teacher"] == facts


def test_a_run_without_a_teacher_says_nothing_of_one(trained_run: Any) -> None:
    assert "teacher" not in trained_run.info.training
    assert "**Teacher**" not in (trained_run.folder / "README.md").read_text(encoding="utf-8")


def test_texts_of_the_teacher_count_as_seen(tiny_csv: Path, tmp_path: Path) -> None:
    texts = new_texts(100)
    assert {part_of(text) for text in texts} == {"train", "validation", "test"}
    answers = dict(zip(texts, knowing(texts), strict=True))
    options: list[dict[str, Any]] = [{}, {"splitting": SplitOptions("stratified")}]
    for number, own in enumerate(options):
        run = train(str(tiny_csv), tmp_path / f"run{number}", recipe=SMALL, teacher=Teacher.of(answers), **own)
        parts = run.parts_of(dataset_of(texts, [""] * 100, "new"))
        assert set(parts) == {"train"}
        data = load(str(tiny_csv))
        assert run.parts_of(data).count("test") == run.info.data["test"]


def test_every_fold_learns_from_it_and_never_about_a_text_that_is_held_back(tiny_csv: Path, tmp_path: Path) -> None:
    data = load(str(tiny_csv))
    # It has the right answers to all texts: were they learned of the tested ones too, nothing would be wrong.
    every = {
        text: {name: float(name == label) for name in LABELS}
        for text, label in zip(data.texts, data.labels, strict=True)
    }
    options: dict[str, Any] = {"recipe": SMALL, "cv": 3}
    plain = lexport.train(tiny_csv, **options).info.cross_validation["metrics"]["accuracy"]["folds"]
    told = lexport.train(tiny_csv, teacher=every, **options).info.cross_validation["metrics"]["accuracy"]["folds"]
    assert told == pytest.approx(plain, abs=0.02)


def test_texts_of_a_test_file_are_in_no_fold(tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(str(tiny_csv))
    test = data.texts[:60], data.labels[:60]
    rest = data.texts[60:], data.labels[60:]
    answers = dict(zip(data.texts, knowing(data.texts), strict=True))
    trained: list[set[str]] = []

    def spied(prepared: Any, *given: Any, **named: Any) -> Taught:
        found = teach(prepared, *given, **named)
        trained.append(set(found.prepared.parts.train.texts))
        return found

    monkeypatch.setattr("lexport.training.train.teach", spied)
    lexport.train(texts=rest[0], labels=rest[1], test=test, teacher=answers, recipe=SMALL, cv=3)
    assert len(trained) == 4
    assert not any(texts & set(test[0]) for texts in trained)


def test_folds_in_time_that_lack_a_label_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    rows = [f"text {number},{'abc'[number // 40]},{number}" for number in range(120)]
    path.write_text("\n".join(["text,label,time", *rows]), encoding="utf-8")

    def answer(texts: list[str]) -> list[dict[str, float]]:
        return [dict.fromkeys("abc", 1 / 3) for _ in texts]

    with refused(InputError, "LX-TRAIN-035", "--cv 3", "fold 1"):
        lexport.train(path, teacher=answer, recipe="bag", split="time:time", cv=3, shares="90/5/5")


def test_the_best_of_several_recipes_is_taught_too(tiny_csv: Path) -> None:
    run = lexport.train(tiny_csv, teacher=flat, recipe="auto", epochs=2, budget=1e-9)
    assert run.info.training["teacher"]["name"] == "callable"


def test_fitted_on_all_texts_it_learns_of_the_held_out_ones_as_well(tiny_csv: Path) -> None:
    run = lexport.train(tiny_csv, teacher=flat, recipe=SMALL, final=True, settings=["training.epochs=30"])
    assert run.info.training["final"]["texts"] == len(load(str(tiny_csv)))
    assert run.info.training["teacher"]["texts"] == run.info.data["train"]


def test_a_training_is_resumed_with_the_same_teacher_alone(tiny_csv: Path, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, most: int, what: str) -> None:
        if (tmp_path / "run.training" / "checkpoint.safetensors").exists():
            raise Stopped

    options: dict[str, Any] = {"recipe": SMALL, "out": tmp_path / "run", "checkpoint_every": 0}
    with pytest.raises(Stopped):
        lexport.train(tiny_csv, teacher=flat, progress=stop, **options)
    for other in (knowing, None):
        with refused(InputError, "LX-TRAIN-003", "teacher: was"):
            lexport.train(tiny_csv, teacher=other, resume=True, **options)
    run = lexport.train(tiny_csv, teacher=flat, resume=True, **options)
    whole = lexport.train(tiny_csv, teacher=flat, recipe=SMALL)
    assert open_run(run.folder).digest == open_run(whole.folder).digest


def test_a_run_that_is_trained_further_has_a_teacher_for_its_own_labels(run_folder: Path, tiny_csv: Path) -> None:
    run = lexport.train(tiny_csv, start=run_folder, teacher=flat, settings=["head.teacher_weight=0.5"], epochs=2)
    assert run.info.training["teacher"]["weight"] == 0.5


def test_tasks_without_labels_have_no_teacher(tasks_jsonl: Path) -> None:
    with refused(InputError, "LX-TRAIN-033", "vectors", "vector"):
        lexport.train(tasks_jsonl, teacher=flat, recipe="vectors", pair_column="pair")


def test_a_teacher_of_other_texts_says_nothing(tasks_jsonl: Path, tiny_csv: Path) -> None:
    answers = dict(zip(new_texts(5), flat(new_texts(5)), strict=True))
    with refused(InputError, "LX-TRAIN-034", "mapping"):
        lexport.train(tiny_csv, teacher={"": next(iter(answers.values()))}, recipe=SMALL)
    with refused(InputError, "LX-TRAIN-034", "mapping"):  # its texts have no language
        lexport.train(tasks_jsonl, teacher=answers, language_column="lang", recipe="multilingual")


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_its_weight_is_a_share(weight: float, tiny_csv: Path) -> None:
    with refused(InputError, "LX-RECIPE-010", f"teacher_weight={weight}"):
        lexport.train(tiny_csv, teacher=flat, recipe="bag", settings=[f"head.teacher_weight={weight}"])


def test_the_command_takes_a_run_an_archive_and_the_file_that_score_writes(
    run_folder: Path, archive_of: Any, tiny_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = tmp_path / "scored.csv"
    assert command_line(["score", str(run_folder), str(tiny_csv), "--scores", "--out", str(scored)]) == 0
    digests = set()
    for number, teacher in enumerate((run_folder, archive_of("onnx-fp32"), scored)):
        out = tmp_path / f"run{number}"
        command = ["train", str(tiny_csv), "--teacher", str(teacher), "--model", "bag", "--epochs", "2"]
        assert command_line([*command, "--out", str(out)]) == 0
        facts = open_run(out).info.training["teacher"]
        assert f"teacher {Path(teacher).name}: it knows {facts['texts']}" in capsys.readouterr().out
        assert facts["added"] == 0
        if number != 1:  # an archive's engine rounds otherwise
            digests.add(facts["digest"])
    assert len(digests) == 1


@pytest.mark.long
def test_a_larger_model_lifts_a_small_one_that_has_few_labels_by_what_it_says_of_other_texts() -> None:
    """Real film reviews: 200 with labels, 3,442 without, and a teacher that was fitted on 3,442 others."""
    data = load("rotten-tomatoes")
    rows: dict[str, list[tuple[str, str]]] = {"train": [], "validation": [], "test": []}
    for text, label in zip(data.texts, data.labels, strict=True):
        rows[part_of(text)].append((text, label))
    theirs, others = rows["train"][::2], rows["train"][1::2]
    teacher = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10))
    teacher.fit(*zip(*theirs, strict=True))
    texts = [text for text, _ in others]
    answers = {
        text: dict(zip(teacher.classes_, row, strict=True))
        for text, row in zip(texts, teacher.predict_proba(texts).tolist(), strict=True)
    }
    few, labels = (list(column) for column in zip(*others[:: len(others) // 200], strict=True))
    held_out = {
        "validation": tuple(list(column) for column in zip(*rows["validation"][::4], strict=True)),
        "test": tuple(list(column) for column in zip(*rows["test"], strict=True)),
    }
    alone, with_teacher = (
        lexport.train(texts=few, labels=labels, teacher=given, recipe="bag", **held_out).metrics["test"]["accuracy"]  # type: ignore[arg-type]
        for given in (None, answers)
    )
    assert alone < 0.65
    assert with_teacher > 0.70
