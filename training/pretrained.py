"""Vectors from outside into a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ..data.pretrained.base import Coverage, Vectors
from ..errors import InputError
from ..handlers.text.encoder import FIRST_WORD
from ..models.embeddings import Table

SPREAD = 0.1


def fill_table(
    table: Table,
    words: Sequence[str],
    vectors: Vectors,
    generator: np.random.Generator,
    missing: str = "uniform",
) -> Coverage:
    """Give the rows of the vocabulary `words`, of which the i-th owns row i + 2, the vectors of those words.

    Words without one are drawn: `missing` is "uniform", within ±0.1, or "moments", normal with the mean and the
    standard deviation that each dimension has among the vectors found, of which that takes two. PAD, UNK and buckets
    stay as they are. Raises InputError if the vectors are not as wide as the table.
    """
    check_width(vectors, table.dim)
    positions, found = vectors.look_up(words)
    if missing == "moments" and len(found) > 1:
        filled = draw_alike(generator, len(words), found)
    else:
        filled = draw(generator, len(words), vectors.dim)
    filled[positions] = found
    rows = torch.arange(FIRST_WORD, FIRST_WORD + len(words))
    table.fill(rows, torch.from_numpy(filled))
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


def draw_alike(generator: np.random.Generator, count: int, found: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Vectors as spread out as those `found`, float32 [n, dim], in every dimension: float32 [count, dim], normal."""
    drawn = generator.standard_normal((count, found.shape[1]), np.float32)
    drawn *= found.std(axis=0, dtype=np.float64).astype(np.float32)
    drawn += found.mean(axis=0, dtype=np.float64).astype(np.float32)
    return drawn
