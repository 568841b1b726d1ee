"""How each way of splitting chooses the part of a row."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies

from lexport.data.columns import Columns
from lexport.data.dataset import Dataset, dataset_of
from lexport.data.load import load
from lexport.data.split_methods import parts_at
from lexport.data.splits import PARTS, SplitOptions, part_of, parts_of, split, with_parts
from lexport.errors import InputError

from ..refusals import refused


def dataset(labels: list[str], keys: list[str] | None = None) -> Dataset:
    return dataset_of([f"text {number}" for number in range(len(labels))], labels, "made", keys=keys)


labelled = strategies.lists(strategies.sampled_from("abcdefgh"), min_size=3, max_size=60)


@given(labelled)
def test_by_default_every_label_has_a_training_text_and_other_texts_follow_their_hash(labels: list[str]) -> None:
    made = with_parts(dataset(labels))
    assert made.parts is not None
    trained = {label for label, part in zip(labels, made.parts, strict=True) if part == "train"}
    assert trained == set(labels)
    moved = [row for row, part in enumerate(made.parts) if part != part_of(made.texts[row])]
    to_train = [row for row in moved if made.parts[row] == "train"]
    assert len(to_train) <= len(set(labels))
    assert len(moved) - len(to_train) <= 2


def test_a_label_with_one_text_trains_and_the_note_names_it() -> None:
    held_out = next(f"text {number}" for number in range(100) if part_of(f"text {number}") == "test")
    texts = [*(f"other {number}" for number in range(300)), held_out]
    made = with_parts(dataset_of(texts, ["usual"] * 150 + ["other"] * 150 + ["single"], "made"))
    assert made.parts is not None
    assert made.parts[-1] == "train"
    assert "label single" in made.notes[0]
    assert split(made).train.labels.count("single") == 1


@given(labelled, strategies.randoms(use_true_random=False))
def test_stratified_parts_do_not_depend_on_the_order_of_rows(labels: list[str], shuffler: random.Random) -> None:
    options = SplitOptions("stratified")
    first = with_parts(dataset(labels), options)
    rows = list(range(len(labels)))
    shuffler.shuffle(rows)
    again = with_parts(dataset(labels).take(rows, "made"), options)
    assert first.parts is not None
    assert again.parts is not None
    assert dict(zip(first.texts, first.parts, strict=True)) == dict(zip(again.texts, again.parts, strict=True))


@given(labelled, strategies.sampled_from([(80, 10, 10), (60, 20, 20), (50, 0, 50)]))
def test_stratified_gives_every_label_its_share(labels: list[str], shares: tuple[int, int, int]) -> None:
    parts = with_parts(dataset(labels), SplitOptions("stratified", shares=shares)).parts
    assert parts is not None
    for label, count in Counter(labels).items():
        own = Counter(part for part, other in zip(parts, labels, strict=True) if other == label)
        assert own["train"] >= 1
        for part, share in zip(PARTS[1:], shares[1:], strict=True):
            assert own[part] <= count * share / 100 + 1.5


def test_stratified_meets_the_shares_of_all_texts_together() -> None:
    labels = [f"label {number % 77}" for number in range(77 * 5)]
    counts = Counter(with_parts(dataset(labels), SplitOptions("stratified")).parts)
    assert counts == {"train": 309, "validation": 38, "test": 38}


def test_groups_stay_together() -> None:
    draw = random.Random(3)
    keys = [f"author {draw.randrange(40)}" for _ in range(400)]
    made = with_parts(dataset([draw.choice("ab") for _ in keys], keys=keys), SplitOptions("group", "author"))
    assert made.parts is not None
    of_group: dict[str, set[str]] = {}
    for key, part in zip(keys, made.parts, strict=True):
        of_group.setdefault(key, set()).add(part)
    assert all(len(parts) == 1 for parts in of_group.values())
    assert set(made.parts) == set(PARTS)


@pytest.mark.parametrize("form", ["2026-01-{:02}", "{}.5", "2026-01-{:02}T12:00:00+02:00"])
def test_by_time_the_newest_are_tested(form: str) -> None:
    draw = random.Random(1)
    rows = list(range(30))
    draw.shuffle(rows)
    made = with_parts(dataset(["a"] * 30, keys=[form.format(row + 1) for row in rows]), SplitOptions("time", "date"))
    assert made.parts is not None
    by_time = [part for _, part in sorted(zip(rows, made.parts, strict=True))]
    assert by_time == ["train"] * 24 + ["validation"] * 3 + ["test"] * 3


def test_equal_times_stay_in_one_part() -> None:
    made = with_parts(dataset(["a"] * 20, keys=["1"] * 10 + ["2"] * 10), SplitOptions("time", "date", (55, 25, 20)))
    assert made.parts == ["train"] * 20


def test_a_time_that_cannot_be_read_is_refused() -> None:
    with refused(InputError, "LX-DATA-083", "last week"):
        with_parts(dataset(["a"] * 3, keys=["2026-01-01", "last week", "2026-01-03"]), SplitOptions("time", "date"))


@pytest.mark.parametrize("given_parts", [("validation",), ("test",), ("validation", "test")])
@pytest.mark.parametrize("method", ["hash", "stratified"])
def test_the_share_of_a_part_that_has_its_own_file_is_trained_on(method: str, given_parts: tuple[str, ...]) -> None:
    labels = [f"{number % 3}" for number in range(500)]
    parts = with_parts(dataset(labels), SplitOptions(method), given=given_parts).parts
    assert set(PARTS) - set(given_parts) == set(parts or ())


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_a_part_that_the_data_do_not_have_is_taken_from_training(held_out: str) -> None:
    parts = [held_out if number % 5 == 0 else "train" for number in range(300)]
    whole = dataset(["a", "b"] * 150)
    found = with_parts(dataclasses.replace(whole, parts=parts)).parts
    assert found is not None
    other = {"test": "validation", "validation": "test"}[held_out]
    for text, said, part in zip(whole.texts, parts, found, strict=True):
        assert part == (held_out if said == held_out else other if part_of(text) == other else "train")


def test_three_texts_of_two_labels_still_make_three_parts() -> None:
    made = with_parts(dataset(["a"] * 6 + ["b"] * 6))
    assert set(parts_of(made)) == set(PARTS)


@given(strategies.integers(0, 2**64 - 1))
def test_the_default_is_the_last_digit_of_the_hash(value: int) -> None:
    expected = {8: "validation", 9: "test"}.get(value % 10, "train")
    assert parts_at(np.array([value], np.uint64), (80, 10, 10)) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hash", SplitOptions()),
        ("stratified", SplitOptions("stratified")),
        ("group:the author", SplitOptions("group", "the author")),
        ("time:sent:at", SplitOptions("time", "sent:at")),
    ],
)
def test_a_split_is_read_as_it_is_written(text: str, expected: SplitOptions) -> None:
    assert SplitOptions.parse(text) == expected


@pytest.mark.parametrize("text", ["", "random", "group", "group:", "hash:text", "stratified:"])
def test_other_splits_are_refused(text: str) -> None:
    with refused(InputError, "LX-DATA-081", text):
        SplitOptions.parse(text)


@pytest.mark.parametrize("shares", ["80/10", "80/10/11", "0/50/50", "-10/60/50", "a/b/c", "80,10,10", ""])
def test_shares_that_do_not_make_a_hundred_are_refused(shares: str) -> None:
    with refused(InputError, "LX-DATA-082", shares):
        SplitOptions.parse("hash", shares)


def test_a_column_of_parts_is_followed_whatever_its_spelling(tmp_path: Path) -> None:
    names = ["train", "Training", "dev", "VALID", "validation", "test", "testing", "train"]
    rows = [f"text {number},{'ab'[number % 2]},{name}" for number, name in enumerate(names)]
    file = tmp_path / "parts.csv"
    file.write_text("text,label,set\n" + "\n".join(rows) + "\n", encoding="utf-8")
    found = load(str(file), Columns(part="set"))
    assert found.parts == ["train", "train", "validation", "validation", "validation", "test", "test", "train"]
    file.write_text(file.read_text(encoding="utf-8").replace("testing", "holdout"), encoding="utf-8")
    with refused(InputError, "LX-DATA-084", "holdout"):
        load(str(file), Columns(part="set"))
