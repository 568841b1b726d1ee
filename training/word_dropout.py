"""Dropout of words and n-grams: training sees unknown words as serving does, and depends on no single n-gram."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..handlers.text.encoder import PAD, UNK, Ids
from ..handlers.text.tokens import Ragged, Tokens, sums


def drop_ngrams(ids: Ids, lengths: Ids, share: float, generator: np.random.Generator) -> Ids:
    """Leave out a share of the n-grams and subwords of a batch, so that no text is recognised by them alone.

    ids: int64 [batch, columns, …] as `TextEncoder.assemble` returns them, changed in place. lengths: int64 [batch],
    the number of words of each text. Words are never left out.
    """
    behind = np.arange(ids.shape[1]) >= lengths[:, None]
    ids[behind & (generator.random(ids.shape[:2], np.float32) < share)] = PAD
    return ids


def drop_flat_ngrams(
    flat_ids: Ids, counts: Ids, lengths: Ids, share: float, generator: np.random.Generator
) -> tuple[Ids, Ids]:
    """Do the same to flat ids, as `TextEncoder.flatten` returns them. Return the ids left and the count per text."""
    words = np.arange(len(flat_ids)) < np.repeat(np.cumsum(counts) - counts + lengths, counts)
    keep = words | (generator.random(len(flat_ids), np.float32) >= share)
    return flat_ids[keep], sums(keep, counts)


def drop_words(tokens: Tokens, share: float, generator: np.random.Generator) -> Tokens:
    """Replace a share of the tokens by unseen words: UNK, with random hashes.

    This trains the row of UNK (of each language, in its texts) for unseen words. The hash of an unseen word, the
    n-grams around it and its subwords are as random in training as they are in serving. For words that are read by
    character, half of the share loses all characters, and each character of the other words is lost with that half
    share too: a word with one new character is more frequent than a word of new characters only.

    Based on the word dropout of Iyyer, Manjunatha, Boyd-Graber, Daumé: Deep Unordered Composition Rivals Syntactic
    Methods for Text Classification, 2015, which leaves the words out instead.
    """
    if tokens.characters is not None:
        return _drop_characters(tokens, tokens.characters, share / 2, generator)
    dropped = generator.random(len(tokens.indices)) < share
    drawn = generator.integers(0, 2**32, len(tokens.indices))
    indices: Ids = np.where(dropped, UNK, tokens.indices)
    hashes: Ids = np.where(dropped, drawn, tokens.hashes)
    changed = replace(tokens, indices=indices, hashes=hashes)
    if tokens.subwords is None:
        return changed
    values, counts = tokens.subwords.values, tokens.subwords.counts
    keys = np.where(np.repeat(dropped, counts), generator.integers(0, 2**31 - 1, len(values)), values)
    return replace(changed, subwords=Ragged(keys, counts))


def _drop_characters(tokens: Tokens, characters: Ragged, share: float, generator: np.random.Generator) -> Tokens:
    values, counts = characters.values, characters.counts
    dropped = np.repeat(generator.random(len(counts)) < share, counts)
    dropped |= generator.random(len(values)) < share
    values = np.where(dropped, UNK, values)
    indices = np.where(sums(values != UNK, counts) == 0, UNK, tokens.indices)
    return replace(tokens, indices=indices, characters=Ragged(values, counts))
