"""Calibration equals scikit-learn's and brute force, and tells sure models from right ones."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from lexport.data.load import Dataset, dataset_of
from lexport.evaluation.calibration import BINS, equal_mass
from lexport.evaluation.metrics import Outputs, Values
from lexport.evaluation.tasks import task_of

LABELS = ["a", "b", "c"]


def part(labels: list[str]) -> Dataset:
    return dataset_of([f"text {row}" for row in range(len(labels))], labels, "mine.csv")


def drawn(rows: int, *, sureness: float = 1.0, seed: int = 0) -> tuple[Dataset, Outputs]:
    """Texts whose labels are drawn by perfectly calibrated scores, and these scores made surer."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(rows, 3)) * 1.5
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = [LABELS[draw.choice(3, p=row)] for row in exact]
    shown = np.exp(logits * sureness)
    return part(labels), (shown / shown.sum(axis=1, keepdims=True)).astype(np.float32)


def calibrated(task: str, data: Dataset, outputs: Outputs) -> dict[str, Any]:
    found = task_of(task, LABELS).calibration(data, outputs)
    assert found is not None
    return found


def by_hand(scores: Values, right: Values, count: int) -> float:
    """The expected calibration error of scores that all differ: sort, cut, compare."""
    order = np.argsort(scores)
    edges = [len(scores) * place // count for place in range(count + 1)]
    cut = [order[first:last] for first, last in pairwise(edges)]
    return float(sum(len(rows) * abs(scores[rows].mean() - right[rows].mean()) for rows in cut) / len(scores))


@pytest.mark.parametrize("rows", [25, 61, 700])
def test_the_error_is_that_of_sorted_scores_cut_into_equal_parts(rows: int) -> None:
    data, outputs = drawn(rows, sureness=2)
    found = calibrated("classify", data, outputs)
    truth = np.array([LABELS.index(label) for label in data.labels])
    scores = outputs.max(axis=1).astype(np.float64)
    right = (outputs.argmax(axis=1) == truth).astype(np.float64)
    assert len(found["bins"]) == min(BINS, rows // 20)
    assert found["expected_calibration_error"] == pytest.approx(by_hand(scores, right, len(found["bins"])))
    assert found["excess"] == pytest.approx(scores.mean() - right.mean())
    assert sum(one["count"] for one in found["bins"]) == rows


def test_likelihood_and_brier_score_of_one_label_are_scikit_learns() -> None:
    data, outputs = drawn(300, sureness=3)
    found = calibrated("classify", data, outputs)
    shown = outputs.astype(np.float64)
    shown /= shown.sum(axis=1, keepdims=True)  # float32 is off by a rounding
    assert found["negative_log_likelihood"] == pytest.approx(log_loss(data.labels, shown, labels=LABELS), abs=1e-6)
    each = [brier_score_loss([label == one for label in data.labels], shown[:, k]) for k, one in enumerate(LABELS)]
    assert found["brier_score"] == pytest.approx(sum(each), abs=1e-6)


def test_likelihood_and_brier_score_of_several_labels_are_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    held, outputs = draw.random((80, 3)) < 0.3, draw.random((80, 3), np.float32)
    data = part(["|".join(label for label, one in zip(LABELS, row, strict=True) if one) for row in held])
    found = calibrated("multilabel", data, outputs)
    shown = outputs.astype(np.float64).ravel()
    assert found["of"] == "decisions"
    assert found["negative_log_likelihood"] == pytest.approx(log_loss(held.ravel(), shown))
    assert found["brier_score"] == pytest.approx(brier_score_loss(held.ravel(), shown))
    assert found["share_right"] == pytest.approx(held.mean())
    assert sum(one["count"] for one in found["bins"]) == 240


def test_a_certain_mistake_costs_a_finite_logarithm() -> None:
    found = calibrated("classify", part(["a", "b"]), np.array([[0, 1, 0], [0, 1, 0]], np.float32))
    assert found["negative_log_likelihood"] == pytest.approx(-np.log(np.finfo(np.float32).eps) / 2)
    assert found["brier_score"] == 1.0
    assert found["expected_calibration_error"] == 0.5
    json.dumps(found, allow_nan=False)


def test_a_model_that_is_surer_than_right_is_told_from_one_that_is_not() -> None:
    sure, exact, modest = (calibrated("classify", *drawn(1500, sureness=sureness)) for sureness in (2.0, 1.0, 0.5))
    assert sure["excess_interval"][0] > 0.05
    assert exact["excess_interval"][0] < 0 < exact["excess_interval"][1]
    assert modest["excess_interval"][1] < -0.05
    assert exact["expected_calibration_error_interval"][0] == 0
    assert sure["expected_calibration_error_interval"][0] > sure["error_by_chance"]


def test_the_error_by_chance_is_what_exact_scores_show_on_average() -> None:
    found = [calibrated("classify", *drawn(400, seed=seed)) for seed in range(40)]
    mean = np.mean([one["expected_calibration_error"] for one in found])
    assert mean == pytest.approx(np.mean([one["error_by_chance"] for one in found]), rel=0.1)


def test_the_errors_interval_covers_the_true_error_which_few_texts_overstate() -> None:
    true = calibrated("classify", *drawn(20_000, sureness=1.6, seed=99))["expected_calibration_error"]
    held = 0
    for seed in range(40):
        found = calibrated("classify", *drawn(400, sureness=1.6, seed=seed))
        low, high = found["expected_calibration_error_interval"]
        assert low <= found["expected_calibration_error"] <= high
        held += low <= true <= high
    assert held >= 36


many = st.lists(st.integers(0, 12).map(lambda tenth: tenth / 12), min_size=1, max_size=200)


@given(many, st.integers(1, 20))
def test_equal_scores_share_a_bin_and_bins_are_in_order(scores: list[float], most: int) -> None:
    values = np.array(scores)
    numbers = equal_mass(values, most)
    assert sorted(set(numbers.tolist())) == list(range(numbers.max() + 1))
    assert numbers.max() < max(1, min(most, len(scores) // 20))
    order = np.argsort(values, kind="stable")
    assert (np.diff(numbers[order]) >= 0).all()
    assert len(set(zip(scores, numbers.tolist(), strict=True))) == len(set(scores))


@settings(max_examples=20)
@given(st.permutations(range(90)))
def test_the_order_of_texts_changes_nothing_but_the_draws(order: list[int]) -> None:
    data, outputs = drawn(90)
    found = calibrated("classify", data, outputs)
    other = calibrated("classify", data.take(order, "other"), outputs[order])
    for name in ("expected_calibration_error", "brier_score", "negative_log_likelihood", "error_by_chance"):
        assert other[name] == pytest.approx(found[name])
    for mine, theirs in zip(found["bins"], other["bins"], strict=True):
        assert theirs["count"] == mine["count"]
        assert theirs["right"] == pytest.approx(mine["right"])
