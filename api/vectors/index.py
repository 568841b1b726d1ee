"""Word vectors behind an approximate index, for many searches of a large table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...evaluation.vectors import approximate
from ...evaluation.vectors.quality import Kept
from ...evaluation.vectors.table import Neighbour, WordTable
from ...storage.atomic import check_file
from ...storage.progress import Progress, Say


class WordIndex:
    """Word vectors whose nearest words are found by an approximate index: most of them, in a fraction of the time.

    index = lexport.vectors("glove-6b-50d").index("glove.index")
    index.similar("frog")
    index.recall.kept
    """

    def __init__(self, indexed: approximate.Indexed) -> None:
        """Wrap a table and its index."""
        self._table, self._recall = indexed.table, indexed.recall

    @property
    def recall(self) -> Kept | None:
        """How many of ten neighbours are the exact ones, on average, and of how many words this was compared.

        None for a table of eleven words or fewer.
        """
        return self._recall

    def similar(self, words: str | Sequence[str], top: int = 10) -> list[Neighbour]:
        """Return most of the `top` words that `Vectors.similar` returns, with exact cosines. Raises as it does."""
        return self._table.similar([words] if isinstance(words, str) else list(words), top)

    def similar_to_each(self, words: Sequence[str], top: int = 10) -> list[list[Neighbour]]:
        """Return what `similar` returns for each of `words` alone, asked together on all cores."""
        table = self._table
        places = np.array([table.place_of(word) for word in words], np.int64)
        found = table.nearest.find(table.direction_of(places), top, list(places[:, None]))
        return [table.named(one) for one in found]

    def analogy(self, first: str, second: str, third: str, top: int = 10) -> list[Neighbour]:
        """Return most of the `top` words that `Vectors.analogy` returns, with exact cosines. Raises as it does."""
        return self._table.analogy(first, second, third, top)

    def __len__(self) -> int:
        return len(self._table)

    def __repr__(self) -> str:
        found = "" if self._recall is None else f", {self._recall.kept:.2f} of ten neighbours are exact"
        return f"WordIndex({self._table.name!r}, {len(self):,} words{found})"


def open_index(table: WordTable, file: Path | None, *, say: Say, progress: Progress) -> WordIndex:
    """Do what `Vectors.index` says."""
    if file is not None and os.path.lexists(file):  # Path's raises where a name is too long
        indexed = approximate.load(table, file)
    else:
        if file is not None:
            check_file(file)
        indexed = approximate.build(table, progress=progress)
        if file is not None:
            approximate.save(indexed, file)
    if indexed.recall is not None:
        one = indexed.recall
        say(f"found {one.kept:.2f} of the ten exact neighbours, over {one.words:,} sampled words")
    return WordIndex(indexed)
