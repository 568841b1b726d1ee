"""The width of a vector, chosen by the size of the data."""

from __future__ import annotations

import pytest

from lexport.training.dimension import choose_dim


@pytest.mark.parametrize(
    ("encoder", "task", "tokens", "dim"),
    [
        ("bag", "classify", 0, 16),
        ("bag", "classify", 999_999, 16),
        ("bag", "classify", 9_999_999, 16),
        ("bag", "classify", 10_000_000, 32),
        ("bag", "classify", 100_000_000, 64),
        ("bag", "vector", 0, 256),
        ("bag", "joint", 0, 16),
        ("cnn", "classify", 0, 64),
        ("lstm", "classify", 1_000_000, 96),
        ("transformer", "classify", 99_999_999, 128),
        ("transformer", "classify", 100_000_000, 256),
    ],
)
def test_more_text_fills_more_dimensions(encoder: str, task: str, tokens: int, dim: int) -> None:
    assert choose_dim(encoder, task, tokens)[0] == dim


@pytest.mark.parametrize("encoder", ["bag", "cnn", "lstm", "transformer"])
def test_every_width_can_be_divided_among_four_heads_and_never_shrinks(encoder: str) -> None:
    widths = [choose_dim(encoder, "classify", 10**power)[0] for power in range(10)]
    assert widths == sorted(widths)
    assert all(width % 4 == 0 for width in widths)


def test_the_reason_says_what_was_counted_and_how_to_choose_oneself() -> None:
    assert choose_dim("bag", "classify", 12_345)[1] == (
        "16 dimensions, for a bag on 12,345 tokens (below 1,000,000); --dim sets another"
    )
    assert choose_dim("bag", "vector", 12_345)[1] == (
        "256 dimensions, vectors to search with, by a bag on 12,345 tokens (below 1,000,000); --dim sets another"
    )
    assert (
        choose_dim("lstm", "classify", 10**9)[1]
        == "256 dimensions, for a lstm on 1,000,000,000 tokens; --dim sets another"
    )
