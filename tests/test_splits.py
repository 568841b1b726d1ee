"""The split follows from each text alone."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.models.data import Dataset, digest
from lexport.models.splits import Splits, part_of, split


def dataset(count: int, labels: tuple[str, ...] = ("a", "b")) -> Dataset:
    texts = [f"text {n}" for n in range(count)]
    kinds = [labels[n % len(labels)] for n in range(count)]
    return Dataset(texts, kinds, "mine.csv", digest(texts, kinds))


def parts(splits: Splits) -> dict[str, Dataset]:
    return {"train": splits.train, "validation": splits.validation, "test": splits.test}


@pytest.mark.parametrize(
    ("text", "part"),
    [("", "train"), ("a", "train"), ("很好看", "train"), ("text 7", "validation"), ("text 8", "test")],
)
def test_known_texts_stay_where_they_are(text: str, part: str) -> None:
    """Another part would change every published figure."""
    assert part_of(text) == part


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_rule_is_the_documented_one(text: str) -> None:
    remainder = int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) % 10
    assert part_of(text) == ("test" if remainder == 9 else "validation" if remainder == 8 else "train")


def test_every_row_is_in_exactly_one_part_with_its_label_in_the_old_order() -> None:
    whole = dataset(3000)
    rows = list(zip(whole.texts, whole.labels, strict=True))
    found = []
    for name, part in parts(split(whole)).items():
        mine = list(zip(part.texts, part.labels, strict=True))
        assert mine == [row for row in rows if part_of(row[0]) == name]
        assert part.name == f"mine.csv:{name}"
        assert part.digest == digest(part.texts, part.labels)
        found += mine
    assert sorted(found) == sorted(rows)


def test_the_parts_are_about_80_10_and_10_percent() -> None:
    splits = split(dataset(20_000))
    assert len(splits.train) / 20_000 == pytest.approx(0.8, abs=0.01)
    assert len(splits.validation) / 20_000 == pytest.approx(0.1, abs=0.01)
    assert len(splits.test) / 20_000 == pytest.approx(0.1, abs=0.01)


def test_neither_other_rows_nor_their_order_nor_labels_move_a_text() -> None:
    small, large = dataset(500), dataset(2000, ("x", "y", "z"))
    order = list(range(2000))
    random.Random(1).shuffle(order)
    texts, labels = [large.texts[n] for n in order], [large.labels[n] for n in order]
    mixed = split(Dataset(texts, labels, "mixed", digest(texts, labels)))
    for name, part in parts(split(small)).items():
        assert set(part.texts) == set(parts(mixed)[name].texts) & set(small.texts)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_too_few_texts_are_refused_with_the_counts(count: int) -> None:
    with pytest.raises(InputError) as caught:
        split(dataset(count))
    message = str(caught.value)
    assert f"mine.csv: {count} texts are too few to split (" in message
    assert " train, " in message
    assert "Add rows" in message


def test_a_label_without_a_training_text_is_refused() -> None:
    whole = dataset(200)
    lonely = next(text for text in whole.texts if part_of(text) == "test")
    labels = ["rare" if text == lonely else label for text, label in zip(whole.texts, whole.labels, strict=True)]
    with pytest.raises(
        InputError, match=r"of 3 labels 1 would have no text to train on \(rare; the split is \d+ train"
    ):
        split(Dataset(whole.texts, labels, "mine.csv", ""))
