"""Confident learning: what is suspected, in which order, of which labels, and what is not judged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from lexport.evaluation.diagnostics.label_errors import (
    FEWEST,
    combined,
    disagreeing,
    suspects,
    suspects_of_decisions,
)

Floats = np.ndarray


def confident(given: list[int], sure: float = 0.9, labels: int = 3) -> Floats:
    """Probabilities of a classifier that gives each text its label with `sure`, and the others the rest."""
    found = np.full((len(given), labels), (1 - sure) / (labels - 1))
    found[np.arange(len(given)), given] = sure
    return found


def test_texts_whose_label_was_changed_are_suspected_and_come_first() -> None:
    truth = [0, 1, 2] * 20
    given = np.array(truth)
    given[[3, 7]] = [1, 2]
    found = suspects(given, confident(truth))
    assert np.flatnonzero(found.suspected).tolist() == [3, 7]
    assert found.suggested[[3, 7]].tolist() == [0, 1]
    assert set(found.order()[:2].tolist()) == {3, 7}
    assert found.suggested[0] == given[0]


def test_the_score_is_the_normalized_margin() -> None:
    given = np.array([0] * FEWEST + [1] * FEWEST)
    probabilities = np.tile([0.6, 0.3, 0.1], (2 * FEWEST, 1))
    score = suspects(given, probabilities).score
    assert score[0] == pytest.approx((1 + 0.6 - 0.3) / 2)
    assert score[-1] == pytest.approx((1 + 0.3 - 0.6) / 2)


def test_a_label_that_a_classifier_is_never_sure_of_is_not_suggested_below_what_is_usual_for_it() -> None:
    # Texts of label 1 get 0.95 for it; one of label 0 gets 0.6, the most probable and yet far below what is usual.
    given = np.array([0] * 20 + [1] * 20)
    probabilities = np.array([[0.7, 0.3]] * 19 + [[0.4, 0.6]] + [[0.05, 0.95]] * 20)
    found = suspects(given, probabilities)
    assert not found.suspected.any()
    assert found.order()[0] == 19


def test_labels_with_few_texts_are_neither_judged_nor_suggested() -> None:
    given = np.array([0] * 30 + [1] * 30 + [2] * (FEWEST - 1))
    probabilities = confident([0] * 30 + [1] * 30 + [0] * (FEWEST - 1))
    probabilities[5] = [0.05, 0.05, 0.9]
    found = suspects(given, probabilities)
    assert not found.suspected[given == 2].any()
    assert np.isnan(found.score[given == 2]).all()
    assert not (found.suggested[given != 2] == 2).any()
    assert len(found.order()) == 60


def test_one_label_with_enough_texts_has_no_rival() -> None:
    given = np.array([0] * 30 + [1] * 3)
    found = suspects(given, confident(given.tolist(), labels=2))
    assert len(found.order()) == 0
    assert not found.suspected.any()


def test_rows_that_nobody_has_judged_are_left_out() -> None:
    given = np.array([0, 1] * 20)
    probabilities = confident(given.tolist(), labels=2)
    probabilities[0] = np.nan
    found = suspects(given, probabilities)
    assert np.isnan(found.score[0])
    assert 0 not in found.order()


def test_at_most_half_of_a_label_is_suspected() -> None:
    # All texts of label 1 look like label 0, but for the few that say what is usual for 1.
    given = np.array([0] * 40 + [1] * 20)
    probabilities = confident([0] * 40 + [0] * 16 + [1] * 4, labels=2)
    found = suspects(given, probabilities)
    assert found.suspected[given == 1].sum() == 10


@drawn(st.data())
def test_as_many_texts_of_each_label_are_suspected_as_are_likely_others(data: st.DataObject) -> None:
    labels, texts = data.draw(st.integers(2, 4)), data.draw(st.integers(30, 60))
    generator = np.random.default_rng(data.draw(st.integers(0, 1_000)))
    given = generator.integers(0, labels, texts)
    probabilities = generator.dirichlet(np.ones(labels), texts)
    found = suspects(given, probabilities)
    counts = np.bincount(given, minlength=labels)
    usual = {one: probabilities[given == one, one].mean() for one in range(labels) if counts[one] >= FEWEST}
    if len(usual) < 2:
        assert not found.suspected.any()
        return
    for label in range(labels):
        rows = np.flatnonzero(given == label).tolist()
        if label not in usual:
            assert not found.suspected[rows].any()
            continue
        counted, others = 0, 0
        for row in rows:
            above = [one for one, limit in usual.items() if probabilities[row, one] >= limit]
            if above:
                counted += 1
                others += max(above, key=lambda one: probabilities[row, one]) != label
        likely = round(others / max(counted, 1) * len(rows))
        doubtful = sorted((found.score[row], row) for row in rows if found.score[row] < 0.5)
        expected = [row for _, row in doubtful[: min(likely, len(rows) // 2)]]
        assert sorted(expected) == [row for row in rows if found.suspected[row]]
        for row in expected:
            rivals = [one for one in usual if one != label]
            assert found.suggested[row] == max(rivals, key=lambda one: probabilities[row, one])


def test_of_several_labels_each_is_judged_by_itself() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random((60, 3)) < [0.5, 0.4, 0.05]
    given = truth.copy()
    given[4, 0], given[9, 1] = ~given[4, 0], ~given[9, 1]
    scores, suspected = suspects_of_decisions(given, np.where(truth, 0.9, 0.1))
    assert np.argwhere(suspected).tolist() == [[4, 0], [9, 1]]
    assert (scores[[4, 9], [0, 1]] < 0.5).all()
    assert np.isnan(scores[:, 2]).all()  # too few texts have it


def test_several_classifiers_are_one_whose_logits_are_the_mean() -> None:
    given = [0, 1, 2, 1]
    one = confident(given, 0.8)
    assert combined([one]) == pytest.approx(one)
    assert combined([one, one]) == pytest.approx(one)
    sure = confident([1, 1, 1, 1], 0.999)
    both = combined([one, sure])
    assert both.sum(axis=1) == pytest.approx(np.ones(4))
    # One that is far surer does not outvote the other: they are brought to the same spread.
    assert both[0, 0] == pytest.approx(both[0, 1])
    several = np.array([[0.9, 0.2], [0.4, 0.6]])
    assert combined([several, several], several=True) == pytest.approx(several)


def test_rows_without_probabilities_stay_without() -> None:
    one = confident([0, 1, 2])
    one[1] = np.nan
    assert np.isnan(combined([one, one])[1]).all()
    assert np.isfinite(combined([one, one])[[0, 2]]).all()


def test_disagreement_is_counted_where_the_classifier_is_surest() -> None:
    confidence = np.linspace(0.5, 1, 1_000)
    agrees = np.ones(1_000, bool)
    agrees[:500] = False
    assert disagreeing(agrees, confidence) == (0, 100)
    agrees[-30:] = False
    assert disagreeing(agrees, confidence) == (30, 100)
    assert disagreeing(agrees[:60], confidence[:60]) == (50, 50)
