"""Hash functions: reproducible, in range, and the same in plain Python as in arrays and in ONNX Runtime."""

from __future__ import annotations

import mmh3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.handlers.text.hashing import PRIME, combine, multipliers, murmur, subwords

from ...models.embeddings.embedding_cases import TOKENS, murmur_session


def test_the_hash_functions_are_the_same_everywhere_and_for_ever() -> None:
    assert multipliers(3) == [(412738571, 899283519), (1067728814, 553727959), (955755656, 2016156125)]
    assert multipliers(1) == multipliers(3)[:1]
    assert multipliers(0) == []


def test_the_hash_functions_differ_and_their_numbers_are_in_range() -> None:
    pairs = multipliers(1000)
    assert len(set(pairs)) == 1000
    assert all(0 < a < PRIME and 0 <= b < PRIME for a, b in pairs)


@given(st.integers(0, PRIME - 1) | st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_combining_is_the_same_for_a_number_and_an_array(left: int, right: int) -> None:
    expected = (left * 1_000_003 + right) % (2**31 - 1)
    assert combine(left, right) == expected
    assert combine(np.array([left]), np.array([right])).tolist() == [expected]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**32 - 1))
def test_a_token_is_hashed_by_its_utf8_bytes(token: str, seed: int) -> None:
    assert murmur(token, seed) == murmur(token.encode(), seed) == mmh3.hash(token, seed, signed=False)


@pytest.mark.parametrize("seed", [0, 7, 2**31 + 5, 2**32 - 1])
@settings(max_examples=200)
@given(tokens=st.lists(TOKENS, min_size=1, max_size=20))
def test_any_token_has_the_same_hash_in_onnx_runtime(seed: int, tokens: list[str]) -> None:
    found = murmur_session(seed).run(None, {"tokens": np.array(tokens, object)})[0]
    assert found.tolist() == [murmur(token, seed) for token in tokens]


def test_a_token_that_is_not_valid_unicode_has_no_hash() -> None:
    with pytest.raises(UnicodeEncodeError):
        murmur("half \ud800")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64), st.integers(2, 4), st.integers(0, 3)
)
def test_a_token_has_so_many_subwords(token: str, shortest: int, more: int) -> None:
    found = subwords(token, shortest, shortest + more)
    assert found.dtype == np.int64
    assert len(found) == sum(max(len(token) + 3 - order, 0) for order in range(shortest, shortest + more + 1))
    assert ((found >= 0) & (found < PRIME)).all()


def test_the_beginning_and_the_end_of_a_word_are_marked() -> None:
    inside, start, end = (set(subwords(word, 3, 3).tolist()) for word in ("xcatx", "catx", "xcat"))
    assert len(inside & start & end) == 1
    assert len(inside & start) == len(inside & end) == 3
