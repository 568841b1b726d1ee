from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from lexport.models.embeddings import CharCNN, CharCNNOptions

WORDS = st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=5)


def embedding() -> CharCNN:
    torch.manual_seed(0)
    return CharCNN(10, CharCNNOptions(dim=7, character_dim=4, widths=(1, 3, 8), filters=5)).eval()


def spell(words: list[list[int]], width: int) -> Tensor:
    """Characters int64 [1, words, width]."""
    return torch.tensor([[word + [0] * (width - len(word)) for word in words]])


@settings(max_examples=40)
@given(words=WORDS, more=st.integers(1, 9))
def test_room_for_longer_words_changes_no_vector(words: list[list[int]], more: int) -> None:
    longest = max(1, *(len(word) for word in words))
    narrow, wide = spell(words, longest), spell(words, longest + more)
    assert_close(embedding().vectors(wide), embedding().vectors(narrow), rtol=0, atol=1e-6)


@settings(max_examples=40)
@given(words=WORDS)
def test_each_kernel_sees_exactly_the_windows_that_touch_the_word(words: list[list[int]]) -> None:
    part = embedding()
    found = part.vectors(spell(words, 6))[0]
    for word, vector in zip(words, found, strict=True):
        if not word:
            assert (vector == 0).all()
            continue
        signal = part.table.vectors(torch.tensor([word])).transpose(1, 2)
        largest = [convolution(signal).relu().amax(dim=2) for convolution in part.convolutions]
        assert_close(part.projection(torch.cat(largest, dim=1))[0], vector, rtol=0, atol=1e-6)


def test_empty_words_inside_a_text_are_masked_and_have_no_vector() -> None:
    ids = spell([[3, 4], [], [5]], 4)
    assert embedding().mask(ids).tolist() == [[True, False, True]]
    assert (embedding().vectors(ids)[0, 1] == 0).all()


def test_a_word_shorter_than_every_kernel_has_a_finite_vector_that_tells_it_apart() -> None:
    vectors = embedding().vectors(spell([[1], [2], [2, 2]], 2))[0]
    assert vectors.isfinite().all()
    assert len({tuple(vector) for vector in vectors.tolist()}) == 3


def test_prefixes_and_suffixes_differ() -> None:
    vectors = embedding().vectors(spell([[1, 2, 3], [3, 2, 1]], 3))[0]
    assert not torch.allclose(vectors[0], vectors[1])


def test_a_character_beyond_the_table_is_named() -> None:
    with pytest.raises(IndexError, match=r"^index 10 is beyond the 10 there are; the last is 9\.$"):
        embedding().vectors(spell([[10]], 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": ()}, r"widths=\[\]"),
        ({"widths": (2, 0)}, r"widths=\[2, 0\]"),
        ({"widths": (2, 2)}, r"widths=\[2, 2\]"),
        ({"character_dim": 0}, "character_dim=0"),
        ({"filters": 0}, "filters=0"),
    ],
)
def test_kernels_that_cannot_be_built_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CharCNNOptions(**options)  # type: ignore[arg-type]


def test_widths_read_from_a_file_equal_widths_written_in_code() -> None:
    assert CharCNNOptions(widths=[1, 2]) == CharCNNOptions(widths=(1, 2))  # type: ignore[arg-type]
