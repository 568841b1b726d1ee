"""The split follows from each text alone."""

from __future__ import annotations

import dataclasses
import hashlib
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.dataset import Dataset, dataset_of, digest, label_sets
from lexport.data.splits import LabelSets, Splits, part_of, parts_of, split
from lexport.errors import InputError

from ..refusals import refused


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


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_texts_are_refused_with_the_counts(count: int) -> None:
    with refused(InputError, "LX-DATA-029") as caught:
        split(dataset(count))
    message = str(caught.value)
    assert f"mine.csv: {count} texts are too few to split (" in message
    assert " train, " in message
    assert "Add rows" in message


def test_rows_of_one_image_are_refused_naming_what_must_differ() -> None:
    texts = [f"text {n}" for n in range(200)]
    with refused(InputError, "LX-DATA-029"):
        split(dataset_of(texts, [""] * 200, "x", images=np.ones((200, 3), np.float32)), None)


def test_where_the_data_say_the_part_a_label_without_a_training_text_is_refused() -> None:
    whole = dataset(200)
    lonely = next(text for text in whole.texts if part_of(text) == "test")
    labels = ["rare" if text == lonely else label for text, label in zip(whole.texts, whole.labels, strict=True)]
    with refused(InputError, "LX-DATA-030", 3, 1, "rare"):
        split(Dataset(whole.texts, labels, "mine.csv", "", parts=parts_of(whole)))
    assert "rare" in split(Dataset(whole.texts, labels, "mine.csv", "")).train.labels


def test_everything_known_of_a_text_goes_with_it() -> None:
    texts = [f"text {n}" for n in range(300)]
    languages = [f"l{n % 3}" for n in range(300)]
    pairs = [f"pair {n}" for n in range(300)]
    labels = [str(n % 2) for n in range(300)]
    for part in parts(split(dataset_of(texts, labels, "x", languages=languages, pairs=pairs))).values():
        numbers = [int(text.split()[1]) for text in part.texts]
        assert part.languages == [languages[n] for n in numbers]
        assert part.pairs == [pairs[n] for n in numbers]
        assert part.labels == [labels[n] for n in numbers]


def test_texts_with_images_are_told_apart_by_the_image() -> None:
    images = np.repeat(np.arange(200, dtype=np.float32).reshape(-1, 1), 3, axis=0)
    texts = [f"caption {n}" for n in range(600)]
    whole = dataset_of(texts, [""] * 600, "x", images=images)
    found = parts_of(whole)
    assert found[::3] == found[1::3] == found[2::3]
    assert {part: round(found.count(part) / 600, 1) for part in set(found)} == {
        "train": 0.8,
        "validation": 0.1,
        "test": 0.1,
    }
    seen = [set(part.images.ravel()) for part in parts(split(whole, None)).values() if part.images is not None]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 200


def test_a_dataset_that_names_its_parts_is_followed() -> None:
    named = ["test", "train", "validation", "train"] * 5
    whole = dataset_of([f"text {n}" for n in range(20)], ["a", "b"] * 10, "x", parts=named)
    assert parts_of(whole) == named
    for name, part in parts(split(whole, None)).items():
        assert part.parts == [name] * named.count(name)
        assert part.texts == [text for text, own in zip(whole.texts, named, strict=True) if own == name]


def test_every_label_of_every_set_must_be_trained() -> None:
    whole = dataset(200, ("a", "a|b", ""))
    assert len(split(whole, label_sets).train) > 0
    lonely = next(row for row, text in enumerate(whole.texts) if part_of(text) == "test")
    labels = [*whole.labels[:lonely], "a|rare", *whole.labels[lonely + 1 :]]
    with refused(InputError, "LX-DATA-030", 3, 1, "rare"):
        split(Dataset(whole.texts, labels, "mine.csv", "", parts=parts_of(whole)), label_sets)
    assert "a|rare" in split(Dataset(whole.texts, labels, "mine.csv", ""), label_sets).train.labels


def test_a_model_that_learns_no_labels_needs_none() -> None:
    texts = dataset(200).texts
    labels = [part_of(text) for text in texts]
    whole = Dataset(texts, labels, "mine.csv", "", parts=labels)
    assert len(split(whole, None).test) > 0
    with refused(InputError, "LX-DATA-030", "2"):
        split(whole)


@pytest.mark.parametrize("learned", [label_sets, None])
def test_a_language_without_a_training_text_is_refused(learned: LabelSets | None) -> None:
    whole = dataset(200)
    lonely = next(text for text in whole.texts if part_of(text) == "validation")
    languages = ["zh" if text == lonely else "en" for text in whole.texts]
    spoken = dataset_of(whole.texts, whole.labels, "mine.csv", languages=languages, parts=parts_of(whole))
    with refused(InputError, "LX-DATA-030", 2, 1, "zh"):
        split(spoken, learned)
    assert "zh" in (split(dataclasses.replace(spoken, parts=None), learned).train.languages or [])
