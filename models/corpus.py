"""A corpus: texts split into tokens once, for everything in training that reads them.

A token takes four bytes, the number of its word; what an encoder knows of a word is kept once and put in its place
for the few texts of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ..handlers.text.encoder import FIRST_WORD, UNK, Ids, Normalization, TextEncoder, TextSpec, Tokens
from ..handlers.text.tokens import spread, sums
from .splitting import split_texts

if TYPE_CHECKING:
    from .recipes import TextOptions

_TOGETHER = 1 << 20  # tokens counted at a time


@dataclass(frozen=True)
class Corpus:
    """Texts as numbers of their distinct tokens. A token takes four bytes, however often it occurs."""

    words: list[str]
    """The distinct tokens, in the order of their first occurrence."""
    numbers: npt.NDArray[np.int32]
    """The position in `words` of each token, int32 [sum(lengths)]."""
    lengths: Ids
    """Number of tokens of each text, int64 [texts]."""
    truncated: npt.NDArray[np.bool_]
    """Whether each text was cut, bool [texts]."""
    languages: Sequence[str | None] | None = None
    """The language of each text."""

    @classmethod
    def of(cls, texts: Sequence[str], options: TextOptions, languages: Sequence[str | None] | None = None) -> Corpus:
        """Normalize each of `texts` and split it into at most `max_tokens` tokens, as the options say."""
        spec = TextSpec(
            words=FIRST_WORD, max_tokens=options.max_tokens, normalization=Normalization(options.normalization)
        )
        return cls.split_by(TextEncoder(spec, []), texts, languages)

    @classmethod
    def split_by(
        cls, encoder: TextEncoder, texts: Sequence[str], languages: Sequence[str | None] | None = None
    ) -> Corpus:
        """Split each of `texts` as `encoder` does."""
        split = split_texts(encoder, texts)
        return cls(
            split.words,
            np.frombuffer(split.numbers, np.int32),
            np.frombuffer(split.lengths, np.int64),
            np.frombuffer(split.truncated, np.bool_),
            languages,
        )

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.lengths)

    def counts(self, rows: npt.NDArray[np.bool_] | None = None) -> Ids:
        """Return how often each of `words` occurs, int64 [words]; in the texts at `rows`, bool [texts], only."""
        numbers = self.numbers if rows is None else self.numbers[np.repeat(rows, self.lengths)]
        found = np.zeros(len(self.words), np.int64)
        for first in range(0, len(numbers), _TOGETHER):  # numpy makes 8 bytes of each to count it
            found += np.bincount(numbers[first : first + _TOGETHER], minlength=len(found))
        return found

    def looked_up(self, encoder: TextEncoder) -> NumberedTexts:
        """Return all texts as `encoder` looks them up, without splitting them again.

        The encoder must split as the corpus was. Raises TextError for a language that is missing or not known.
        """
        languages = encoder.number_languages(self.languages if encoder.languages else None, len(self))
        words = [encoder.look_up_words(self.words, number) for number in range(max(len(encoder.languages), 1))]
        indices = np.stack([one.indices for one in words])
        listed = partial(_look_up_grams, encoder, self.words) if encoder.spec.listed else None
        return NumberedTexts(words[0], indices, self.numbers, self.lengths, self.truncated, languages, listed)


def _look_up_grams(encoder: TextEncoder, words: Sequence[str], numbers: Ids) -> Ids:
    return encoder.look_up_grams([words[number] for number in numbers.tolist()])


class LookedUpTexts(Protocol):
    """Texts that an encoder has looked up: `Tokens`, or `NumberedTexts`."""

    @property
    def lengths(self) -> Ids:
        """Number of tokens of each text, int64 [texts]."""

    @property
    def unknown(self) -> Ids:
        """Unknown tokens per text, int64 [texts]."""

    def take(self, rows: Ids) -> Tokens:
        """Return the texts at `rows`, int64 [chosen], in that order."""


@dataclass(frozen=True)
class NumberedTexts:
    """Texts as numbers of words that were looked up, each once (once in each language)."""

    words: Tokens
    """The words, as if they were one text."""
    indices: Ids
    """The row of each word in each language, or in the only vocabulary, int64 [languages or 1, words]."""
    numbers: npt.NDArray[np.int32]
    """The position in `words` of each token, int32 [sum(lengths)]."""
    lengths: Ids
    """Number of tokens of each text, int64 [texts]."""
    truncated: npt.NDArray[np.bool_]
    """Whether each text was cut, bool [texts]."""
    languages: Ids | None
    """The number of each text's language, int64 [texts]."""
    listed: Callable[[Ids], Ids] | None = None
    """Where n-grams are entries of the vocabulary, from positions in `words` to the rows that `Tokens.listed` has."""

    @cached_property
    def _starts(self) -> Ids:
        starts: Ids = np.cumsum(self.lengths) - self.lengths
        return starts

    @property
    def unknown(self) -> Ids:
        """Unknown tokens per text, int64 [texts]."""
        unknown = self.indices == UNK
        if self.languages is None:
            return sums(unknown[0][self.numbers], self.lengths)
        return sums(unknown[np.repeat(self.languages, self.lengths), self.numbers], self.lengths)

    def take(self, rows: Ids) -> Tokens:
        """Return the texts at `rows`, int64 [chosen], in that order."""
        lengths, words = self.lengths[rows], self.words
        numbers = self.numbers[spread(lengths, self._starts[rows])].astype(np.int64)
        languages = None if self.languages is None else self.languages[rows]
        return Tokens(
            self.indices[0][numbers] if languages is None else self.indices[np.repeat(languages, lengths), numbers],
            words.hashes[numbers],
            lengths,
            tuple(self.truncated[rows].tolist()),
            languages,
            None if words.characters is None else words.characters.take(numbers),
            None if words.subwords is None else words.subwords.take(numbers),
            None if self.listed is None else self.listed(numbers),
        )

    def part(self, first: int, last: int) -> NumberedTexts:
        """Return the texts from `first` to before `last`."""
        start, end = (int(self.lengths[:row].sum()) for row in (first, last))
        languages = None if self.languages is None else self.languages[first:last]
        return NumberedTexts(
            self.words,
            self.indices,
            self.numbers[start:end],
            self.lengths[first:last],
            self.truncated[first:last],
            languages,
            self.listed,
        )


def pieces(texts: LookedUpTexts, size: int) -> Iterator[Tokens]:
    """Yield all of `texts`, `size` at a time."""
    for first in range(0, len(texts.lengths), size):
        yield texts.take(np.arange(first, min(first + size, len(texts.lengths))))
