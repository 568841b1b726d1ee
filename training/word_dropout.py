"""Dropout of words and n-grams: training meets what service will meet, and leans on no one n-gram."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..handlers.text.encoder import PAD, UNK, Ids
from ..handlers.text.tokens import Ragged, Tokens, sums


def drop_ngrams(ids: Ids, lengths: Ids, share: float, generator: np.random.Generator) -> Ids:
    """Leave a share of the n-grams and subwords of a batch out, so that a text is not known by them alone.

    ids: int64 [batch, columns, …], laid out as `TextEncoder.assemble` has it, changed in place; lengths: int64
    [batch], the words of each text, which are kept.
    """
    behind = np.arange(ids.shape[1]) >= lengths[:, None]
    ids[behind & (generator.random(ids.shape[:2], np.float32) < share)] = PAD
    return ids


def drop_gram_cells(
    cells: Ids, counts: Ids, lengths: Ids, share: float, generator: np.random.Generator
) -> tuple[Ids, Ids]:
    """The same of cells without padding, as `TextEncoder.flatten` has them: those left, and how many a text has."""
    words = np.arange(len(cells)) < np.repeat(np.cumsum(counts) - counts + lengths, counts)
    kept = words | (generator.random(len(cells), np.float32) >= share)
    return cells[kept], sums(kept, counts)


def drop_words(tokens: Tokens, share: float, generator: np.random.Generator) -> Tokens:
    """Replace a share of the tokens by words that nobody has seen: UNK, with hashes drawn at random.

    So UNK's row is trained as what it will be used for (of each language, in its texts), and the hash of an unseen
    word, the n-grams around it and its subwords are as arbitrary in training as they will be in service. Of words
    read by character half the share loses all its characters, and each character of the others is lost by that half
    too: a known word holds a new character more often than it is new throughout.

    After the word dropout of Iyyer, Manjunatha, Boyd-Graber, Daumé: Deep Unordered Composition Rivals Syntactic
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
