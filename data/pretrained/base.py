"""What vectors of every origin answer, and how many words they cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

LARGEST = float(np.finfo(np.float32).max)

Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
"""Positions of the words that have a vector, int64 [n] ascending, and those vectors, float32 [n, dim]."""


class Vectors(Protocol):
    """Vectors by word, the word just as it is written: nothing is lower-cased."""

    @property
    def name(self) -> str:
        """What reports call them."""

    @property
    def dim(self) -> int:
        """Width of a vector."""

    def look_up(self, words: Sequence[str]) -> Found:
        """Those of `words` that have a vector. Raises InputError for a file that turns out damaged."""


@dataclass(frozen=True)
class Coverage:
    """How many of the words `asked` for were `found` in the vectors of that `name`."""

    name: str
    found: int
    asked: int

    def __str__(self) -> str:
        share = 100 * self.found / max(self.asked, 1)
        return f"{self.name}: {self.found:,} of {self.asked:,} words have a vector ({share:.1f} %)"


def arranged(words: Sequence[str], vectors: Mapping[str, npt.NDArray[np.float32]], dim: int) -> Found:
    """What was found of `words`, in their order; each of `vectors` is float32 [dim]."""
    positions = [position for position, word in enumerate(words) if word in vectors]
    matrix = np.zeros((len(positions), dim), np.float32)
    for row, position in enumerate(positions):
        matrix[row] = vectors[words[position]]
    return np.array(positions, np.int64), matrix


def odd_number(values: npt.NDArray[Any]) -> float | None:
    """The first of `values`, float [dim], that no float32 can hold as a finite number; None if all can be held."""
    odd = values[~(np.abs(values.astype(np.float64)) <= LARGEST)]
    return float(odd[0]) if len(odd) else None
