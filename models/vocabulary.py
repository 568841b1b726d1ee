"""Build the vocabulary: choose the words or characters that get a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ..errors import InputError
from ..handlers.text.encoder import FIRST_WORD, TextEncoder, TextSpec
from .embeddings.buckets import choose_buckets
from .recipes import TextOptions


def build_encoder(
    texts: Sequence[str],
    options: TextOptions,
    *,
    inputs: str = "indices",
    languages: Sequence[str] | None = None,
) -> TextEncoder:
    """Count the tokens of the training texts and keep the frequent ones.

    A word is kept if it occurs `min_count` times or more; of those the `max_vocabulary` most frequent, equal
    counts in code point order, so that the same texts always give the same rows. With inputs "characters" the same
    applies to the characters of the words, with "languages" to the words of each language (`languages` has one for
    each text); with "hashes" nothing is kept. If the options have no number of buckets, the texts decide it. Raises
    InputError if a text has no language.
    """
    split = TextEncoder(TextSpec(words=FIRST_WORD, max_tokens=options.max_tokens), []).tokens
    counts: dict[str, Counter[str]] = {}
    if inputs == "languages":
        for text, language in _pair(texts, languages):
            counts.setdefault(language, Counter()).update(split(text)[0])
    elif inputs != "hashes":
        counts[""] = Counter()
        for text in texts:
            tokens = split(text)[0]
            counts[""].update("".join(tokens) if inputs == "characters" else tokens)
    kept = {language: _frequent(counts[language], options) for language in sorted(counts)}
    characters = kept.pop("") if inputs == "characters" else []
    vocabulary = [word for words in kept.values() for word in words]
    rows = {language: 1 + len(words) for language, words in kept.items()} if inputs == "languages" else {}
    spec = TextSpec(
        words=1 + len(vocabulary) + max(len(rows), 1),
        buckets=_buckets(texts, options, inputs),
        ngrams=options.ngrams,
        max_tokens=options.max_tokens,
        min_count=options.min_count,
        max_vocabulary=options.max_vocabulary,
        inputs=inputs,
        subwords=options.subwords,
        word_length=options.word_length if inputs == "characters" else 0,
        characters=FIRST_WORD + len(characters) if inputs == "characters" else 0,
        languages=rows,
    )
    return TextEncoder(spec, vocabulary, characters)


def _buckets(texts: Sequence[str], options: TextOptions, inputs: str) -> int:
    """Return the rows for n-grams and subwords; 0 where words are hashed as well, into the embedding's own."""
    if not isinstance(options.buckets, str):
        return options.buckets
    return choose_buckets(texts, options) if options.grams and inputs in ("indices", "languages") else 0


def _frequent(counts: Counter[str], options: TextOptions) -> list[str]:
    frequent = [(word, count) for word, count in counts.items() if count >= options.min_count]
    frequent.sort(key=lambda item: (-item[1], item[0]))
    return [word for word, _ in frequent[: options.max_vocabulary]]


def _pair(texts: Iterable[str], languages: Sequence[str] | None) -> Iterable[tuple[str, str]]:
    every = list(texts)
    if languages is None or len(languages) != len(every) or not all(languages):
        given = 0 if languages is None else sum(map(bool, languages))
        raise InputError(
            f"{len(every):,} texts have {given:,} languages; a vocabulary for each language needs the language of "
            "every text."
        )
    return zip(every, languages, strict=True)
