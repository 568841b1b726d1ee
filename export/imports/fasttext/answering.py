"""What fastText answers, computed from its file alone: what an imported model is compared with.

It reads bytes as fastText's own program does, and shares no code with the text code of `handlers/`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ....evaluation.metrics import Outputs
from .file import FastTextFile, Loss
from .huffman import huffman_ways

_WHITE = b" \n\r\t\v\f\0"
_END, _LABEL = b"</s>", b"__label__"
# The program looks the logistic function up in a table of so many steps from -8 to 8.
_STEPS, _FROM = 512, 8
# It adds so much before it takes a logarithm.
_ADDED = 1e-5


class Answering:
    """A file that answers."""

    def __init__(self, content: FastTextFile) -> None:
        """Index the words, the labels and the buckets that are kept."""
        self._file = content
        self._words = {word: row for row, word in enumerate(content.words)}
        self._labels = set(content.labels)
        self._ways = huffman_ways(content.label_counts) if content.loss is Loss.HIERARCHICAL else []
        self._kept = None if content.kept is None else dict(content.kept.tolist())
        self._output = content.outputs.take(np.arange(content.outputs.rows)).astype(np.float64)

    def __call__(self, texts: Sequence[str]) -> Outputs:
        """Return the scores of all labels, float32 [texts, labels]; of a text without any row those of zeros."""
        found = np.zeros((len(texts), len(self._file.labels)), np.float32)
        for number, text in enumerate(texts):
            rows = self._rows(text.encode())
            hidden = np.zeros(self._file.dim)
            if rows:
                hidden = self._file.inputs.take(np.array(rows, np.int64)).astype(np.float64).mean(axis=0)
            found[number] = self._scores(self._output @ hidden)
        return found

    def _rows(self, text: bytes) -> list[int]:
        rows: list[int] = []
        hashes: list[int] = []
        for token in [*text.translate(bytes.maketrans(_WHITE, b" " * len(_WHITE))).split(b" "), _END]:
            row = self._words.get(token)
            if not token or (row is None and (token in self._labels or token.startswith(_LABEL))):
                continue
            if row is not None:
                rows.append(row)
            if self._file.subwords is not None and token != _END:
                rows += self._subwords(b"<" + token + b">", *self._file.subwords)
            hashes.append(_hash(token))
            if token == _END:
                break
        for start, first in enumerate(hashes):
            key = first
            for following in hashes[start + 1 : start + self._file.ngrams]:
                key = key * 116049371 + following & (1 << 64) - 1
                rows += self._bucket(key)
        return rows

    def _subwords(self, word: bytes, shortest: int, longest: int) -> list[int]:
        starts = [place for place, byte in enumerate(word) if byte & 0xC0 != 0x80] + [len(word)]
        rows: list[int] = []
        for place in range(len(starts) - 1):
            for length in range(shortest, min(longest, len(starts) - 1 - place) + 1):
                begin, end = starts[place], starts[place + length]
                if length > 1 or (begin > 0 and end < len(word)):
                    rows += self._bucket(_hash(word[begin:end]) & 0xFFFFFFFF)
        return rows

    def _bucket(self, key: int) -> list[int]:
        bucket = key % self._file.buckets
        row = bucket if self._kept is None else self._kept.get(bucket)
        return [] if row is None else [len(self._file.words) + row]

    def _scores(self, outputs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if self._file.loss is Loss.SOFTMAX:
            raised = np.exp(outputs - outputs.max())
            scores: npt.NDArray[np.float64] = raised / raised.sum()
            return scores
        if self._file.loss is Loss.HIERARCHICAL:
            right = 1 / (1 + np.exp(-outputs))
            chosen = [[right[node] if to_right else 1 - right[node] for node, to_right in way] for way in self._ways]
            return np.array([np.prod(np.array(one) + _ADDED) for one in chosen])
        places = np.floor((outputs.clip(-_FROM, _FROM) + _FROM) * _STEPS / (2 * _FROM))
        stepped = 1 / (1 + np.exp(_FROM - places * 2 * _FROM / _STEPS))
        return np.where(outputs > _FROM, 1.0, np.where(outputs < -_FROM, 0.0, stepped))


def _hash(content: bytes) -> int:
    """Return FNV-1a of 32 bits over signed bytes, as a signed number."""
    key = 2166136261
    for byte in content:
        key = (key ^ (byte - 256 if byte > 127 else byte) & 0xFFFFFFFF) * 16777619 & 0xFFFFFFFF
    return key - (key >> 31 << 32)
