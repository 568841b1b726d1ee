"""The rows of a trained model's table that stand for one word each, and how often training met each word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...handlers.text.encoder import Ids, TextEncoder
from ...handlers.text.spec import PAD, UNK, Layout
from ...models.corpus import Corpus
from ...models.embeddings import Embedding, Table
from ...models.embeddings.multilingual import offsets
from ...models.run import Run

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WordRows:
    """The rows of a table that stand for one word each."""

    weight: Values
    """float32 [words, dim], in the order of the vocabulary."""
    words: Sequence[str]


def table_of(embedding: Embedding) -> Table | None:
    """Return the table that an embedding is or holds; None for one without."""
    found = embedding if isinstance(embedding, Table) else getattr(embedding, "table", embedding)
    return found if isinstance(found, Table) else None


def word_rows(run: Run) -> WordRows | None:
    """Return the rows of a run's words, which are not copied; None if no row stands for one word."""
    table, spec = table_of(run.model.embedding), run.encoder.spec
    if table is None or spec.inputs not in (Layout.INDICES, Layout.LANGUAGES) or not len(run.encoder.vocabulary):
        return None
    weight = table.weight.detach().numpy()[: spec.words]
    # A slice is no copy.
    return WordRows(
        weight[UNK + 1 :] if not spec.languages else weight[_of_words(run.encoder)], run.encoder.vocabulary
    )


def count_words(encoder: TextEncoder, corpus: Corpus) -> Ids:
    """Return how often each word of the vocabulary is in a corpus, in texts of its language, int64 [words]."""
    looked_up = corpus.looked_up(encoder)
    starts = offsets(encoder.spec)[:-1] if encoder.languages else (0,)
    counts = np.zeros(encoder.spec.words, np.int64)
    for number, (start, indices) in enumerate(zip(starts, looked_up.indices, strict=True)):
        own = None if looked_up.languages is None else looked_up.languages == number
        np.add.at(counts, start + indices, corpus.counts(own))
    found: Ids = counts[_of_words(encoder)]
    return found


def _of_words(encoder: TextEncoder) -> npt.NDArray[np.bool_]:
    """Return which rows before those of n-grams stand for a word: all but PAD and UNK, of each language."""
    starts = offsets(encoder.spec)[:-1] if encoder.languages else (0,)
    kept = np.ones(encoder.spec.words, bool)
    kept[[PAD, *(start + UNK for start in starts)]] = False
    return kept
