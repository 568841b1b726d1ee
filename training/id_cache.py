"""Texts laid out once for a whole training, where each step reads some of them as they are."""

from __future__ import annotations

import numpy as np

from ..handlers.text.encoder import Ids, TextEncoder, Tokens

# Texts laid out at a time, so that what it takes stays in the processor's cache.
_TOGETHER = 256


class CellStore:
    """The cells of every text, as `TextEncoder.flatten` has them; in half the memory where they fit 32 bits."""

    def __init__(self, encoder: TextEncoder, tokens: Tokens) -> None:
        """Lay all texts of `tokens` out."""
        texts = len(tokens.lengths)
        parts = [
            encoder.flatten(tokens.take(np.arange(first, min(first + _TOGETHER, texts))))
            for first in range(0, max(texts, 1), _TOGETHER)
        ]
        self._counts = np.concatenate([counts for _, counts in parts])
        self._starts = np.cumsum(self._counts) - self._counts
        narrow = np.int32 if max(cells.max(initial=0) for cells, _ in parts) < 2**31 else np.int64
        self._cells = np.concatenate([cells.astype(narrow) for cells, _ in parts])

    def take(self, rows: Ids) -> tuple[Ids, Ids]:
        """The cells of the texts at `rows`, int64 [cells] or [cells, 2], and how many each has, int64 [chosen]."""
        counts = self._counts[rows]
        ends = np.cumsum(counts)
        places = np.arange(ends[-1] if len(ends) else 0)
        places += np.repeat(self._starts[rows] - (ends - counts), counts)
        return self._cells.take(places, axis=0).astype(np.int64), counts
