"""Build the vocabulary: choose the words or characters that get a row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from ..errors import InputError
from ..handlers.text.encoder import FIRST_WORD, Ids, Normalization, TextEncoder, TextSpec
from ..handlers.text.spec import Layout
from .corpus import Corpus
from .embeddings.buckets import choose_buckets
from .recipes import TextOptions

# From so many tokens on a word that occurs once gets no row, which saves half of the rows: it makes no difference
# there, and for fewer it does. docs/experiments.md has the measurements.
_MANY_TOKENS = 100_000


def build_encoder(
    texts: Sequence[str] | Corpus,
    options: TextOptions,
    *,
    inputs: Layout = Layout.INDICES,
    languages: Sequence[str] | None = None,
) -> TextEncoder:
    """Count the tokens of the training texts and keep the frequent ones.

    A word is kept if it occurs `min_count` times or more; of those the `max_vocabulary` most frequent, equal
    counts in code point order, so that the same texts always give the same rows. With inputs "characters" the same
    applies to the characters of the words, with "languages" to the words of each language (`languages` has one for
    each text, unless `texts` is a Corpus that has them); with "hashes" nothing is kept. If the options have no number
    of buckets, or no `min_count`, the texts decide it. Raises InputError if a text has no language.
    """
    corpus = texts if isinstance(texts, Corpus) else Corpus.of(texts, options, languages)
    least = min_count_of(corpus, options)
    kept: dict[str, list[str]] = {}
    characters: list[str] = []
    if inputs is Layout.LANGUAGES:
        own = np.array(_require_languages(corpus))
        for language in sorted(set(own.tolist())):
            kept[language] = _frequent(corpus.words, corpus.counts(own == language), least, options)
    elif inputs is Layout.CHARACTERS:
        characters = _frequent(*_count_characters(corpus), least, options)
    elif inputs is not Layout.HASHES:
        kept[""] = _frequent(corpus.words, corpus.counts(), least, options)
    vocabulary = list(chain.from_iterable(kept.values()))
    rows = {language: 1 + len(words) for language, words in kept.items()} if inputs is Layout.LANGUAGES else {}
    spec = TextSpec(
        words=1 + len(vocabulary) + max(len(rows), 1),
        buckets=_buckets(corpus, options, inputs),
        ngrams=options.ngrams,
        max_tokens=options.max_tokens,
        normalization=Normalization(options.normalization),
        min_count=least,
        max_vocabulary=options.max_vocabulary,
        inputs=inputs,
        subwords=options.subwords,
        word_length=options.word_length if inputs is Layout.CHARACTERS else 0,
        characters=FIRST_WORD + len(characters) if inputs is Layout.CHARACTERS else 0,
        languages=rows,
    )
    return TextEncoder(spec, vocabulary, characters)


def min_count_of(corpus: Corpus, options: TextOptions) -> int:
    """Return how often a word must occur to get a row, where the options say "auto" by the number of tokens."""
    if isinstance(options.min_count, str):
        return 1 if len(corpus.numbers) < _MANY_TOKENS else 2
    return options.min_count


def _buckets(corpus: Corpus, options: TextOptions, inputs: Layout) -> int:
    """Return the rows for n-grams and subwords; 0 where words are hashed as well, into the embedding's own."""
    if not isinstance(options.buckets, str):
        return options.buckets
    return choose_buckets(corpus, options) if options.grams and inputs in (Layout.INDICES, Layout.LANGUAGES) else 0


def _count_characters(corpus: Corpus) -> tuple[list[str], Ids]:
    """Return the distinct characters of the words, and how often each occurs."""
    counts: dict[str, int] = {}
    for word, count in zip(corpus.words, corpus.counts().tolist(), strict=True):
        for one in word:
            counts[one] = counts.get(one, 0) + count
    return list(counts), np.array(list(counts.values()), np.int64)


def _frequent(names: Sequence[str], counts: Ids, least: int, options: TextOptions) -> list[str]:
    """Return the names that occur often enough, the most frequent first."""
    found = np.flatnonzero(counts >= max(least, 1)).tolist()
    found.sort(key=lambda position: (-int(counts[position]), names[position]))
    return [names[position] for position in found[: options.max_vocabulary]]


def _require_languages(corpus: Corpus) -> Sequence[str]:
    """Return the language of each text. Raises InputError if one has none."""
    given = [one for one in corpus.languages or () if one]
    if len(given) != len(corpus):
        raise InputError(
            f"{len(corpus):,} texts have {len(given):,} languages; a vocabulary for each language needs the language "
            "of every text.",
            code="LX-MODEL-010",
        )
    return given
