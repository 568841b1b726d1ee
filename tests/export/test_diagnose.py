"""Runs and archives are diagnosed on real data: what was put into the data is found, and nothing in ordinary ones."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lexport
from lexport.data.dataset import dataset_of
from lexport.data.load import load
from lexport.data.writing.targets import check_target
from lexport.errors import InputError
from lexport.evaluation.diagnostics.findings import CHECKS, FINE, NOTE, SKIPPED, WARNING, Diagnosis
from lexport.evaluation.tasks import task_of
from lexport.export.diagnose import diagnose
from lexport.export.labels import find_label_errors, write_relabelled
from lexport.models import recipes
from lexport.training.train import train

from ..conftest import TOPICS, write_rows
from ..refusals import refused


def severities(found: Diagnosis) -> dict[str, str]:
    """The worst severity of each check."""
    return {one.check: one.severity for one in reversed(found.findings)}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def flipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, str]]:
    """A run, its data of which 30 of 600 labels were changed, and the right labels of these texts."""
    folder = tmp_path_factory.mktemp("flipped")
    rows = rows_of(write_rows(folder / "topics.csv", seed=7))
    draw = random.Random(1)
    right = {}
    for place in draw.sample(range(len(rows)), 30):
        row = rows[place]
        right[row["text"]] = row["label"]
        row["label"] = draw.choice([label for label in sorted(TOPICS) if label != row["label"]])
    data = write(folder / "flipped.csv", rows)
    recipe = recipes.load("bag").changed("text", buckets=1024).changed("embedding", dim=8)
    train(str(data), folder / "run", recipe=recipe.changed("training", epochs=10))
    return folder / "run", data, right


def test_a_run_alone_is_diagnosed_by_its_held_out_texts(run_folder: Path) -> None:
    found = diagnose(run_folder)
    by_check = severities(found)
    assert set(by_check) == set(CHECKS)
    assert by_check["drift"] == SKIPPED
    assert {by_check[name] for name in ("padding", "norms", "untrained", "duplicates", "leakage")} == {FINE}
    assert "held-out" in found.data


def test_the_data_of_the_training_are_recognized_and_every_check_is_made(run_folder: Path, tiny_csv: Path) -> None:
    found = diagnose(run_folder, str(tiny_csv))
    assert "the data of the training" in found.data
    assert SKIPPED not in severities(found).values()
    assert found.texts == len(load(str(tiny_csv)))
    assert {one.part for one in found.label_errors} <= {"train", "validation", "test"}


def test_changed_labels_are_found_first(flipped: tuple[Path, Path, dict[str, str]]) -> None:
    run, data, right = flipped
    found = diagnose(run, str(data))
    [finding] = found.of("labels")
    assert finding.severity in (NOTE, WARNING)
    suggested = {one.text: one.suggested for one in found.label_errors[: 2 * len(right)]}
    hits = [text for text in right if text in suggested]
    assert len(hits) >= 0.5 * len(right)  # some texts have no word of their topic
    assert sum(suggested[text] == right[text] for text in hits) >= 0.9 * len(hits)
    scores = [one.score for one in found.label_errors]
    assert scores == sorted(scores)


def test_the_file_to_correct_labels_in_has_all_texts_and_is_trained_on(
    flipped: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    run, data, right = flipped
    target = tmp_path / "review.csv"
    found = diagnose(run, str(data), relabel=target)
    rows = rows_of(target)
    assert list(rows[0]) == ["text", "label", "part", "suggested", "score"]
    assert sorted(row["text"] for row in rows) == sorted(load(str(data)).texts)
    count = len(found.label_errors)
    assert [row["suggested"] for row in rows[:count]] == [one.suggested for one in found.label_errors]
    assert {row["suggested"] for row in rows[count:]} == {""}
    for row in rows[:count]:
        if row["text"] in right:
            row["label"] = right[row["text"]]
    again = train(str(write(target, rows)), tmp_path / "again", recipe=recipes.load("linear"))
    assert again.metrics["test"]["accuracy"] > 0.9
    with refused(InputError, "LX-FILE-001", "review.csv"):
        diagnose(run, str(data), relabel=target)


def test_of_equal_texts_the_one_with_the_likely_error_is_written_first(tmp_path: Path) -> None:
    labels = ["a", "b"]
    dataset = dataset_of(["twice"] * 2 + [f"text {number}" for number in range(40)], labels * 21, "texts")
    truth = np.array([0, 1] * 21)
    probabilities = np.where(np.eye(2, dtype=bool)[truth], 0.9, 0.1)
    probabilities[1] = [0.99, 0.01]
    _, errors = find_label_errors(dataset, task_of("classify", labels), probabilities, "by hand")
    assert [(one.row, one.given, one.suggested) for one in errors] == [(1, "b", "a")]
    review = tmp_path / "review.csv"
    write_relabelled(check_target(review, option="--relabel", replace=False), dataset, errors)
    assert [(row["text"], row["label"], row["suggested"]) for row in rows_of(review)[:2]] == [
        ("twice", "b", "a"),
        ("twice", "a", ""),
    ]


def test_warnings_of_the_training_are_left_to_other_checks_only_where_these_see_its_texts(
    run_folder: Path, tiny_csv: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(run_folder, tmp_path / "run")
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    info["warnings"] = [{"code": "LX-WARN-005", "message": "", "details": {"test": 3}, "options": []}]
    (run / "run.json").write_text(json.dumps(info), encoding="utf-8")
    assert "LX-WARN-005" in diagnose(run, skip=["labels"]).of("training")[0].found
    assert "LX-WARN-005" in diagnose(run, str(tiny_csv), skip=["leakage"]).of("training")[0].found
    assert severities(diagnose(run, str(tiny_csv)))["training"] == FINE


def test_other_data_are_judged_by_the_model_and_compared_with_its_held_out_texts(
    run_folder: Path, tmp_path: Path
) -> None:
    other = write_rows(tmp_path / "other.csv", seed=11)
    found = diagnose(run_folder, str(other))
    by_check = severities(found)
    assert by_check["leakage"] == SKIPPED
    assert by_check["drift"] == FINE
    assert "by the model," in found.of("labels")[0].found
    assert {one.part for one in found.label_errors} <= {""}
    draw = random.Random(3)
    rows = [{"text": " ".join(draw.choices(["qq", "zz", "pan"], k=40)), "label": "kitchen"} for _ in range(200)]
    drifted = diagnose(run_folder, str(write(tmp_path / "drifted.csv", rows)))
    assert severities(drifted)["drift"] == WARNING
    assert {word for word, _ in drifted.words} >= {"qq", "zz"}


def test_an_archive_is_checked_as_far_as_it_goes(archive_of: Callable[[str], Path], tmp_path: Path) -> None:
    other = write_rows(tmp_path / "other.csv", seed=11)
    mar = archive_of("onnx-int8")
    found = diagnose(mar, str(other))
    by_check = severities(found)
    table = ("padding", "norms", "untrained", "duplicates", "dimension", "leakage")
    assert {by_check[name] for name in table} == {SKIPPED}
    assert by_check["drift"] == FINE
    assert found.of("unknown")[0].figures["tokens"]
    with refused(InputError, "LX-EVAL-055", "topics-1.0.mar", "Name DATA"):
        diagnose(mar)


def test_checks_are_left_out_by_name_and_without_labels_none_are_read(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("text\n" + "\n".join(f"match goal {n}" for n in range(120)))
    found = diagnose(run_folder, str(tmp_path / "texts.csv"), skip=["labels", "drift", "dimension"])
    assert set(severities(found)) == set(CHECKS) - {"labels", "drift", "dimension"}


def test_texts_with_several_labels_are_judged_label_by_label(
    task_run: Callable[[str], Path], tasks_jsonl: Path, tmp_path: Path
) -> None:
    from lexport.data.load import Columns

    found = diagnose(task_run("multilabel"), str(tasks_jsonl), columns=Columns(label="labels"))
    [finding] = found.of("labels")
    assert finding.severity in (FINE, NOTE, WARNING)
    assert int(finding.figures["judged"]) == found.texts
    rows = [json.loads(line) for line in tasks_jsonl.read_text(encoding="utf-8").splitlines()]
    changed = [row for row in rows if len(row["text"].split()) > 5][:8]
    for row in changed:
        row["labels"] = [next(topic for topic in sorted(TOPICS) if topic not in row["labels"]), "long"]
    other = tmp_path / "changed.jsonl"
    other.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    worse = diagnose(task_run("multilabel"), str(other), columns=Columns(label="labels"))
    first = [one.text for one in worse.label_errors[:16]]
    assert sum(row["text"] in first for row in changed) >= 4


@pytest.mark.parametrize("name", ["vector", "joint", "languages"])
def test_models_of_other_tasks_are_checked_as_far_as_they_have_labels(
    task_run: Callable[[str], Path], name: str
) -> None:
    found = diagnose(task_run(name))
    by_check = severities(found)
    assert set(by_check) == set(CHECKS)
    assert (by_check["labels"] == SKIPPED) == (name != "languages")
    assert (by_check["leakage"] == SKIPPED) == (name == "joint")


def test_options_that_do_not_go_together_are_refused(run_folder: Path, tiny_csv: Path, tmp_path: Path) -> None:
    from lexport.data.load import Columns

    with refused(InputError, "LX-EVAL-053", "out.csv"):
        diagnose(run_folder, relabel=tmp_path / "out.csv")
    with refused(InputError, "LX-EVAL-053", "out.csv"):
        diagnose(run_folder, str(tiny_csv), relabel=tmp_path / "out.csv", skip=["labels"])
    with refused(InputError, "LX-EVAL-054"):
        diagnose(run_folder, columns=Columns("body"))
    with refused(InputError, "LX-EVAL-052", "spelling"):
        diagnose(run_folder, skip=["spelling"])


def test_a_model_that_was_fitted_on_all_texts_does_not_judge_them(tiny_csv: Path, tmp_path: Path) -> None:
    train(str(tiny_csv), tmp_path / "run", recipe=recipes.load("linear"), final=True)
    assert severities(diagnose(tmp_path / "run"))["labels"] == SKIPPED
    assert severities(diagnose(tmp_path / "run", str(tiny_csv)))["labels"] != SKIPPED


def test_it_is_a_method_of_runs_and_archives(
    run_folder: Path, tiny_csv: Path, archive_of: Callable[[str], Path]
) -> None:
    run = lexport.load(run_folder)
    assert isinstance(run, lexport.Run)
    assert run.diagnose(skip=["dimension"]).to_json()["texts"] == run.diagnose().texts
    archive = lexport.load(archive_of("onnx-int8"))
    assert isinstance(archive, lexport.Archive)
    assert archive.diagnose(tiny_csv, skip=["labels"]).target.endswith("topics-1.0.mar")
