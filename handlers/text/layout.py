"""Turn a looked-up batch into a model's input, in the layouts of `encoder.py`: a matrix, or a row of cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import fasttext, hashing, spacy
from .hashing import Ids
from .spec import PAD, UNK, Layout, TextSpec
from .tokens import Tokens, spread, sums


def widths(spec: TextSpec, lengths: Ids, subwords: Ids | None = None) -> Ids:
    """Return the columns that texts of `lengths` tokens and `subwords` subwords need; see `TextEncoder.widths`."""
    if not spec.subwords:
        return _filled(spec, lengths)[-1] * spec.cells
    if subwords is None:
        raise ValueError("The spec has subwords: give their number as well, Tokens.subword_counts.")
    return _filled(spec, lengths)[-1] + subwords


def _filled(spec: TextSpec, lengths: Ids) -> list[Ids]:
    """Return the columns of the words, of the words and n-grams of two, of these and n-grams of three, and so on."""
    filled = [lengths]
    for order in range(1, spec.ngrams):
        filled.append(filled[-1] + np.maximum(lengths - order, 0))
    return filled


def assemble(spec: TextSpec, tokens: Tokens) -> Ids:
    """Return the matrix of a batch, int64; see `TextEncoder.assemble`."""
    texts = len(tokens.lengths)
    longest = max(int(widths(spec, tokens.lengths, tokens.subword_counts).max(initial=0)), 1)
    starts = np.arange(texts) * longest
    if tokens.characters is not None:
        return _spelled(tokens, spread(tokens.lengths, starts), longest)
    cells = _lay_out(spec, tokens, starts, texts * longest)
    return cells.reshape(texts, longest, *cells.shape[1:])


def flatten(spec: TextSpec, tokens: Tokens) -> tuple[Ids, Ids]:
    """Return the cells of a batch without padding, and how many each text has; see `TextEncoder.flatten`."""
    taken = widths(spec, tokens.lengths, tokens.subword_counts)
    ends = np.cumsum(taken)
    cells = _lay_out(spec, tokens, ends - taken, int(ends[-1]) if len(ends) else 0)
    if not spec.skips_unknown:
        return cells, taken
    there = cells != PAD
    return cells[there], sums(there, taken)


def _lay_out(spec: TextSpec, tokens: Tokens, starts: Ids, size: int) -> Ids:
    """Return `size` cells, those of each text from its start on, int64 [size] or, with languages, [size, 2]."""
    lengths = tokens.lengths
    filled = _filled(spec, lengths)
    # Of every token: its text, how many tokens of that text come from it on, and its cell.
    text = np.repeat(np.arange(len(lengths)), lengths)
    left = np.cumsum(lengths)[text] - np.arange(len(text))
    if spec.spacy is not None:
        return _paired(spec, tokens, starts[text], left, size)
    cell = (starts + lengths)[text] - left
    cells: Ids = np.zeros(size, np.int64)
    cells[cell] = tokens.hashes + 1 if spec.inputs is Layout.HASHES else tokens.indices
    combine: Callable[[Ids, Ids], Ids] = hashing.combine
    if spec.fasttext is not None:
        combine = fasttext.combine
    if spec.skips_unknown:
        cells[cells == UNK] = PAD
    if tokens.listed is not None:
        for order, before in enumerate(filled[:-1], 2):
            inside = np.flatnonzero(left >= order)
            cells[cell[inside] + before[text[inside]]] = tokens.listed[inside, order - 2]
        return cells
    grams = tokens.hashes
    for order, before in enumerate(filled[:-1], 2):
        grams = combine(grams[:-1], tokens.hashes[order - 1 :])
        # A gram belongs to a text if it ends inside it.
        inside = np.flatnonzero(left[: len(grams)] >= order)
        cells[cell[inside] + before[text[inside]]] = _rows(spec, grams[inside])
    if tokens.subwords is not None:
        subwords = tokens.subword_counts
        assert subwords is not None
        cells[spread(subwords, starts + filled[-1])] = _rows(spec, tokens.subwords.values)
    if tokens.languages is None:
        return cells
    languages = np.where(cells, len(spec.languages), 0)
    languages[cell] = tokens.languages[text]
    return np.stack([cells, languages], axis=1)


def _paired(spec: TextSpec, tokens: Tokens, starts: Ids, left: Ids, size: int) -> Ids:
    """Return `size` cells, two for each n-gram of spaCy's; starts: where the cells of each token's text begin."""
    keys = tokens.hashes.view(np.uint64)
    lengths = np.repeat(tokens.lengths, tokens.lengths)
    cells: Ids = np.zeros(size, np.int64)
    for order, before in enumerate([np.zeros_like(lengths), *_filled(spec, lengths)[:-1]], 1):
        grams = spacy.gram_keys(keys, order)
        inside = np.flatnonzero(left[: len(grams)] >= order)
        places = starts[inside] + spec.cells * (before + lengths - left)[inside]
        pairs = spacy.rows(grams[inside], spec.buckets, spec.words)
        for number in range(spec.cells):
            cells[places + number] = pairs[:, number]
    return cells


def _rows(spec: TextSpec, keys: Ids) -> Ids:
    """Return the ids of the hashes of n-grams and subwords."""
    if spec.fasttext is not None:
        return spec.fasttext.rows(keys, spec.words)
    if spec.inputs is Layout.HASHES:
        return keys + 1
    return keys % spec.buckets + (1 if spec.inputs is Layout.LANGUAGES else spec.words)


def _spelled(tokens: Tokens, cell: Ids, longest: int) -> Ids:
    """Return the rows of each token's characters, int64 [batch, longest, longest token], at its `cell`."""
    assert tokens.characters is not None
    counts = tokens.characters.counts
    deepest = max(int(counts.max(initial=0)), 1)
    matrix: Ids = np.zeros((len(tokens.lengths), longest, deepest), np.int64)
    matrix.reshape(-1)[spread(counts, cell * deepest)] = tokens.characters.values
    return matrix
