"""Pretrained word vectors as the start of an embedding table."""

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
    """Set the rows of the vocabulary `words` to the vectors of those words; word i has row i + 2.

    A word without a vector gets a random one. `missing` says which: "uniform", within ±0.1, or "moments", normal with
    the mean and the standard deviation that each dimension has among the vectors found (at least two are needed).
    PAD, UNK and buckets do not change. Raises InputError if the vectors have other dimensions than the table.
    """
    check_width(vectors, table.dim)
    positions, found = vectors.look_up(words)
    if missing == "moments" and len(found) > 1:
        filled = draw_normal(generator, len(words), found)
    else:
        filled = draw_uniform(generator, len(words), vectors.dim)
    filled[positions] = found
    rows = torch.arange(FIRST_WORD, FIRST_WORD + len(words))
    table.fill(rows, torch.from_numpy(filled))
    return Coverage(vectors.name, len(positions), len(words), vectors.skipped)


def check_width(vectors: Vectors, dim: int) -> None:
    """Raise InputError unless the vectors have the model's number of dimensions, `dim`."""
    if vectors.dim != dim:
        raise InputError(
            f"The vectors of {vectors.name} have {vectors.dim} dimensions, the model has {dim}; both must be equal. "
            f"Use vectors of {dim} dimensions, or train a model with dim = {vectors.dim}.",
            code="LX-TRAIN-022",
        )


def draw_uniform(generator: np.random.Generator, count: int, dim: int) -> npt.NDArray[np.float32]:
    """Return random vectors for words without any information, float32 [count, dim], uniform within ±0.1."""
    drawn = generator.random((count, dim), np.float32)
    drawn *= 2 * SPREAD
    drawn -= SPREAD
    return drawn


def draw_normal(
    generator: np.random.Generator, count: int, found: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return normal random vectors float32 [count, dim] with the mean and deviation of `found` [n, dim]."""
    drawn = generator.standard_normal((count, found.shape[1]), np.float32)
    drawn *= found.std(axis=0, dtype=np.float64).astype(np.float32)
    drawn += found.mean(axis=0, dtype=np.float64).astype(np.float32)
    return drawn
