"""How the texts that a model answers are distributed: their lengths, unknown tokens, predicted labels, confidence.

Sums alone are kept, never a text. An export counts the held-out texts with this, a worker those of its requests, so
that the two can be compared.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from ..engine.engines import Counts, Scores
from .decoders import Decoder

LENGTHS = (0, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512)
"""Upper bounds of the buckets of text lengths, in tokens; a last bucket has what is longer."""
CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Upper bounds of the buckets of a text's highest score; a last bucket has what is higher."""
SUMS = ("texts", "tokens", "unknown_tokens", "unknown_texts", "truncated_texts")
"""What is added up besides; `unknown_texts` have one unknown token or more."""
NO_LABEL = "(none)"
"""Stands for the label of texts that got none, where a text may have several; quoted labels have no parentheses."""

# Outputs that wait to be summed up: summing a few hundred small batches at once costs a tenth of one by one.
_WAITING = 1 << 13


class Distributions:
    """The sums of one model's texts. One thread adds, any may read."""

    def __init__(self, decoder: Decoder, labels: Sequence[str], threshold: float) -> None:
        """Start at 0 for a model with this decoder, these labels and this least score of a label."""
        self._decoder, self._threshold = decoder, threshold
        self._names = [*map(quoted, labels), NO_LABEL]
        self._waiting: deque[tuple[Counts, Scores]] = deque()
        self._cells = 0
        self._lock = threading.Lock()
        self._sums = np.zeros(len(SUMS), np.int64)
        self._lengths = np.zeros(len(LENGTHS) + 1, np.int64)
        self._confidence = np.zeros(len(CONFIDENCES) + 1, np.int64)
        self._labels = np.zeros(len(self._names), np.int64)

    def add(self, counted: Counts, outputs: Scores) -> None:
        """Count a batch: the counts of its texts and the model's outputs, float32 [texts, outputs]."""
        self._waiting.append((counted, outputs))
        self._cells += outputs.size
        if self._cells >= _WAITING:
            self._cells = 0
            self._sum_up()

    def to_json(self) -> dict[str, Any]:
        """Return SUMS by name, `lengths` and, where answers have scores, `confidence` by bucket and `labels` by name.

        Names of labels are `quoted`; only labels that were predicted are among them.
        """
        self._sum_up()
        with self._lock:
            found: dict[str, Any] = dict(zip(SUMS, self._sums.tolist(), strict=True))
            found["lengths"] = self._lengths.tolist()
            if self._decoder.GIVES_SCORES:
                found["confidence"] = self._confidence.tolist()
                counts = zip(self._names, self._labels.tolist(), strict=True)
                found["labels"] = {name: count for name, count in counts if count}
        return found

    def _sum_up(self) -> None:
        with self._lock:
            batches = []
            while self._waiting:
                batches.append(self._waiting.popleft())
            if not batches:
                return
            counted = Counts.joined([one for one, _ in batches])
            unknown = counted.unknown
            sums = (len(unknown), counted.lengths.sum(), unknown.sum(), (unknown > 0).sum(), counted.truncated.sum())
            self._sums += np.array(sums, np.int64)
            self._lengths += _histogram(counted.lengths, LENGTHS)
            if self._decoder.GIVES_SCORES:
                outputs = np.concatenate([scores for _, scores in batches])
                self._confidence += _histogram(outputs.max(axis=1), CONFIDENCES)
                self._labels += self._decoder.count_labels(outputs, self._threshold)


def quoted(label: str) -> str:
    """Return a label in the letters that every text format of metrics takes, as in a URL; no two become the same."""
    return quote(label, safe="")


def _histogram(values: Any, bounds: Sequence[float]) -> Any:
    """Return how many values lie in each bucket, int64 [bounds + 1]; a value at a bound belongs below it."""
    return np.bincount(np.searchsorted(bounds, values), minlength=len(bounds) + 1)
