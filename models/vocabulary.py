"""Which words get a row of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..handlers.text import FIRST_WORD, TextEncoder, TextSpec
from .recipes import TextOptions


def build_encoder(texts: Iterable[str], options: TextOptions) -> TextEncoder:
    """Count the tokens of the training texts and keep the frequent ones.

    A word stays if it occurs `min_count` times or more; of those the `max_vocabulary` most frequent, equal
    counts in code point order, so that the same texts always give the same rows.
    """
    splitter = TextEncoder(TextSpec(words=FIRST_WORD, max_tokens=options.max_tokens), [])
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(splitter.tokens(text)[0])
    frequent = [(word, count) for word, count in counts.items() if count >= options.min_count]
    frequent.sort(key=lambda item: (-item[1], item[0]))
    vocabulary = [word for word, _ in frequent[: options.max_vocabulary]]
    spec = TextSpec(
        words=FIRST_WORD + len(vocabulary),
        buckets=options.buckets,
        ngrams=options.ngrams,
        max_tokens=options.max_tokens,
        min_count=options.min_count,
        max_vocabulary=options.max_vocabulary,
    )
    return TextEncoder(spec, vocabulary)
