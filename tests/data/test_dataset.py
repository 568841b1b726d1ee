"""A dataset keeps its columns together and is known by a digest of all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.dataset import Dataset, dataset_of, digest, label_names, label_sets, require_classes
from lexport.errors import InputError

from ..refusals import refused


def test_the_digest_tells_rows_orders_and_borders_apart() -> None:
    rows = [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", "")]
    digests = {digest([text], [label]) for text, label in rows}
    digests |= {digest(["a", "b"], ["1", "1"]), digest(["b", "a"], ["1", "1"]), digest([], [])}
    assert len(digests) == 7
    assert all(len(value) == 64 for value in digests)


def test_the_digest_of_texts_and_labels_is_the_published_one() -> None:
    """Another value would part every run from the data it was trained on."""
    assert digest(["fine", "很好"], ["1", "0"]) == "265ae7a1e67f73d5d8acf0d200f220ce90383d4f2f5760338195087323b59cf8"


def test_the_digest_tells_further_columns_apart() -> None:
    images = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)
    found = [
        dataset_of(["a", "b"], ["1", "1"], "x"),
        dataset_of(["a", "b", "languages"], ["1", "1", "en"], "x"),
        dataset_of(["a", "b"], ["1", "1"], "x", languages=["en", "zh"]),
        dataset_of(["a", "b"], ["1", "1"], "x", languages=["zh", "en"]),
        dataset_of(["a", "b"], ["1", "1"], "x", pairs=["en", "zh"]),
        dataset_of(["a", "b"], ["1", "1"], "x", parts=["en", "zh"]),
        dataset_of(["a", "b"], ["1", "1"], "x", images=images),
        dataset_of(["a", "b"], ["1", "1"], "x", images=images + 1),
        dataset_of(["a", "b"], ["1", "1"], "x", images=images.reshape(2, 1, 2)),
    ]
    assert len({dataset.digest for dataset in found}) == len(found)


def test_taken_rows_bring_everything_that_is_known_of_them() -> None:
    images = np.arange(6, dtype=np.float32).reshape(3, 2)
    whole = dataset_of(
        list("abc"),
        list("012"),
        "mine.csv",
        dropped={"duplicates": 7, "conflicting": 0, "empty": 0},
        languages=["en", "de", "zh"],
        pairs=list("xyz"),
        images=images,
        parts=["train", "test", "train"],
    )
    part = whole.take([2, 0], "mine.csv:some")
    assert part == dataset_of(
        ["c", "a"],
        ["2", "0"],
        "mine.csv:some",
        languages=["zh", "en"],
        pairs=["z", "x"],
        images=images[[2, 0]],
        parts=["train", "train"],
    )
    assert part.images is not None
    np.testing.assert_array_equal(part.images, [[4, 5], [0, 1]])


def test_no_rows_can_be_taken_too() -> None:
    whole = dataset_of(["a"], ["0"], "mine.csv", images=np.ones((1, 4), np.float32))
    nothing = whole.take([], "none")
    assert len(nothing) == 0
    assert nothing.images is not None
    assert nothing.images.shape == (0, 4)


def test_label_sets_are_sorted_and_hold_each_label_once() -> None:
    assert label_sets(["b|a", "", "a", "a|a| b ", "|"]) == [("a", "b"), (), ("a",), ("a", "b"), ()]
    assert label_sets(["a;b", "a|b"], separator=";") == [("a", "b"), ("a|b",)]
    assert label_sets(dataset_of(["x"], ["b|a"], "mine.csv")) == [("a", "b")]


@given(st.lists(st.sets(st.text("abc中 ", min_size=1).map(str.strip).filter(bool))))
def test_sets_that_were_joined_are_found_again(sets: list[set[str]]) -> None:
    assert label_sets("|".join(names) for names in sets) == [tuple(sorted(names)) for names in sets]
    assert label_names(label_sets("|".join(names) for names in sets)) == sorted(set().union(*sets))


def test_one_class_is_nothing_to_learn() -> None:
    one = Dataset(["x", "y"], ["a", "a"], "mine.csv", "")
    with refused(InputError, "LX-DATA-008", "mine.csv", "2", "'a'"):
        require_classes(one)
    require_classes(Dataset(["x", "y"], ["a", "b"], "mine.csv", ""))


@pytest.mark.parametrize(
    ("labels", "shared"),
    [(["a|b", "b|a"], "(a, b)"), (["", ""], "no label at all")],
)
def test_texts_that_all_have_the_same_labels_are_nothing_to_learn(labels: list[str], shared: str) -> None:
    with refused(InputError, "LX-DATA-007", "mine.csv", "2", shared, "--label-column"):
        require_classes(Dataset(["x", "y"], labels, "mine.csv", ""), multi_label=True)


@pytest.mark.parametrize("labels", [["a", ""], ["a", "a|b"], ["a", "b"]])
def test_two_different_sets_of_labels_are_enough(labels: list[str]) -> None:
    require_classes(Dataset(["x", "y"], labels, "mine.csv", ""), multi_label=True)
