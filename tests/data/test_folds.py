"""Folds: every text is tested once, equal texts and groups stay together, and the order of rows has no influence."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.dataset import Dataset
from lexport.data.folds import NOWHERE, fold_parts
from lexport.data.load import of_texts
from lexport.data.splits import SplitOptions
from lexport.errors import InputError

from ..refusals import refused


def label_sets(dataset: Dataset) -> list[tuple[str, ...]]:
    return [(label,) for label in dataset.labels]


def folds_of(dataset: Dataset, folds: int, split: str = "hash") -> list[list[str]]:
    return list(fold_parts(dataset, folds, SplitOptions.parse(split), label_sets))


def topics(count: int, labels: int = 3) -> Dataset:
    return of_texts(
        [f"text {number}" for number in range(count)], [f"label {number % labels}" for number in range(count)]
    )


def times_tested(every: list[list[str]]) -> Counter[int]:
    return Counter(row for parts in every for row, part in enumerate(parts) if part == "test")


@given(st.integers(30, 90), st.integers(2, 10))
def test_every_text_is_tested_once_and_labels_have_the_same_shares(count: int, folds: int) -> None:
    dataset = topics(count)
    every = folds_of(dataset, folds)
    assert len(every) == folds
    assert times_tested(every) == Counter(range(count))
    for parts in every:
        sizes = Counter(parts)
        assert count // folds <= sizes["test"] <= count // folds + 1
        assert sizes["validation"] == round((count - sizes["test"]) / 9)
        own = Counter(label for part, label in zip(parts, dataset.labels, strict=True) if part == "test")
        assert max(own.values()) - min(own[f"label {number}"] for number in range(3)) <= 2


@given(st.integers(2, 5), st.randoms(use_true_random=False))
def test_the_order_of_rows_has_no_influence_and_equal_texts_stay_together(folds: int, draw: random.Random) -> None:
    dataset = topics(40)
    order = [*range(40), *range(0, 40, 3)]
    draw.shuffle(order)
    shuffled = of_texts([dataset.texts[row] for row in order], [dataset.labels[row] for row in order])
    # Rows that are exact copies are dropped where data are loaded; the texts of other rows may still be equal.
    plain = [dict(zip(dataset.texts, parts, strict=True)) for parts in folds_of(dataset, folds)]
    other = [dict(zip(shuffled.texts, parts, strict=True)) for parts in folds_of(shuffled, folds)]
    assert plain == other
    for parts, own in zip(folds_of(shuffled, folds), other, strict=True):
        assert [own[text] for text in shuffled.texts] == parts


def test_a_label_with_one_text_is_trained_on_and_tested_nowhere() -> None:
    dataset = of_texts([f"text {number}" for number in range(21)], ["rare", *["a", "b"] * 10])
    every = folds_of(dataset, 5)
    assert all(parts[0] == "train" for parts in every)
    assert times_tested(every) == Counter(range(1, 21))


def test_groups_are_dealt_whole() -> None:
    dataset = dataclasses.replace(topics(60), keys=[f"customer {number // 4}" for number in range(60)])
    every = folds_of(dataset, 5, "group:customer")
    assert times_tested(every) == Counter(range(60))
    for parts in every:
        assert all(len(set(parts[first : first + 4])) == 1 for first in range(0, 60, 4))


def test_by_time_a_fold_is_tested_on_what_follows_its_training_texts() -> None:
    days = [f"2026-0{1 + number % 6}-01" for number in range(60)]
    dataset = dataclasses.replace(topics(60, labels=5), keys=days)
    every = folds_of(dataset, 3, "time:day")
    assert len(every) == 3
    for parts in every:
        found = {name: sorted(day for part, day in zip(parts, days, strict=True) if part == name) for name in parts}
        ordered = [found[name] for name in ("train", "validation", "test", NOWHERE) if name in found]
        assert all(before[-1] < after[0] for before, after in pairwise(ordered))
        assert {"train", "validation", "test"} <= found.keys()
    assert NOWHERE not in every[-1]


@pytest.mark.parametrize("folds", [-1, 1, 31])
def test_a_number_of_folds_that_cannot_be_made_is_an_error(folds: int) -> None:
    with refused(InputError, "LX-DATA-093", f"--cv {folds}", "2 to 30 folds"):
        folds_of(topics(30), folds)
