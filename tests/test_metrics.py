"""The metrics equal scikit-learn's and the published ones, and are defined where those would warn."""

from __future__ import annotations

import json
import math
import warnings
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from lexport.errors import InputError
from lexport.models.metrics import score, wilson

LABELS = ["a", "b", "c", "中"]
answers = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=40)


def test_a_hand_counted_example() -> None:
    assert score(["a", "a", "b", "b", "b"], ["a", "b", "b", "b", "a"], ["a", "b", "c"]) == {
        "accuracy": 0.6,
        "macro_f1": pytest.approx((0.5 + 2 / 3 + 0) / 3),
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


@settings(deadline=None)
@given(answers, st.permutations(LABELS))
def test_it_equals_scikit_learn(pairs: list[tuple[str, str]], labels: list[str]) -> None:
    truth, predicted = [t for t, _ in pairs], [p for _, p in pairs]
    result = score(truth, predicted, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"labels": labels, "zero_division": 0.0}
        columns = precision_recall_fscore_support(truth, predicted, **options)
        macro = f1_score(truth, predicted, average="macro", **options)
        confusion = confusion_matrix(truth, predicted, labels=labels)
    assert result["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert result["macro_f1"] == pytest.approx(macro)
    assert result["confusion"] == confusion.tolist()
    assert list(result["per_class"]) == labels
    for index, label in enumerate(labels):
        ours = result["per_class"][label]
        for name, column in zip(("precision", "recall", "f1", "support"), columns, strict=True):
            assert ours[name] == pytest.approx(column[index])


@settings(deadline=None)
@given(answers)
def test_it_is_plain_json(pairs: list[tuple[str, str]]) -> None:
    result = score([t for t, _ in pairs], [p for _, p in pairs], LABELS)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_label_the_model_does_not_know_is_the_users_to_mend() -> None:
    with pytest.raises(
        InputError, match=r"2 of 3 texts have a label that the model does not know: x, y\. Its labels are: a, b\."
    ):
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
