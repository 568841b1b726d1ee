"""Hash functions: reproducible, in range, spread evenly, and the same in plain Python as in arrays."""

from __future__ import annotations

from itertools import combinations

import mmh3
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lexport.handlers.hashing import PRIME, buckets, combine, multipliers, murmur, subwords


def test_the_hash_functions_are_the_same_everywhere_and_for_ever() -> None:
    assert multipliers(3) == [(412738571, 899283519), (1067728814, 553727959), (955755656, 2016156125)]
    assert multipliers(1) == multipliers(3)[:1]
    assert multipliers(0) == []


def test_the_hash_functions_differ_and_their_numbers_are_in_range() -> None:
    pairs = multipliers(1000)
    assert len(set(pairs)) == 1000
    assert all(0 < a < PRIME and 0 <= b < PRIME for a, b in pairs)


@given(
    st.lists(st.integers(0, 2**33 - 1), min_size=1), st.integers(0, 20), st.integers(1, 2**31 - 1) | st.integers(1, 9)
)
def test_buckets_are_those_of_unbounded_arithmetic(keys: list[int], function: int, count: int) -> None:
    a, b = multipliers(function + 1)[function]
    found = buckets(np.array(keys, np.int64), function, count)
    assert found.dtype == np.int64
    assert found.tolist() == [((key % PRIME) * a + b) % PRIME % count for key in keys]
    assert ((found >= 0) & (found < count)).all()


def test_buckets_keep_the_shape_and_fill_evenly() -> None:
    keys = np.array([[murmur(f"word {row} {column}") for column in range(100)] for row in range(200)], np.int64)
    for function in range(4):
        rows = buckets(keys, function, 64)
        assert rows.shape == keys.shape
        filled = np.bincount(rows.ravel(), minlength=64)
        assert filled.min() > 230
        assert filled.max() < 400


def test_words_that_share_a_bucket_of_one_function_rarely_share_that_of_another() -> None:
    keys = np.array([murmur(f"word {number}") for number in range(2000)], np.int64)
    for first, second in combinations(range(3), 2):
        rows = set(zip(buckets(keys, first, 256).tolist(), buckets(keys, second, 256).tolist(), strict=True))
        assert len(rows) > 1900


@given(st.integers(0, PRIME - 1) | st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_combining_is_the_same_for_a_number_and_an_array(left: int, right: int) -> None:
    expected = (left * 1_000_003 + right) % (2**31 - 1)
    assert combine(left, right) == expected
    assert combine(np.array([left]), np.array([right])).tolist() == [expected]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**32 - 1))
def test_a_token_is_hashed_by_its_utf8_bytes(token: str, seed: int) -> None:
    assert murmur(token, seed) == murmur(token.encode(), seed) == mmh3.hash(token, seed, signed=False)


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
