"""Tasks: what each is judged by, what counts as another answer, which columns it reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lexport.data.load import Columns, Dataset, dataset_of, load
from lexport.errors import InputError
from lexport.evaluation.metrics import Outputs
from lexport.evaluation.tasks import TASKS, UNLABELLED, Joint, Vectors, task_of

from ..refusals import refused

LABELS = ["a", "b", "c"]


def part(labels: list[str], pairs: bool = False) -> Dataset:
    texts = [f"text {row}" for row in range(len(labels))]
    return dataset_of(texts, labels, "mine.csv", pairs=[f"{text}, too" for text in texts] if pairs else None)


def outputs(*rows: list[float]) -> Outputs:
    return np.array(rows, np.float32)


def test_one_label_is_judged_by_the_best_score() -> None:
    found = task_of("classify", LABELS).metrics(part(["a", "b", "c", "a"]), np.eye(3, dtype=np.float32)[[0, 1, 1, 0]])
    assert found["accuracy"] == 0.75
    low, high = found["accuracy_interval"]
    assert 0.25 < low < 0.75 < high < 1
    assert found["confusion"] == [[2, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert found["count"] == 4


def test_several_labels_are_judged_from_the_threshold_up() -> None:
    scores = outputs([0.9, 0.5, 0.1], [0.2, 0.4, 0.45], [0.6, 0.1, 0.2])
    truth = part(["a|b", "", "c"])
    half = task_of("multilabel", LABELS).metrics(truth, scores)
    assert half["micro_f1"] == 2 * 2 / (3 + 3)  # right: a and b; answered a, b, a; to find a, b, c
    assert half["accuracy"] == 2 / 3
    low = task_of("multilabel", LABELS, 0.15).metrics(truth, scores)
    assert low["micro_f1"] == 2 * 3 / (3 + 7)
    assert low["threshold"] == 0.15


def test_vectors_are_judged_by_finding_their_own_pair() -> None:
    texts, pairs = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[[0, 2, 1]]
    found = task_of("vector").metrics(part(["", "", ""], pairs=True), np.concatenate([texts, pairs]))
    assert found["recall_at_1"] == 1 / 3
    assert found["recall_at_5"] == 1
    assert found["chance_at_1"] == pytest.approx(1 / 3)
    assert (found["targets"], found["count"]) == (3, 3)


def test_a_joint_model_is_judged_both_ways_and_any_image_of_the_label_is_right() -> None:
    texts = outputs([1, 0], [1, 0], [0, 1])
    images = outputs([1, 0], [0.8, 0.6], [1, 0])
    found = task_of("joint").metrics(part(["a", "a", "b"]), np.concatenate([texts, images]))
    assert found["recall_at_1"] == 0  # an image of b lies as near: ties count as lost
    assert found["image_to_text"]["recall_at_1"] == 2 / 3
    apart = task_of("joint").metrics(part(["a", "b", "c"]), np.concatenate([texts, texts[[0, 2, 1]]]))
    assert apart["chance_at_1"] == pytest.approx(1 / 3)


def test_rows_of_one_label_belong_together_in_a_joint_model_alone() -> None:
    assert Joint().groups(part(["b", "a", "b"])).tolist() == [1, 0, 1]
    assert Joint().groups(part(["", "", ""])).tolist() == [0, 1, 2]
    assert Vectors().groups(part(["b", "a", "b"])).tolist() == [0, 1, 2]


def test_another_best_label_is_a_flip_and_another_score_is_none() -> None:
    trained = outputs([0.6, 0.4], [0.2, 0.8], [0.51, 0.49])
    assert task_of("classify", LABELS).flips(outputs([0.9, 0.1], [0.3, 0.7], [0.49, 0.51]), trained) == 1
    assert task_of("classify", LABELS).flips(trained, trained) == 0


def test_another_set_of_labels_is_a_flip() -> None:
    trained = outputs([0.6, 0.4], [0.2, 0.8], [0.1, 0.1])
    assert task_of("multilabel", LABELS).flips(outputs([0.6, 0.6], [0.2, 0.7], [0.2, 0.1]), trained) == 1
    assert task_of("multilabel", LABELS, 0.2).flips(outputs([0.6, 0.4], [0.2, 0.8], [0.25, 0.25]), trained) == 1


@pytest.mark.parametrize("task", ["vector", "joint"])
def test_another_nearest_neighbour_is_a_flip(task: str) -> None:
    texts = outputs([1, 0], [0, 1])
    trained = np.concatenate([texts, outputs([1, 0], [0, 1])])
    assert task_of(task, LABELS).flips(np.concatenate([texts, outputs([0.9, 0.1], [0.1, 0.9])]), trained) == 0
    assert task_of(task, LABELS).flips(np.concatenate([texts, outputs([0, 1], [0, 1])]), trained) == 1


@pytest.mark.parametrize("task", ["vector", "joint"])
def test_of_equally_near_neighbours_another_one_is_no_flip(task: str) -> None:
    trained = outputs([1, 0], [0, 1], [1, 0], [1, 0])
    rounded = outputs([1, 0], [0, 1], [1 - 1e-7, 0], [1, 0])
    assert task_of(task, LABELS).flips(rounded, trained) == 0
    alone, other = outputs([1, 0], [1, 0], [1 - 1e-7, 0], [0, 1]), outputs([1, 0], [0, 1], [1, 0], [1, 0])
    assert task_of(task, LABELS).flips_alone(alone, alone[[0, 1, 2, 3]] + np.float32(5e-8)) == 0
    assert task_of(task, LABELS).flips_alone(alone, other) == 1  # of the first
    assert task_of(task, LABELS).flips_alone(outputs([1, 0]), outputs([1, 0])) == 0


@pytest.mark.parametrize(
    ("task", "source", "label"),
    [
        ("classify", "mine.csv", "label"),
        ("multilabel", "mine.csv", "label"),
        ("vector", "mine.csv", None),
        ("vector", "rotten-tomatoes", None),
        ("joint", "mine.csv", None),
        ("joint", "digit-captions", "label"),
    ],
)
def test_the_label_column_is_read_where_the_task_needs_it(task: str, source: str, label: str | None) -> None:
    assert TASKS[task].columns(source, UNLABELLED) == Columns(label=label)
    assert TASKS[task].columns(source, Columns(label="stars")).label == "stars"


def test_every_task_has_the_metric_that_its_gate_reads() -> None:
    unit = np.concatenate([np.eye(3, dtype=np.float32)] * 2)
    for name, kind in TASKS.items():
        scores = unit[:3] if kind.GIVES_SCORES else unit
        assert task_of(name, LABELS).metrics(part(LABELS), scores)[kind.METRIC] == 1


LONG = "one two three four five six seven eight nine ten"


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "mine.csv"
    path.write_text(f"text,label,other,image\n{LONG},a,another text,0 1 2\n{LONG} more,b,a third,3 4 5\n")
    return str(path)


@pytest.mark.parametrize(
    ("task", "columns", "error"),
    [
        ("classify", Columns(pair="other"), ("LX-EVAL-005", "mine.csv", "pairs", "'vector'")),
        ("multilabel", Columns(image="image"), ("LX-EVAL-005", "mine.csv", "images", "'joint'")),
        ("vector", Columns(image="image"), ("LX-EVAL-005", "mine.csv", "images", "'joint'")),
        ("joint", Columns(image="image", pair="other"), ("LX-EVAL-005", "mine.csv", "pairs", "'vector'")),
        ("joint", Columns(), ("LX-EVAL-004", "mine.csv", "images", "'joint'", "--image-column")),
    ],
)
def test_columns_that_a_task_lacks_or_has_no_use_for_are_named(
    table: str, task: str, columns: Columns, error: tuple[str, ...]
) -> None:
    with refused(InputError, *error):
        TASKS[task].prepare(load(table, columns), columns)


def test_a_vector_model_without_pairs_learns_from_halves(table: str) -> None:
    assert TASKS["vector"].prepare(load(table), Columns()).pairs == [
        "six seven eight nine ten",
        "seven eight nine ten more",
    ]
    columns = Columns(pair="other")
    assert TASKS["vector"].prepare(load(table, columns), columns).pairs == ["another text", "a third"]


def test_the_images_of_a_sample_set_are_left_out_where_nobody_asked_for_them() -> None:
    pytest.importorskip("sklearn")
    captions = load("digit-captions")
    assert captions.images is not None
    assert TASKS["classify"].prepare(captions, Columns()).images is None
    assert TASKS["joint"].prepare(captions, Columns()).images is captions.images
