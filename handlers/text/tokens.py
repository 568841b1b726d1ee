"""A batch of texts after look-up, before it becomes a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt

from .hashing import Ids
from .spec import UNK


def spread(lengths: Ids, starts: Ids) -> Ids:
    """Return the positions of runs that begin at `starts` and are `lengths` long, one after the other; int64."""
    ends = np.cumsum(lengths)
    positions: Ids = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
    return positions


def sums(values: npt.NDArray[np.bool_] | Ids, lengths: Ids) -> Ids:
    """Return the sum of each run of `values`, the runs one after the other; int64, one for every length."""
    upto = np.concatenate(([0], np.cumsum(values)))
    ends = np.cumsum(lengths)
    totals: Ids = upto[ends] - upto[ends - lengths]
    return totals


@dataclass(frozen=True)
class Ragged:
    """Several numbers for each token."""

    values: Ids
    """int64 [sum(counts)], token after token."""
    counts: Ids
    """How many numbers each token has, int64 [tokens]."""

    def take(self, tokens: Ids) -> Ragged:
        """Return the numbers of the tokens at `tokens`, int64 [chosen], in that order."""
        counts = self.counts[tokens]
        return Ragged(self.values[spread(counts, self._starts[tokens])], counts)

    @cached_property
    def _starts(self) -> Ids:
        """Where the numbers of each token begin. Kept: a step takes few of many texts."""
        starts: Ids = np.cumsum(self.counts) - self.counts
        return starts


@dataclass(frozen=True)
class Tokens:
    """A batch after look-up; the tokens of one text follow those of another."""

    indices: Ids
    """The row of each word in the vocabulary (of its language), or UNK; 2 for a known token if words have no rows.
    int64 [sum(lengths)]."""
    hashes: Ids
    """MurmurHash3 of each token, 0 if the spec does not need it; int64 [sum(lengths)]."""
    lengths: Ids
    """Number of tokens of each text, int64 [batch]."""
    truncated: tuple[bool, ...]
    """Whether each text was cut."""
    languages: Ids | None = None
    """The number of each text's language, int64 [batch]."""
    characters: Ragged | None = None
    """Rows of each token's characters."""
    subwords: Ragged | None = None
    """Hashes of each token's character n-grams."""
    listed: Ids | None = None
    """The row of the n-gram of 2, 3 … words that begins with each token, or UNK; int64 [sum(lengths), ngrams - 1].
    One that ends in another text stands for nothing."""

    @property
    def unknown(self) -> Ids:
        """Unknown tokens per text, int64 [batch].

        A token of known and unknown characters is known; hashed words are all known.
        """
        return sums(self.indices == UNK, self.lengths)

    @property
    def subword_counts(self) -> Ids | None:
        """Subwords per text, int64 [batch]; None if the spec has none."""
        return None if self.subwords is None else sums(self.subwords.counts, self.lengths)

    def take(self, rows: Ids) -> Tokens:
        """Return the texts at `rows`, int64 [chosen], in that order."""
        lengths = self.lengths[rows]
        where = spread(lengths, self._starts[rows])
        return Tokens(
            self.indices[where],
            self.hashes[where],
            lengths,
            tuple(self.truncated[row] for row in rows.tolist()),
            None if self.languages is None else self.languages[rows],
            None if self.characters is None else self.characters.take(where),
            None if self.subwords is None else self.subwords.take(where),
            None if self.listed is None else self.listed[where],
        )

    @cached_property
    def _starts(self) -> Ids:
        """Where the tokens of each text begin. Kept: a step takes few of many texts."""
        starts: Ids = np.cumsum(self.lengths) - self.lengths
        return starts


def join(parts: Sequence[Tokens]) -> Tokens:
    """Return one batch of several (at least one) of the same layout, with their texts in order."""
    if len(parts) == 1:
        return parts[0]
    languages = [part.languages for part in parts if part.languages is not None]
    listed = [part.listed for part in parts if part.listed is not None]
    return Tokens(
        np.concatenate([part.indices for part in parts]),
        np.concatenate([part.hashes for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        tuple(chain.from_iterable(part.truncated for part in parts)),
        np.concatenate(languages) if languages else None,
        _join([part.characters for part in parts if part.characters is not None]),
        _join([part.subwords for part in parts if part.subwords is not None]),
        np.concatenate(listed) if listed else None,
    )


def _join(parts: Sequence[Ragged]) -> Ragged | None:
    if not parts:
        return None
    return Ragged(np.concatenate([part.values for part in parts]), np.concatenate([part.counts for part in parts]))
