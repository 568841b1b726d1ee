"""Leakage: texts of different splits that are the same for a model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...data.dataset import Dataset
from ...handlers.text.encoder import Ids, TextEncoder, TextSpec, Tokens
from ...handlers.text.spec import Layout
from ...handlers.text.tokens import Ragged, spread
from ...models.corpus import LookedUpTexts, pieces
from ...models.embeddings.multilingual import offsets

_TOGETHER = 1024  # texts looked at together


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
    encoder: TextEncoder,
    trained: Dataset,
    trained_texts: LookedUpTexts,
    held_out: Dataset,
    held_out_texts: LookedUpTexts,
) -> list[tuple[int, int]]:
    """Return the rows of `held_out` whose words equal those of a text of `trained`, with the row of the first such
    text.

    Words are compared as the model reads them, in order and up to max_tokens; languages and second texts are compared
    too. Texts without words are left out.
    """
    known, keys = _text_keys(encoder.spec, trained_texts), _text_keys(encoder.spec, held_out_texts)
    order = np.argsort(known, kind="stable")
    known = known[order]
    begins, ends = np.searchsorted(known, keys, "left"), np.searchsorted(known, keys, "right")
    found: list[tuple[int, int]] = []
    for row in np.flatnonzero(begins < ends).tolist():
        # Texts with different unknown words may have equal ids: compare the words themselves.
        if (own := _content(encoder, held_out, row))[0]:
            candidates = order[begins[row] : ends[row]].tolist()
            found += [(row, other) for other in candidates if _content(encoder, trained, other) == own][:1]
    return found


def _text_keys(spec: TextSpec, texts: LookedUpTexts) -> npt.NDArray[np.uint64]:
    """Return a hash of each text, uint64 [texts], equal for equal words in the same order."""
    factors = np.random.default_rng(0).integers(0, 1 << 64, int(texts.lengths.max(initial=0)) + 1, np.uint64) | 1
    found = [np.zeros(0, np.uint64)]
    for tokens in pieces(texts, _TOGETHER):
        positions = spread(tokens.lengths, np.zeros(len(tokens.lengths), np.int64))
        # Sums modulo 2**64, in which a difference of sums is right too.
        terms = (word_keys(spec, tokens).astype(np.uint64) + 1) * factors[positions]
        upto = np.concatenate(([np.uint64(0)], np.cumsum(terms, dtype=np.uint64)))
        ends = np.cumsum(tokens.lengths)
        found.append(upto[ends] - upto[ends - tokens.lengths])
    return np.concatenate(found)


def _content(encoder: TextEncoder, part: Dataset, row: int) -> tuple[list[str], str | None, list[str] | None]:
    return (
        encoder.tokens(part.texts[row])[0],
        None if part.languages is None else part.languages[row],
        None if part.pairs is None else encoder.tokens(part.pairs[row])[0],
    )
