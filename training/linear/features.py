"""The words, n-grams and subwords of texts as features of a linear model: products of sparse matrices.

A subword belongs to a word, so the sum over a text's subwords is a sum over its words of what each is made of. Held
as two matrices, texts × words and words × rows, the features take a tenth of the memory and time that texts × rows
would.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...handlers.text.encoder import Ids, TextEncoder, Tokens
from ...handlers.text.layout import flatten
from ...handlers.text.spec import PAD, UNK


@dataclass(frozen=True)
class Counts:
    """How often each row of a table occurs in each text."""

    words: Sparse
    """The distinct words of each text: [texts, distinct words]."""
    parts: Sparse
    """The rows of each distinct word, its own and those of its subwords: [distinct words, rows]."""
    ngrams: Sparse
    """The rows of each text's n-grams of words: [texts, rows]."""
    cells: Ids
    """The number of all of them in each text, int64 [texts]."""

    @classmethod
    def of(cls, encoder: TextEncoder, tokens: Tokens) -> Counts:
        """Count in texts that `encoder`, of the layout "indices", looked up."""
        spec, texts = encoder.spec, len(tokens.lengths)
        # A word without a row is a word of its own wherever it occurs: its subwords are its own.
        numbered = spec.words + np.arange(len(tokens.indices))
        _, first, numbers = np.unique(
            np.where(tokens.indices == UNK, numbered, tokens.indices), return_index=True, return_inverse=True
        )
        alone = Tokens(
            tokens.indices[first],
            tokens.hashes[first],
            np.ones(len(first), np.int64),
            (False,) * len(first),
            subwords=None if tokens.subwords is None else tokens.subwords.take(first),
        )
        rows, sizes = encoder.flatten(alone)
        if spec.ngrams > 1:
            cells, taken = flatten(replace(spec, subwords=None), replace(tokens, subwords=None))
            place = np.arange(len(cells)) - np.repeat(np.cumsum(taken) - taken, taken)
            ngrams = Sparse(cells[place >= np.repeat(tokens.lengths, taken)], taken - tokens.lengths, spec.rows)
        else:
            ngrams = Sparse(np.zeros(0, np.int64), np.zeros(texts, np.int64), spec.rows)
        return cls(
            Sparse(numbers, tokens.lengths, len(first)),
            Sparse(rows, sizes, spec.rows),
            ngrams,
            encoder.widths(tokens.lengths, tokens.subword_counts),
        )

    def alike(self) -> npt.NDArray[np.uint64]:
        """Return a number for each row, uint64 [rows]: equal for rows that occur equally often in every text."""
        texts = np.random.default_rng(0).integers(0, 1 << 64, len(self.cells), np.uint64)
        return self.parts.sums(self.words.sums(texts)) + self.ngrams.sums(texts)

    def totals(self) -> Tensor:
        """Return how often each row occurs in all texts, float64 [rows, 1]."""
        ones = torch.ones(len(self.cells), 1, dtype=torch.float64)
        return self.parts.transposed @ (self.words.transposed @ ones) + self.ngrams.transposed @ ones


class Sparse:
    """A sparse matrix of counts: the columns of each row, a column as often as it counts."""

    def __init__(self, columns: Ids, lengths: Ids, width: int) -> None:
        """`columns`: int64 [sum(lengths)], row after row; `lengths`: int64 [rows]; `width`: number of columns."""
        self.columns, self.lengths, self.width = columns, lengths, width

    def taking(self, places: Ids, width: int) -> Sparse:
        """Return the matrix with its column j at places[j], of `width` columns; those at −1 are left out."""
        moved = places[self.columns]
        kept = moved >= 0
        upto = np.concatenate(([0], np.cumsum(kept)))
        ends = np.cumsum(self.lengths)
        return Sparse(moved[kept], upto[ends] - upto[ends - self.lengths], width)

    def sums(self, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Return the transpose times `values`, uint64 [rows] → uint64 [width], modulo 2**64."""
        found = np.zeros(self.width, np.uint64)
        np.add.at(found, self.columns, np.repeat(values, self.lengths))
        return found

    @cached_property
    def matrix(self) -> Tensor:
        """The matrix, float64, as torch multiplies it with a dense one."""
        starts = np.concatenate(([0], np.cumsum(self.lengths)))
        return _compressed(starts, self.columns, (len(self.lengths), self.width))

    @cached_property
    def transposed(self) -> Tensor:
        """Its transpose, likewise."""
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        order = np.argsort(self.columns, kind="stable")
        counts = np.bincount(self.columns, minlength=self.width)
        starts = np.concatenate(([0], np.cumsum(counts)))
        return _compressed(starts, rows[order], (self.width, len(self.lengths)))


def _compressed(starts: Ids, columns: Ids, shape: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support", UserWarning)
        indices = torch.from_numpy(starts), torch.from_numpy(columns)
        ones = torch.ones(len(columns), dtype=torch.float64)
        return torch.sparse_csr_tensor(*indices, ones, shape, check_invariants=False)


class Weighing(NamedTuple):
    """What a subword counts beside a word or an n-gram."""

    weight: float
    """What its factor is multiplied by."""
    idf: bool = True
    """Whether its factor is that of a word, so that subwords of few texts count more; else 1."""

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.weight:g}" + ("" if self.idf else " without IDF")


@dataclass(frozen=True)
class Scales:
    """Which rows of a table are features, and the factor of each."""

    rows: Ids
    """The rows, ascending, int64 [features]."""
    factors: Tensor
    """What a count is multiplied by, float64 [features, 1]."""

    @classmethod
    def of(
        cls,
        counts: Counts,
        encoder: TextEncoder,
        power: float,
        weighing: Weighing,
        most: int,
        without: int | None = None,
    ) -> Scales:
        """Return the features of the training texts, at most the `most` frequent.

        A row that occurs c times in n texts has the factor log(1 + n / c), as TF-IDF has it for words of n texts, a
        bucket of subwords that or 1, times its weight. All are then scaled so that a text's vector has length 1 (the
        root of the mean square), taking its cells as different ones. `power` as `Design` has it;
        `without`: a row that is left out.
        """
        totals = counts.totals()[:, 0].numpy()
        totals[PAD if without is None else [PAD, without]] = 0
        rows = np.flatnonzero(totals)
        if len(rows) > most:
            rows = np.sort(rows[np.argsort(-totals[rows], kind="stable")[:most]])
        factors = np.log1p(len(counts.cells) / totals[rows])
        hashed = np.unique(counts.parts.columns)
        subwords = np.isin(rows, hashed[hashed >= encoder.spec.words])
        factors[subwords] = weighing.weight * (factors[subwords] if weighing.idf else 1.0)
        scales = cls(rows, torch.from_numpy(factors)[:, None])
        squares = Design(counts, replace(scales, factors=scales.factors.square()), 2 * power)
        square = float(squares.forward(torch.ones(len(rows), 1, dtype=torch.float64)).mean())
        return replace(scales, factors=scales.factors / max(square, 1e-12) ** 0.5)


@dataclass(frozen=True)
class Merged:
    """Features that are alike in the training texts, as one.

    Most features of few texts are in one text only, or are parts of one word only. Of features that occur equally
    often in every text a minimum with an L2 penalty has weights in proportion to their factors; one feature, whose
    factor is the root of the sum of their squares, has the same minimum with the same penalty.
    """

    scales: Scales
    """One feature for each group of them: the first of its rows."""
    group: Tensor
    """The group of each feature, int64 [features]."""
    shares: Tensor
    """What a group's weight is multiplied by to be that of a row of the table, float64 [features, 1]."""

    @classmethod
    def of(cls, counts: Counts, scales: Scales) -> Merged:
        """Merge the features of `scales` by the `counts` of the training texts."""
        _, first, group = np.unique(counts.alike()[scales.rows], return_index=True, return_inverse=True)
        order = np.argsort(first)
        group = np.argsort(order)[group]
        squares = torch.from_numpy(np.bincount(group, scales.factors.square()[:, 0].numpy()))[:, None]
        own = torch.from_numpy(group)
        merged = Scales(scales.rows[first[order]], squares.sqrt())
        return cls(merged, own, scales.factors.square() / squares.sqrt()[own])

    def rows_of(self, weight: Tensor) -> Tensor:
        """Return what the weights of groups, float64 [groups, outputs], are in the table: [features, outputs]."""
        return self.shares * weight[self.group]


class Design:
    """The features of texts: counts · factors / cells ** power, [texts, features], by its products."""

    def __init__(self, counts: Counts, scales: Scales, power: float) -> None:
        """`power`: 0.5 where a bag divides by the square root of the number of cells, 1 for a mean, 0 for a sum."""
        width = counts.ngrams.width
        places = np.full(width, -1, np.int64)
        places[scales.rows] = np.arange(len(scales.rows))
        self._words = counts.words
        self._parts = counts.parts.taking(places, len(scales.rows))
        self._ngrams = counts.ngrams.taking(places, len(scales.rows))
        self._factors = scales.factors
        self._shares = torch.from_numpy(np.maximum(counts.cells, 1.0) ** -power)[:, None]

    def forward(self, weights: Tensor) -> Tensor:
        """Map float64 [features, outputs] → float64 [texts, outputs]."""
        scaled = self._factors * weights
        summed = self._words.matrix @ (self._parts.matrix @ scaled) + self._ngrams.matrix @ scaled
        return summed.mul_(self._shares)

    def transposed(self, values: Tensor) -> Tensor:
        """Map float64 [texts, outputs] → float64 [features, outputs]."""
        shared = self._shares * values
        of_words = self._parts.transposed @ (self._words.transposed @ shared)
        return of_words.add_(self._ngrams.transposed @ shared).mul_(self._factors)
