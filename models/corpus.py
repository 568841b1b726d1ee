"""A corpus: texts split into tokens once, for everything in training that reads them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..handlers.text.encoder import FIRST_WORD, Ids, Normalization, TextEncoder, TextSpec, Tokens
from .recipes import TextOptions

# Texts numbered at a time, so that few Python strings are alive at once.
_TOGETHER = 256


@dataclass(frozen=True)
class Corpus:
    """Texts as numbers of their distinct tokens. A token takes four bytes, however often it occurs."""

    words: list[str]
    """The distinct tokens, in the order of their first occurrence."""
    numbers: npt.NDArray[np.int32]
    """The position in `words` of each token, int32 [sum(lengths)]."""
    lengths: Ids
    """Number of tokens of each text, int64 [texts]."""
    truncated: tuple[bool, ...]
    """Whether each text was cut."""
    languages: Sequence[str | None] | None = None
    """The language of each text."""

    @classmethod
    def of(cls, texts: Sequence[str], options: TextOptions, languages: Sequence[str | None] | None = None) -> Corpus:
        """Normalize each of `texts` and split it into at most `max_tokens` tokens, as the options say."""
        spec = TextSpec(
            words=FIRST_WORD, max_tokens=options.max_tokens, normalization=Normalization(options.normalization)
        )
        split = TextEncoder(spec, []).tokens
        positions: defaultdict[str, int] = defaultdict()
        positions.default_factory = positions.__len__
        numbers, lengths, truncated = [], [], []
        for first in range(0, len(texts), _TOGETHER):
            found: list[int] = []
            for text in texts[first : first + _TOGETHER]:
                tokens, cut = split(text)
                found += map(positions.__getitem__, tokens)
                lengths.append(len(tokens))
                truncated.append(cut)
            numbers.append(np.array(found, np.int32))
        joined = np.concatenate(numbers) if numbers else np.zeros(0, np.int32)
        return cls(list(positions), joined, np.array(lengths, np.int64), tuple(truncated), languages)

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.lengths)

    def counts(self, rows: npt.NDArray[np.bool_] | None = None) -> Ids:
        """Return how often each of `words` occurs, int64 [words]; in the texts at `rows`, bool [texts], only."""
        numbers = self.numbers if rows is None else self.numbers[np.repeat(rows, self.lengths)]
        return np.bincount(numbers, minlength=len(self.words)).astype(np.int64)

    def batches(self, encoder: TextEncoder, size: int) -> Iterator[Tokens]:
        """Yield all texts as `encoder.look_up` returns them, `size` at a time, without splitting them again.

        The encoder must split as the corpus was. Raises TextError for a language that is missing or not known.
        """
        found = _LookedUp(self, encoder)
        for first in range(0, len(self), size):
            yield found.texts(first, min(first + size, len(self)))


class _LookedUp:
    """The words of a corpus, each looked up once (once in each language)."""

    def __init__(self, corpus: Corpus, encoder: TextEncoder) -> None:
        self._corpus = corpus
        languages = corpus.languages if encoder.languages else None
        self._languages = encoder.number_languages(languages, len(corpus))
        words = [encoder.look_up_words(corpus.words, number) for number in range(max(len(encoder.languages), 1))]
        self._words = words[0]
        self._indices = np.stack([one.indices for one in words])
        self._starts = np.concatenate(([0], np.cumsum(corpus.lengths)))

    def texts(self, first: int, last: int) -> Tokens:
        corpus, words = self._corpus, self._words
        numbers = corpus.numbers[self._starts[first] : self._starts[last]].astype(np.int64)
        lengths = corpus.lengths[first:last]
        languages = None if self._languages is None else self._languages[first:last]
        return Tokens(
            self._indices[0][numbers] if languages is None else self._indices[np.repeat(languages, lengths), numbers],
            words.hashes[numbers],
            lengths,
            corpus.truncated[first:last],
            languages,
            None if words.characters is None else words.characters.take(numbers),
            None if words.subwords is None else words.subwords.take(numbers),
        )
