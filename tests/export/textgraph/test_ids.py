"""The graph's ids are those of the Python text code, cell by cell, in every layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.handlers.text.encoder import TextEncoder, TextSpec

from .cases import LAYOUTS, encoder_of
from .graphs import Front

# Words of the vocabularies, unknown ones, and anything.
WORDS = st.sampled_from(
    [
        "film",
        "good",
        "Film",
        "電影",
        "café",
        "cafe\u0301",
        "fi\u00adlm",
        "ΟΔΥΣΣΕΥΣ",
        "qxzvkj",
        "!",
        "[PAD]",
        "a",
        "42",
    ]
)
TEXTS = st.one_of(st.text(max_size=40), st.lists(WORDS | st.text(max_size=6), max_size=20).map(" ".join))


def blocks(row: npt.NDArray[np.int64]) -> list[Any]:
    """A text's cells in order, less PAD, which stands between blocks too; of three axes, the rows of a cell."""
    if row.ndim == 1:
        return [int(cell) for cell in row if cell]
    return [cells for cells in row.tolist() if any(cells)]


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_a_text_becomes_the_same_ids(layout: str, texts: list[str]) -> None:
    encoder, front = encoder_of(layout), Front.of(layout)
    names = encoder.languages
    languages = [names[place % 2] for place in range(len(texts))] if names else None
    tokens = encoder.look_up(texts, languages)
    expected, found = encoder.assemble(tokens), front.ids(texts, languages)
    assert found.shape[1] >= 1
    assert [blocks(row) for row in found] == [blocks(row) for row in expected]


def test_other_seeds_and_no_lower_case_are_followed() -> None:
    spec = TextSpec(words=4, buckets=50, ngrams=2, subwords=(3, 3), hash_seed=7, lowercase=False)
    encoder = TextEncoder(spec, ["Film", "good"])
    texts = ["Film film GOOD good", "ÄÖ"]
    expected = encoder.assemble(encoder.look_up(texts))
    found = Front(encoder).ids(texts)
    assert [blocks(row) for row in found] == [blocks(row) for row in expected]
