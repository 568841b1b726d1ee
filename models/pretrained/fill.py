"""Vectors from outside into a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ...errors import InputError
from ...handlers.text import FIRST_WORD
from ..embeddings import Table
from .base import Coverage, Vectors

SPREAD = 0.1


def fill_table(table: Table, words: Sequence[str], vectors: Vectors, generator: np.random.Generator) -> Coverage:
    """Give the rows of the vocabulary `words`, of which the i-th owns row i + 2, the vectors of those words.

    Words without one are drawn; PAD, UNK and buckets stay as they are. Raises InputError if the vectors are not as
    wide as the table.
    """
    check_width(vectors, table.dim)
    positions, found = vectors.look_up(words)
    filled = draw(generator, len(words), vectors.dim)
    filled[positions] = found
    rows = torch.arange(FIRST_WORD, FIRST_WORD + len(words))
    kept = rows != table.padding_idx
    table.fill(rows[kept], torch.from_numpy(filled)[kept])
    return Coverage(vectors.name, len(positions), len(words))


def check_width(vectors: Vectors, dim: int) -> None:
    """Raise InputError unless the vectors are as wide as a model's, `dim`."""
    if vectors.dim != dim:
        raise InputError(
            f"The vectors of {vectors.name} have {vectors.dim} dimensions and the model's have {dim}; equal widths "
            f"were expected. Take vectors of {dim} dimensions, or train a model with dim = {vectors.dim}."
        )


def draw(generator: np.random.Generator, count: int, dim: int) -> npt.NDArray[np.float32]:
    """Vectors of words that nothing is known about, float32 [count, dim], uniform within ±0.1."""
    drawn = generator.random((count, dim), np.float32)
    drawn *= 2 * SPREAD
    drawn -= SPREAD
    return drawn
