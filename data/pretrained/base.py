"""The interface of word vectors from any source, and their coverage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

LARGEST = float(np.finfo(np.float32).max)

Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""Positions of the words that have a vector, int64 [n] ascending, and those vectors, float32 [n, dim]."""

Whole = tuple[list[str], npt.NDArray[Any]]
"""All words in the order of the rows, and the vectors, float [words, dim], mapped where the file can be.

A word that a mapped file has twice is there twice."""


class Vectors(Protocol):
    """Vectors by word. Words are compared exactly; nothing is lower-cased."""

    @property
    def name(self) -> str:
        """Name for reports."""

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""

    @property
    def skipped(self) -> int:
        """Number of entries without a word, which were skipped; known once words were looked up."""

    def look_up(self, words: Sequence[str]) -> Found:
        """Return the vectors of those `words` that have one. Raises InputError for a damaged file."""

    def whole(self) -> Whole:
        """Return all words and vectors, whose numbers need not be finite. Raises as `look_up` does."""


@dataclass(frozen=True)
class Coverage:
    """How many words have a vector."""

    name: str
    """Name of the vectors."""
    found: int
    """Words with a vector."""
    asked: int
    """All words that were looked up."""
    skipped: int = 0
    """Entries without a word, which were skipped."""

    def __str__(self) -> str:
        share = 100 * self.found / max(self.asked, 1)
        skipped = f"; {self.skipped:,} entries without a word skipped" if self.skipped else ""
        return f"{self.name}: {self.found:,} of {self.asked:,} words have a vector ({share:.1f} %){skipped}"


def arranged(words: Sequence[str], vectors: Mapping[str, npt.NDArray[np.float32]], dim: int) -> Found:
    """Return the vectors of `words` that are in `vectors`, float32 [dim] each, in the order of `words`."""
    positions = [position for position, word in enumerate(words) if word in vectors]
    matrix = np.zeros((len(positions), dim), np.float32)
    for row, position in enumerate(positions):
        matrix[row] = vectors[words[position]]
    return np.array(positions, np.int64), matrix


def joined(rows: Iterable[tuple[str, npt.NDArray[np.float32]]], dim: int) -> Whole:
    """Return words and their vectors, float32 [dim] each, as one matrix in memory; of equal words the first."""
    content = bytearray()
    words: dict[str, None] = {}
    for word, vector in rows:
        if word not in words:
            words[word] = None
            content += vector.astype(np.float32, copy=False).tobytes()
    return list(words), np.frombuffer(content, np.float32).reshape(-1, dim)


def odd_number(values: npt.NDArray[Any]) -> float | None:
    """Return the first of `values`, float [dim], that is not a finite float32; None if all are."""
    odd = values[~(np.abs(values.astype(np.float64)) <= LARGEST)]
    return float(odd[0]) if len(odd) else None
