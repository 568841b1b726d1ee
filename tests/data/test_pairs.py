"""A text's two halves make a pair: cut where a reader would cut, nothing lost, the part that of the whole text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.load import Dataset, dataset_of, halves, load
from lexport.data.splits import part_of, split
from lexport.errors import InputError

from ..refusals import refused


def made(*texts: str) -> Dataset:
    return dataset_of(list(texts), [""] * len(texts), "mine.csv")


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("one two three four five six seven eight", "one two three four", "five six seven eight"),
        ("Short. It was a very good film, all told.", "Short. It was a very", "good film, all told."),
        (
            "It was a long day. Then the night came and we slept.",
            "It was a long day.",
            "Then the night came and we slept.",
        ),
        (
            'He said "it is over." Then he left, and so did we.',
            'He said "it is over."',
            "Then he left, and so did we.",
        ),
        ("屏幕很好。但是电池太小了，不够用", "屏幕很好。", "但是电池太小了，不够用"),
        ("这个手机的屏幕非常好看", "这个手机的", "屏幕非常好看"),
        ("房间很小的（而且吵闹）", "房间很小的", "（而且吵闹）"),
        ("ราคาถูกและดีมาก", "ราคาถูก", "และดีมาก"),
        ("a, b, c, d: www.example.org/long/path", "a, b, c, d:", "www.example.org/long/path"),
    ],
)
def test_a_text_is_cut_where_a_reader_would(text: str, first: str, second: str) -> None:
    dataset = halves(made(text))
    assert (dataset.texts, dataset.pairs) == ([first], [second])


@pytest.mark.parametrize("text", ["", "one two three", "屏幕非常好看", "www.example.org/a/long/path", "x" * 99])
def test_what_is_too_short_or_has_no_place_to_cut_is_left_out_and_counted(text: str) -> None:
    long = "one two three four five six seven eight"
    dataset = halves(made(text, long))
    assert len(dataset) == 1
    assert dataset.dropped == {"duplicates": 0, "conflicting": 0, "empty": 0, "short": 1}
    with refused(InputError, "LX-DATA-016", "mine.csv", "1", "--pair-column"):
        halves(made(text))


def test_all_that_is_known_of_a_text_stays_with_its_pair() -> None:
    texts = ["short", "one two three four five six seven eight", "eins zwei drei vier fünf sechs sieben acht"]
    images = np.arange(3, dtype=np.float32).reshape(3, 1)
    dataset = halves(dataset_of(texts, list("012"), "x", languages=["en", "en", "de"], images=images))
    assert (dataset.labels, dataset.languages) == (["1", "2"], ["en", "de"])
    assert dataset.images is not None
    np.testing.assert_array_equal(dataset.images, [[1], [2]])


def test_pairs_are_not_halved_again() -> None:
    with pytest.raises(ValueError, match=r"mine\.csv has pairs already"):
        halves(halves(made("one two three four five six seven eight")))


@given(st.text("ab 中文。，.!\n\t'", min_size=1))
def test_nothing_but_white_space_is_lost(text: str) -> None:
    long = f"{text} one two three four five six seven eight"
    dataset = halves(made(long))
    assert dataset.pairs is not None
    first, second = dataset.texts[0], dataset.pairs[0]
    assert first
    assert second
    assert "".join((first + second).split()) == "".join(long.split())


def test_real_reviews_are_halved_and_stay_in_their_part() -> None:
    whole = load("multilingual-reviews")
    dataset = halves(whole)
    assert len(dataset) + dataset.dropped["short"] == len(whole)
    assert len(dataset) == 24_917
    assert dataset.pairs is not None
    wholes = iter(whole.texts)
    for first, second, part in zip(dataset.texts, dataset.pairs, dataset.parts or [], strict=True):
        text = next(text for text in wholes if text.startswith(first) and text.endswith(second))
        assert part == part_of(text)
    shares = [len(a) / (len(a) + len(b)) for a, b in zip(dataset.texts, dataset.pairs, strict=True)]
    assert np.mean([0.2 < share < 0.8 for share in shares]) > 0.99
    assert split(dataset, None).test.pairs
