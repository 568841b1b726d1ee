"""The metrics equal scikit-learn's and the published ones, and are defined where those would warn."""

from __future__ import annotations

import json
import math
import warnings
from fractions import Fraction
from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from lexport.errors import InputError
from lexport.evaluation import metrics
from lexport.evaluation.metrics import label_matrix, ranks, retrieval, score, score_multilabel, wilson

from ..refusals import refused

LABELS = ["a", "b", "c", "中"]
answers = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=40)


def test_a_hand_counted_example() -> None:
    assert score(["a", "a", "b", "b", "b"], ["a", "b", "b", "b", "a"], ["a", "b", "c"]) == {
        "accuracy": 0.6,
        "macro_f1": pytest.approx((0.5 + 2 / 3) / 2),
        "absent_labels": 1,
        "per_class": {
            "a": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2},
            "b": {
                "precision": pytest.approx(2 / 3),
                "recall": pytest.approx(2 / 3),
                "f1": pytest.approx(2 / 3),
                "support": 3,
            },
            "c": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0},
        },
        "confusion": [[1, 1, 0], [1, 2, 0], [0, 0, 0]],
        "count": 5,
    }


@given(answers, st.permutations(LABELS))
def test_it_equals_scikit_learn(pairs: list[tuple[str, str]], labels: list[str]) -> None:
    truth, predicted = [t for t, _ in pairs], [p for _, p in pairs]
    result = score(truth, predicted, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"labels": labels, "zero_division": 0.0}
        columns = precision_recall_fscore_support(truth, predicted, **options)
        macro = f1_score(truth, predicted, average="macro")
        confusion = confusion_matrix(truth, predicted, labels=labels)
    assert result["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert result["macro_f1"] == pytest.approx(macro)
    assert result["confusion"] == confusion.tolist()
    assert list(result["per_class"]) == labels
    for index, label in enumerate(labels):
        ours = result["per_class"][label]
        for name, column in zip(("precision", "recall", "f1", "support"), columns, strict=True):
            assert ours[name] == pytest.approx(column[index])


@given(answers)
def test_it_is_plain_json(pairs: list[tuple[str, str]]) -> None:
    result = score([t for t, _ in pairs], [p for _, p in pairs], LABELS)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_label_the_model_does_not_know_is_the_users_to_mend() -> None:
    with refused(InputError, "LX-EVAL-001", "2", "3", "x, y", "a, b"):
        score(["a", "y", "x"], ["a", "a", "a"], ["a", "b"])


@pytest.mark.parametrize(
    ("truth", "predicted", "labels"),
    [([], [], ["a"]), (["a"], [], ["a"]), (["a"], ["b"], ["a"]), (["a"], ["a"], ["a", "a"]), ([], [], [])],
)
def test_misuse_is_a_value_error(truth: list[str], predicted: list[str], labels: list[str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        score(truth, predicted, labels)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_values(successes: int, n: int, low: float, high: float) -> None:
    """Newcombe (1998), Two-sided confidence intervals for the single proportion, table I, method 3."""
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_ends_are_the_shares_that_lie_196_of_their_own_standard_errors_away(case: tuple[int, int]) -> None:
    """The definition: |share - p| = z sqrt(p (1 - p) / n) for both ends p."""
    successes, n = case
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    for end in (low, high):
        distance = NormalDist().inv_cdf(0.975) * math.sqrt(end * (1 - end) / n)
        assert abs(successes / n - end) == pytest.approx(distance, abs=1e-9)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (2, 1), (-1, 5)])
def test_wilson_refuses_what_is_no_share(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="were expected"):
        wilson(successes, n)


def test_a_hand_counted_multi_label_example() -> None:
    truth = [("a", "b"), ("b",), (), ("a",)]
    scores = np.array([[0.9, 0.5], [0.6, 0.4], [0.1, 0.2], [0.7, 0.1]], np.float32)
    assert score_multilabel(truth, scores, ["a", "b"]) == {
        "accuracy": 0.75,
        "micro_f1": pytest.approx(2 * 3 / (4 + 4)),
        "macro_f1": pytest.approx((0.8 + 2 / 3) / 2),
        "absent_labels": 0,
        "per_class": {
            "a": {
                "precision": pytest.approx(2 / 3),
                "recall": 1.0,
                "f1": pytest.approx(0.8),
                "support": 2,
            },
            "b": {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
        },
        "threshold": 0.5,
        "count": 4,
    }


sets_and_scores = st.lists(
    st.tuples(st.sets(st.sampled_from(LABELS)), st.lists(st.integers(0, 10), min_size=4, max_size=4)),
    min_size=1,
    max_size=30,
)


@given(sets_and_scores, st.integers(0, 11))
def test_multi_label_scores_equal_scikit_learns(rows: list[tuple[set[str], list[int]]], tenths: int) -> None:
    truth = [tuple(sorted(names)) for names, _ in rows]
    scores = np.array([values for _, values in rows], np.float32)
    result = score_multilabel(truth, scores, LABELS, threshold=tenths)
    carried = np.array([[label in names for label in LABELS] for names, _ in rows])
    answered = scores >= tenths
    options = {"zero_division": 0.0}
    columns = precision_recall_fscore_support(carried, answered, average=None, **options)
    assert result["accuracy"] == pytest.approx(accuracy_score(carried, answered))
    assert result["micro_f1"] == pytest.approx(f1_score(carried, answered, average="micro", **options))
    # Labels in neither are NaN, which scikit-learn's mean leaves out.
    macro = f1_score(carried, answered, average="macro", zero_division=np.nan)
    assert result["macro_f1"] == pytest.approx(0.0 if np.isnan(macro) else macro)
    for index, label in enumerate(LABELS):
        assert list(result["per_class"][label].values()) == pytest.approx([column[index] for column in columns])
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_label_of_a_set_that_the_model_does_not_know_is_the_users_to_mend() -> None:
    with refused(InputError, "LX-EVAL-001", "2", "3", "x, y"):
        score_multilabel([("a", "x"), ("x", "y"), ()], np.zeros((3, 1), np.float32), ["a"])


@pytest.mark.parametrize(
    ("truth", "scores", "labels"),
    [
        ([], np.zeros((0, 1)), ["a"]),
        ([("a",)], np.zeros((2, 1)), ["a"]),
        ([("a",)], np.zeros((1, 2)), ["a"]),
        ([("a",)], np.full((1, 1), np.nan), ["a"]),
        ([()], np.zeros((1, 0)), []),
        ([()], np.zeros((1, 2)), ["a", "a"]),
    ],
)
def test_misuse_of_multi_label_scores_is_a_value_error(
    truth: list[tuple[str, ...]], scores: np.ndarray[tuple[int, int], np.dtype[np.float32]], labels: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"."):
        score_multilabel(truth, scores, labels)


def test_a_hand_ranked_search() -> None:
    queries = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    targets = np.array([[1, 0], [0, 1], [-1, -1], [2, 1]], np.float32)
    # Nearest first: targets 3 0 1 2 for query 0; 1 and 3 tie for query 1; 3, then 0 and 1 tie for query 2.
    assert retrieval(queries, targets, [10, 11, 12], [10, 11, 12, 13], at=(1, 2)) == {
        "recall_at_1": 0.0,
        "recall_at_2": pytest.approx(2 / 3),
        "mean_reciprocal_rank": pytest.approx((1 / 2 + 1 / 2 + 1 / 4) / 3),
        "chance_at_1": pytest.approx(1 / 4),
        "chance_at_2": pytest.approx(1 / 2),
        "targets": 4,
        "count": 3,
    }


small = st.integers(-2, 2)
searches = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 3)).flatmap(
    lambda shape: st.tuples(
        st.lists(st.lists(small, min_size=shape[2], max_size=shape[2]), min_size=shape[0], max_size=shape[0]),
        st.lists(st.lists(small, min_size=shape[2], max_size=shape[2]), min_size=shape[1], max_size=shape[1]),
        st.lists(st.sampled_from("xyz"), min_size=shape[0], max_size=shape[0]),
        st.lists(st.sampled_from("xyz"), min_size=shape[1], max_size=shape[1]),
    )
)


@given(searches, st.integers(1, 7))
def test_a_search_equals_one_that_sorts_and_counts(
    search: tuple[list[list[int]], list[list[int]], list[str], list[str]], k: int
) -> None:
    """Ties: the irrelevant first. Chance: the share of all draws of k targets that hold a relevant one."""
    queries, targets, mine, theirs = search
    hits, reciprocal, chance = 0, 0.0, Fraction(0)
    for query, group in zip(queries, mine, strict=True):
        products = [sum(a * b for a, b in zip(query, target, strict=True)) for target in targets]
        order = sorted((-product, own == group) for product, own in zip(products, theirs, strict=True))
        relevant = [fits for _, fits in order]
        hits += any(relevant[:k])
        reciprocal += 1 / (1 + relevant.index(True)) if any(relevant) else 0
        draws = list(combinations(theirs, min(k, len(theirs))))
        chance += Fraction(sum(group in draw for draw in draws), len(draws))
    result = retrieval(np.array(queries, np.float32), np.array(targets, np.float32), mine, theirs, at=(k,))
    assert result[f"recall_at_{k}"] == pytest.approx(hits / len(queries))
    assert result["mean_reciprocal_rank"] == pytest.approx(reciprocal / len(queries))
    assert result[f"chance_at_{k}"] == pytest.approx(float(chance / len(queries)))
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_search_in_blocks_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    targets = draw.normal(size=(70, 8)).astype(np.float32)
    queries = (targets + draw.normal(size=(70, 8))).astype(np.float32)
    whole = retrieval(queries, targets, range(70), range(70))
    for block in (1, 150, 700):
        monkeypatch.setattr(metrics, "_BLOCK", block)
        assert retrieval(queries, targets, range(70), range(70)) == whole
    assert 1 / 70 < whole["recall_at_1"] < whole["recall_at_10"]


def test_a_model_with_one_vector_for_everything_finds_nothing() -> None:
    vector = np.random.default_rng(2).normal(size=64).astype(np.float32)
    vectors = np.tile(vector / np.linalg.norm(vector), (333, 1))
    found = retrieval(vectors, vectors, range(333), range(333), at=(1, 10, 332, 333))
    assert (found["recall_at_1"], found["recall_at_332"], found["recall_at_333"]) == (0, 0, 1)
    assert found["chance_at_10"] == pytest.approx(10 / 333)


def test_a_query_without_any_relevant_target_found_none() -> None:
    found = retrieval(np.ones((2, 1), np.float32), np.ones((1, 1), np.float32), ["a", "b"], ["a"], at=(1,))
    assert (found["recall_at_1"], found["mean_reciprocal_rank"], found["chance_at_1"]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("queries", "targets", "mine", "theirs", "at"),
    [
        (np.ones((0, 2)), np.ones((1, 2)), [], [1], (1,)),
        (np.ones((1, 2)), np.ones((0, 2)), [1], [], (1,)),
        (np.ones((1, 2)), np.ones((1, 3)), [1], [1], (1,)),
        (np.ones(2), np.ones(2), [1, 2], [1, 2], (1,)),
        (np.ones((1, 2)), np.ones((1, 2)), [1, 2], [1], (1,)),
        (np.ones((1, 2)), np.ones((1, 2)), [1], [1, 2], (1,)),
        (np.ones((1, 2)), np.ones((1, 2)), [1], [1], (0,)),
        (np.ones((1, 2)), np.ones((1, 2)), [1], [1], ()),
        (np.full((1, 2), np.nan), np.ones((1, 2)), [1], [1], (1,)),
        (np.ones((1, 2)), np.full((1, 2), np.inf), [1], [1], (1,)),
    ],
)
def test_misuse_of_a_search_is_a_value_error(
    queries: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    targets: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    mine: list[int],
    theirs: list[int],
    at: tuple[int, ...],
) -> None:
    with pytest.raises(ValueError, match=r"expected|fit|finite"):
        retrieval(queries, targets, mine, theirs, at)


def test_the_rank_is_that_of_the_first_right_target_and_ties_go_to_the_wrong_one() -> None:
    queries = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    targets = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert ranks(queries, targets, [0, 2, 9], [0, 1, 2]).tolist() == [2.0, 1.0, math.inf]


def test_what_each_text_carries_is_a_matrix_of_truths() -> None:
    assert label_matrix([("b",), (), ("a", "b")], ["a", "b"]).tolist() == [
        [False, True],
        [False, False],
        [True, True],
    ]
    with refused(InputError, "LX-EVAL-001", "c"):
        label_matrix([("c",)], ["a", "b"])
