"""Intervals by drawing texts anew: what is drawn, that it covers, and every metric with its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.load import Dataset, dataset_of
from lexport.evaluation.bootstrap import (
    DRAWS,
    bootstrap_means,
    percentile_interval,
)
from lexport.evaluation.metrics import Outputs
from lexport.evaluation.tasks import TASKS, task_of

LABELS = ["a", "b", "c"]


def part(labels: list[str], *, pairs: bool = False) -> Dataset:
    texts = [f"text {row}" for row in range(len(labels))]
    return dataset_of(texts, labels, "mine.csv", pairs=texts if pairs else None)


def scores(rows: int, columns: int = 3, seed: int = 0) -> Outputs:
    found = np.random.default_rng(seed).random((rows, columns), np.float32)
    found /= found.sum(axis=1, keepdims=True)
    return found


def some(task: str, rows: int = 60, seed: int = 1) -> tuple[Dataset, Outputs]:
    draw = np.random.default_rng(seed)
    if task == "multilabel":
        sets = ["|".join(label for label in LABELS if draw.random() < 0.4) for _ in range(rows)]
        return part(sets), draw.random((rows, 3), np.float32)
    if task == "classify":
        return part([str(draw.choice(LABELS)) for _ in range(rows)]), scores(rows)
    vectors = draw.normal(size=(rows, 6)).astype(np.float32)
    others = vectors + draw.normal(size=(rows, 6)).astype(np.float32)
    labels = [LABELS[row % 3] if task == "joint" else "" for row in range(rows)]
    return part(labels, pairs=task == "vector"), np.concatenate([vectors, others])


def with_intervals(task: str, data: Dataset, outputs: Outputs) -> dict[str, Any]:
    judged = task_of(task, LABELS)
    return judged.with_intervals(data, outputs, judged.metrics(data, outputs))


def test_every_draw_has_as_many_texts_as_there_are() -> None:
    assert bootstrap_means(np.ones((7, 1))) == pytest.approx(np.ones((DRAWS, 1)))
    assert bootstrap_means(np.ones((3, 1)), np.array([4, 1, 2])) == pytest.approx(np.ones((DRAWS, 1)))


def test_the_same_texts_are_drawn_every_time() -> None:
    values = np.random.default_rng(0).random((50, 2))
    assert (bootstrap_means(values) == bootstrap_means(values)).all()


def test_rows_that_stand_for_several_texts_are_drawn_like_those_texts() -> None:
    values, counts = np.array([[0.0], [1.0], [5.0]]), np.array([40, 25, 10])
    alike, each = bootstrap_means(values, counts), bootstrap_means(np.repeat(values, counts, axis=0))
    assert alike.mean() == pytest.approx(each.mean(), abs=0.02)
    assert alike.std() == pytest.approx(each.std(), rel=0.1)


def test_nothing_to_draw_from_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no texts to draw from"):
        bootstrap_means(np.ones((0, 1)))


def test_an_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        low, high = percentile_interval(bootstrap_means(draw.random((80, 1)))[:, 0])
        held += low <= 0.5 <= high
    assert 180 <= held <= 198


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_has_an_interval_around_it(task: str) -> None:
    data, outputs = some(task)
    found = with_intervals(task, data, outputs)
    names = {
        "classify": ["accuracy", "macro_f1"],
        "multilabel": ["accuracy", "micro_f1", "macro_f1"],
        "vector": ["recall_at_1", "recall_at_5", "recall_at_10", "mean_reciprocal_rank"],
    }
    for values in (found, found.get("image_to_text", found)):
        for name in names.get(task, names["vector"]):
            low, high = values[f"{name}_interval"]
            assert 0 <= low <= values[name] <= high <= 1, name
            assert low < high or values[name] == 1, name
    assert with_intervals(task, data, outputs) == found


@pytest.mark.parametrize("task", TASKS)
def test_the_headline_made_of_means_is_the_tasks_own_metric(task: str) -> None:
    data, outputs = some(task)
    judged = task_of(task, LABELS)
    means = judged.terms(data, outputs).mean(axis=0)
    assert judged.metric(means) == pytest.approx(judged.metrics(data, outputs)[judged.METRIC])


def over_drawn_texts(task: str, data: Dataset, outputs: Outputs, name: str) -> list[float]:
    """The ends of a metric that is computed anew for each draw of the texts."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(DRAWS):
        rows = draw.integers(0, len(data), len(data))
        found.append(task_of(task, LABELS).metrics(data.take(rows.tolist(), "drawn"), outputs[rows])[name])
    return percentile_interval(np.array(found))


def test_f1_of_several_labels_is_computed_anew_over_the_drawn_texts() -> None:
    data, outputs = some("multilabel")
    found = with_intervals("multilabel", data, outputs)
    for name in ("micro_f1", "macro_f1"):
        assert found[f"{name}_interval"] == pytest.approx(over_drawn_texts("multilabel", data, outputs, name))


def test_f1_of_one_label_spreads_as_over_drawn_texts() -> None:
    data, outputs = some("classify")
    found = with_intervals("classify", data, outputs)
    expected = over_drawn_texts("classify", data, outputs, "macro_f1")
    assert found["macro_f1_interval"] == pytest.approx(expected, abs=0.015)


@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=12), st.integers(0, 5))
def test_intervals_are_shares_however_few_the_texts_are(labels: list[str], seed: int) -> None:
    data, outputs = part(labels), scores(len(labels), seed=seed)
    found = with_intervals("classify", data, outputs)
    for name in ("accuracy", "macro_f1"):
        low, high = found[f"{name}_interval"]
        assert 0 <= low <= high <= 1
