"""A table of word vectors: its words, and which are nearest to some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from ...errors import InputError
from ...storage.compression import listed, shown
from .nearest import Found, Nearest
from .rows import Floats, Ints, Rows, quantized
from .spelling import alike


@dataclass(frozen=True)
class Neighbour:
    """A word, and the cosine of its vector with what was asked about."""

    word: str
    similarity: float


class WordTable:
    """Words, each with a row of vectors. PAD, UNK and whatever else is no word have none here."""

    def __init__(self, name: str, words: Sequence[str], rows: Rows, read: Callable[[str], str] | None = None) -> None:
        """Name the `words` of the `rows`; of equal words the first counts, the others are never found.

        `read` returns a word as the table spells it, in lower case for example, for words that it does not have as
        they are. Raises InputError for a table without words.
        """
        if not words:
            raise InputError(
                f"{name} has no words with a vector of their own: expected a model with a vocabulary, or vectors of "
                "words. `lexport recipes` says which recipes have one.",
                code="LX-VECTORS-101",
            )
        self.name, self.words, self._read = name, words, read
        self._places: dict[str, int] = {}
        for place, word in enumerate(words):
            self._places.setdefault(word, place)
        hidden = None
        if len(self._places) != len(words):
            hidden = np.ones(len(words), np.bool_)
            hidden[list(self._places.values())] = False
        self._hidden = hidden
        self.nearest = Nearest(rows, hidden)

    @property
    def rows(self) -> Rows:
        """The vectors."""
        return self.nearest.rows

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, word: object) -> bool:
        return word in self._places

    def place(self, word: str) -> int | None:
        """Return the row of a word, as it is or as the table spells it; None for an unknown one."""
        found = self._places.get(word)
        return self._places.get(self._read(word)) if found is None and self._read is not None else found

    def place_of(self, word: str) -> int:
        """Return the row of a word. Raises InputError for an unknown one, with the words that are spelled alike."""
        found = self.place(word)
        if found is None:
            near = alike(word, self.words, self._places)
            hint = f"Spelled alike are: {listed(near)}." if near else "No word is spelled alike."
            raise InputError(
                f"{self.name} has no word '{shown(word)}'; expected one of its {len(self):,} words. {hint}",
                code="LX-VECTORS-102",
            )
        return found

    def direction_of(self, places: Ints) -> Floats:
        """Return the rows at the length 1, float32 [n, dim]. Raises InputError for a row that has no direction."""
        for place in places.tolist():
            if np.isnan(self.nearest.inverse[place]):
                vector = self.rows.vectors(np.array([place]))[0]
                what = "only zeros" if not vector.any() else "numbers that are too large or not finite"
                raise InputError(
                    f"{self.name}: the vector of '{shown(self.words[place])}' has {what}, so nothing is near to it. "
                    "Ask about another word, or make the vectors again.",
                    code="LX-VECTORS-103",
                )
        return self.nearest.units(places)

    def similar(self, words: Sequence[str], count: int = 10) -> list[Neighbour]:
        """Return the `count` words nearest to the mean of the directions of `words`, which are not among them.

        Raises InputError for an unknown word, or if the directions cancel each other.
        """
        places = np.array([self.place_of(word) for word in words], np.int64)
        return self._near(self.direction_of(places).sum(axis=0), places, count, words)

    def analogy(self, first: str, second: str, third: str, count: int = 10) -> list[Neighbour]:
        """Return what is to `third` as `second` is to `first`: the words nearest to second - first + third.

        None of the three is among them. Raises as `similar` does. From Mikolov, Yih, Zweig: Linguistic Regularities
        in Continuous Space Word Representations, 2013.
        """
        words = (first, second, third)
        places = np.array([self.place_of(word) for word in words], np.int64)
        one, other, third_one = self.direction_of(places)
        return self._near(other - one + third_one, places, count, words)

    def _near(self, direction: Floats, places: Ints, count: int, words: Sequence[str]) -> list[Neighbour]:
        if np.linalg.norm(direction) < 1e-6:
            raise InputError(
                f"The vectors of {listed(words)} cancel each other, so nothing is near to them together. Ask about "
                "fewer words.",
                code="LX-VECTORS-104",
            )
        return self.named(self.nearest.find(direction[None], count, [places])[0])

    def named(self, found: Found) -> list[Neighbour]:
        """Return rows as words."""
        rows, cosines = found
        return [
            Neighbour(self.words[row], cosine) for row, cosine in zip(rows.tolist(), cosines.tolist(), strict=True)
        ]

    def usable(self) -> Ints:
        """Return the rows that can be found, int64 [n] ascending."""
        return np.flatnonzero(~np.isnan(self.nearest.inverse))

    def in_precision(self, precision: str) -> WordTable:
        """Return the same words in "int8" or "int4", as an ONNX export would store them; in memory."""
        return self.searched_by(Nearest(quantized(self.rows, precision), self._hidden))

    def searched_by(self, nearest: Nearest) -> WordTable:
        """Return the same words, whose nearest are found by `nearest`."""
        other = copy(self)
        other.nearest = nearest
        return other
