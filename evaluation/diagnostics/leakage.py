"""Leakage: texts of different splits that are the same for a model."""

from __future__ import annotations

import numpy as np

from ...data.dataset import Dataset
from ...handlers.text.encoder import Ids, TextEncoder, TextSpec, Tokens
from ...handlers.text.spec import Layout
from ...handlers.text.tokens import Ragged, spread
from ...models.embeddings.multilingual import offsets


def word_keys(spec: TextSpec, tokens: Tokens) -> Ids:
    """Return a key for each word, in any layout: int64 [tokens], at least 0, equal for equal words."""
    if spec.inputs is Layout.HASHES:
        return tokens.hashes
    if tokens.characters is not None:
        return _spellings(tokens.characters)
    if tokens.languages is not None:
        starts = np.array(offsets(spec), np.int64)[tokens.languages]
        return tokens.indices + np.repeat(starts, tokens.lengths)
    return tokens.indices


def _spellings(characters: Ragged) -> Ids:
    """Return a hash of each sequence of characters."""
    positions = spread(characters.counts, np.zeros(len(characters.counts), np.int64))
    factors = np.random.default_rng(0).integers(1, 1 << 31, int(characters.counts.max(initial=0)) or 1)
    upto = np.concatenate(([0], np.cumsum(characters.values * factors[positions] % (1 << 31))))
    ends = np.cumsum(characters.counts)
    keys: Ids = upto[ends] - upto[ends - characters.counts]
    return keys


def cross_split_duplicates(
    encoder: TextEncoder, trained: Dataset, trained_tokens: Tokens, held_out: Dataset, held_out_tokens: Tokens
) -> list[tuple[int, int]]:
    """Return the rows of `held_out` whose words equal those of a text of `trained`, with the row of the first such
    text.

    Words are compared as the model reads them, in order and up to max_tokens; languages and second texts are compared
    too. Texts without words are left out.
    """
    rows: dict[int, list[int]] = {}
    for row, key in enumerate(_text_keys(encoder.spec, trained_tokens)):
        rows.setdefault(key, []).append(row)
    found: list[tuple[int, int]] = []
    for row, key in enumerate(_text_keys(encoder.spec, held_out_tokens)):
        candidates = rows.get(key, [])
        # Texts with different unknown words may have equal ids: compare the words themselves.
        if candidates and (own := _content(encoder, held_out, row))[0]:
            found += [(row, other) for other in candidates if _content(encoder, trained, other) == own][:1]
    return found


def _text_keys(spec: TextSpec, tokens: Tokens) -> list[int]:
    """Return a hash of each text, equal for equal words in the same order."""
    keys = word_keys(spec, tokens)
    ends = np.cumsum(tokens.lengths).tolist()
    return [hash(keys[first:end].tobytes()) for first, end in zip([0, *ends], ends, strict=False)]


def _content(encoder: TextEncoder, part: Dataset, row: int) -> tuple[list[str], str | None, list[str] | None]:
    return (
        encoder.tokens(part.texts[row])[0],
        None if part.languages is None else part.languages[row],
        None if part.pairs is None else encoder.tokens(part.pairs[row])[0],
    )
