"""Hash text: tokens, word and character n-grams, and keys to rows of a table.

Everything is plain int64 arithmetic on MurmurHash3 values, so that numpy, torch and an ONNX graph compute the same
numbers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import mmh3
import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
_Value = TypeVar("_Value", int, Ids)

# The prime 2**31 - 1. Combining stays within int64: a hash is below 2**32 and the multiplier below 2**20.
PRIME = 2_147_483_647
MULTIPLIER = 1_000_003
# Keys of the layout "hashes" are from 0, PAD, to KEYS - 1: 1 + a hash.
KEYS = 2**33

# What stands before the first and after the last character of a token: bytes that no UTF-8 text contains.
BEGIN, END = b"\xff", b"\xfe"
# Characters of a token that subwords are made of; a text is one token where its writer wants it to be.
LONGEST_TOKEN = 64


def murmur(text: str | bytes, seed: int = 0) -> int:
    """Return MurmurHash3 (32 bits, unsigned) of the UTF-8 bytes. Raises UnicodeEncodeError for a lone surrogate."""
    # mmh3 ends the process if it cannot encode a string, so it gets bytes.
    return mmh3.hash(text.encode() if isinstance(text, str) else text, seed, signed=False)


def combine(left: _Value, right: _Value) -> _Value:
    """Return the hash of an n-gram and one more part: the n-gram's hash, the part's hash, below 2**31 - 1."""
    return (left * MULTIPLIER + right) % PRIME


def subwords(token: str, shortest: int, longest: int, seed: int = 0) -> Ids:
    """Return the hashes of the character n-grams of a token, begin and end marked; int64 [n-grams], shortest first.

    Of "cat", three characters long: <ca, cat, at> (Bojanowski, Grave, Joulin, Mikolov, Enriching Word Vectors with
    Subword Information, 2017, arXiv 1607.04606). Of a token past 64 characters the first 64 take part.
    """
    parts = [
        _character(BEGIN, seed),
        *(_character(one, seed) for one in token[:LONGEST_TOKEN]),
        _character(END, seed),
    ]
    grams, found = parts, []
    for order in range(2, longest + 1):
        grams = [combine(gram, part) for gram, part in zip(grams, parts[order - 1 :], strict=False)]
        if order >= shortest:
            found += grams
    return np.array(found, np.int64)


@lru_cache(maxsize=1 << 16)
def _character(one: str | bytes, seed: int) -> int:
    return murmur(one, seed)


def multipliers(count: int) -> list[tuple[int, int]]:
    """Return (a, b) of the hash functions 0 … count-1, 0 < a < 2**31 - 1 and 0 <= b < 2**31 - 1: the same everywhere.

    Function k maps a key to the row ((key % (2**31 - 1)) * a + b) % (2**31 - 1) % rows; no step leaves int64
    (Carter, Wegman, Universal Classes of Hash Functions, 1979). More functions leave the earlier ones as they are.
    """
    return [
        (1 + murmur(f"multiplier {function}") % (PRIME - 1), murmur(f"addend {function}") % PRIME)
        for function in range(count)
    ]
