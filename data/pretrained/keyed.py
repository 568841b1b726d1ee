"""Vectors in memory, as gensim has them. gensim itself is not needed: any object with the two attributes works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...storage.compression import shown
from .base import Found, Vectors, Whole
from .matrix import gathered, outside


class KeyedVectors(Protocol):
    """What is used of gensim's KeyedVectors: the row of each word, and the vectors, float [words, dim]."""

    @property
    def key_to_index(self) -> Mapping[Any, int]:
        """The row of each word."""

    @property
    def vectors(self) -> npt.NDArray[Any]:
        """A vector in each row."""


def open_keyed(keyed: KeyedVectors) -> Vectors:
    """Return the vectors of an object in memory. Raises InputError if it has none."""
    kind = type(keyed).__name__
    if not hasattr(keyed, "key_to_index") or not hasattr(keyed, "vectors"):
        remedy = "Pass its .wv." if hasattr(keyed, "wv") else "Pass those, or the path of a file."
        raise InputError(
            f"A {kind} has no usable vectors; expected gensim's KeyedVectors, with key_to_index and vectors. "
            f"{remedy}",
            code="LX-VECTORS-015",
        )
    shape, dtype = np.shape(keyed.vectors), np.asarray(keyed.vectors).dtype
    if len(shape) != 2 or shape[1] < 1 or dtype.kind != "f":
        raise InputError(
            f"The vectors of the {kind} are {dtype} of the shape {list(shape)}; expected a matrix of floats "
            "[words, dim].",
            code="LX-VECTORS-016",
        )
    if len(keyed.key_to_index) != shape[0]:
        raise InputError(
            f"The {kind} has {len(keyed.key_to_index):,} words in key_to_index and {shape[0]:,} vectors; expected "
            "one vector for each word. Make it again.",
            code="LX-VECTORS-017",
        )
    return _Keyed(keyed)


@dataclass(frozen=True)
class _Keyed:
    """Vectors in memory; they are read as they are when words are looked up."""

    keyed: KeyedVectors

    @property
    def skipped(self) -> int:
        return 0

    @property
    def name(self) -> str:
        return shown(type(self.keyed).__name__)

    @property
    def dim(self) -> int:
        return int(self.keyed.vectors.shape[1])

    def look_up(self, words: Sequence[str]) -> Found:
        return gathered(words, self.keyed.key_to_index, np.asarray(self.keyed.vectors), self.name)

    def whole(self) -> Whole:
        matrix = np.asarray(self.keyed.vectors)
        words = [""] * len(matrix)
        for key, row in self.keyed.key_to_index.items():
            if not 0 <= row < len(matrix):
                raise outside(self.name, key, row, len(matrix))
            words[row] = str(key)
        return words, matrix
