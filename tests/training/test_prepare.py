"""The width of a vector, chosen by the size of the data, and the texts that are kept while it is trained."""

from __future__ import annotations

import pytest

from lexport.data.load import of_texts
from lexport.data.splits import split
from lexport.training.prepare import choose_dim, without_training_texts


@pytest.mark.parametrize(
    ("encoder", "search", "tokens", "dim"),
    [
        ("bag", False, 0, 16),
        ("bag", False, 999_999, 16),
        ("bag", False, 9_999_999, 16),
        ("bag", False, 10_000_000, 32),
        ("bag", False, 100_000_000, 64),
        ("bag", True, 0, 256),
        ("cnn", False, 0, 64),
        ("lstm", False, 1_000_000, 96),
        ("transformer", False, 99_999_999, 128),
        ("transformer", False, 100_000_000, 256),
    ],
)
def test_more_text_fills_more_dimensions(encoder: str, search: bool, tokens: int, dim: int) -> None:
    assert choose_dim(encoder, tokens, search=search)[0] == dim


@pytest.mark.parametrize("encoder", ["bag", "cnn", "lstm", "transformer"])
def test_every_width_can_be_divided_among_four_heads_and_never_shrinks(encoder: str) -> None:
    widths = [choose_dim(encoder, 10**power)[0] for power in range(10)]
    assert widths == sorted(widths)
    assert all(width % 4 == 0 for width in widths)


def test_the_reason_says_what_was_counted_and_how_to_choose_oneself() -> None:
    assert choose_dim("bag", 12_345)[1] == (
        "16 dimensions, for a bag on 12,345 tokens (below 1,000,000); --dim sets another"
    )
    assert choose_dim("bag", 12_345, search=True)[1] == (
        "256 dimensions, vectors to search with, by a bag on 12,345 tokens (below 1,000,000); --dim sets another"
    )
    assert choose_dim("lstm", 10**9)[1] == "256 dimensions, for a lstm on 1,000,000,000 tokens; --dim sets another"


def test_the_held_out_texts_stay_and_those_of_training_are_forgotten() -> None:
    # More than are packed at a time, and characters of one to four bytes.
    parts = split(of_texts([f"text {number} é 電 😀" for number in range(50_000)], ["a", "b"] * 25_000))
    held_out = [list(part.texts) for part in (parts.validation, parts.test)]
    kept = without_training_texts(parts)
    assert [kept.validation.texts, kept.test.texts] == held_out
    assert set(kept.train.texts) == {""}
    assert len(kept.train) == len(kept.train.labels)
    assert parts.train.texts == parts.validation.texts == parts.test.texts == []
