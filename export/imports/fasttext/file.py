"""The binary format of fastText, version 12 and 11, as its own program writes it (https://fasttext.cc).

After a magic number and the version come the options, the dictionary (words, then labels, with their counts; of a
pruned model the buckets that are kept), and the matrices of inputs and outputs, as float32 or quantized.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ....errors import InputError
from ....storage.compression import shown
from .cursor import Cursor, opened
from .matrix import Matrix, read_matrix

MAGIC = (793_712_314).to_bytes(4, "little")
_VERSIONS = (11, 12)
_WIDEST = 1 << 16
_LONGEST_NGRAM = 1 << 10
_SUPERVISED = 3
_MOST_TEXTS = 10**15
# A word takes at least its final zero, its count and its type.
_LEAST_ENTRY = 10


class Loss(IntEnum):
    """What a model learned by, which decides how scores are made of outputs."""

    HIERARCHICAL = 1
    NEGATIVE = 2
    SOFTMAX = 3
    ONE_VS_ALL = 4


@dataclass(frozen=True)
class FastTextFile:
    """The content of a file."""

    dim: int
    ngrams: int
    """The longest n-gram of words."""
    subwords: tuple[int, int] | None
    """The shortest and longest n-gram of a word's characters; None without them."""
    buckets: int
    """What the hashes of both are taken modulo."""
    loss: Loss
    words: list[bytes]
    """In the order of the first rows of `inputs`."""
    labels: list[bytes]
    """In the order of the rows of `outputs`."""
    label_counts: list[int]
    """How many training texts had each."""
    kept: npt.NDArray[np.int64] | None
    """Of a pruned model each bucket that is kept and its row behind the words, int64 [buckets, 2]; None: all are."""
    inputs: Matrix
    outputs: Matrix

    @property
    def grams(self) -> bool:
        """Whether anything is hashed into buckets."""
        none_kept = self.kept is not None and not len(self.kept)
        return (self.ngrams > 1 or self.subwords is not None) and not none_kept


def read_file(path: Path) -> FastTextFile:
    """Read a file. Raises InputError for one that is damaged, not of a classifier, or of an unknown version."""
    with opened(path) as cursor:
        return _read(cursor)


def _read(cursor: Cursor) -> FastTextFile:
    cursor.take(len(MAGIC), "the magic number")
    [version] = cursor.numbers("i", "the version")
    if version not in _VERSIONS:
        raise InputError(
            f"{shown(cursor.path)} has version {version} of fastText's format; {_VERSIONS[0]} and {_VERSIONS[1]} are "
            "read. Train the model again with a released fastText.",
            code="LX-IMPORT-012",
        )
    dim, _, _, _, _, ngrams, loss, model, buckets, shortest, longest, _, _ = cursor.numbers("12id", "the options")
    if model != _SUPERVISED:
        raise InputError(
            f"{shown(cursor.path)} has word vectors that fastText learned without labels ({_model_name(model)}), no "
            "classifier. Write their .vec with `fasttext print-word-vectors`, or name the .vec that fastText wrote "
            "beside it.",
            code="LX-IMPORT-013",
        )
    if not 1 <= dim <= _WIDEST or not 0 <= ngrams <= _LONGEST_NGRAM or buckets < 0 or loss not in list(Loss):
        raise cursor.damaged(f"the options have dim={dim}, wordNgrams={ngrams}, bucket={buckets} and loss={loss}")
    if longest > _LONGEST_NGRAM:
        raise cursor.damaged(f"the options have maxn={longest}")
    # Models of version 11 have no subwords, whatever they say.
    without = version == _VERSIONS[0] or longest < max(shortest, 1)
    subwords = None if without else (max(shortest, 1), longest)
    words, labels, counts, kept = _read_dictionary(cursor, buckets)
    quantized = cursor.flag("the flag of quantized inputs")
    inputs = read_matrix(cursor, dim, "the input matrix", quantized=quantized)
    outputs = read_matrix(
        cursor, dim, "the output matrix", quantized=cursor.flag("the flag of quantized outputs") and quantized
    )
    found = FastTextFile(
        dim, max(ngrams, 1), subwords, buckets, Loss(loss), words, labels, counts, kept, inputs, outputs
    )
    _check_sizes(cursor, found, quantized=quantized)
    return found


def _model_name(model: int) -> str:
    return {1: "cbow", 2: "skipgram"}.get(model, f"model {model}")


def _read_dictionary(
    cursor: Cursor, buckets: int
) -> tuple[list[bytes], list[bytes], list[int], npt.NDArray[np.int64] | None]:
    size, word_count, label_count, _, pruned = cursor.numbers("3i2q", "the dictionary's sizes")
    if min(word_count, label_count) < 0 or size != word_count + label_count or not label_count or pruned < -1:
        raise cursor.damaged(
            f"the dictionary has {size} entries, {word_count} words, {label_count} labels, {pruned} kept buckets"
        )
    if size * _LEAST_ENTRY > cursor.size - cursor.at:
        raise cursor.damaged(f"the dictionary has {size:,} entries, more than the file has room for")
    entries, counts = [], []
    for number in range(size):
        entries.append(cursor.until_zero(f"entry {number + 1:,} of the dictionary"))
        count, kind = cursor.numbers("qb", f"entry {number + 1:,} of the dictionary")
        if kind != (number >= word_count):
            raise cursor.damaged(f"entry {number + 1:,} of the dictionary has the type {kind}; words come first")
        counts.append(count)
    if not all(0 <= count < _MOST_TEXTS for count in counts):
        raise cursor.damaged("the dictionary has an entry with an impossible count")
    if len(set(entries)) < size:
        raise cursor.damaged("the dictionary has an entry twice")
    kept = None
    if pruned >= 0:
        kept = cursor.array("<i4", 2 * pruned, "the kept buckets").reshape(-1, 2).astype(np.int64)
        rows = np.sort(kept[:, 1])
        inside = ((kept[:, 0] >= 0) & (kept[:, 0] < buckets)).all()
        if not inside or len(np.unique(kept[:, 0])) < pruned or not np.array_equal(rows, np.arange(pruned)):
            raise cursor.damaged("the kept buckets are not different ones with a row each")
    return entries[:word_count], entries[word_count:], counts[word_count:], kept


def _check_sizes(cursor: Cursor, found: FastTextFile, *, quantized: bool) -> None:
    hashed = 0 if not found.grams else found.buckets if found.kept is None else len(found.kept)
    least = len(found.words) + hashed
    rows = found.inputs.rows
    # An older fastText has rows of buckets that it does not use.
    if rows < least or (found.grams and rows != least) or (found.grams and not hashed):
        raise cursor.damaged(f"the input matrix has {rows:,} rows for {len(found.words):,} words, {hashed:,} buckets")
    if found.outputs.rows != len(found.labels):
        raise cursor.damaged(f"the output matrix has {found.outputs.rows:,} rows, labels are {len(found.labels):,}")
    if found.kept is not None and not quantized:
        raise cursor.damaged("buckets are pruned, and the inputs are not quantized")
