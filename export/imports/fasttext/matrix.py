"""The matrices of a fastText file: float32, or product-quantized.

A quantized row is cut into pieces of a few numbers, and each is the nearest of 256 (Jégou, Douze, Schmid: Product
Quantization for Nearest Neighbor Search, 2011; Joulin et al.: FastText.zip, 2016, arXiv:1612.03651); its norm may be
quantized by itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....errors import InputError
from ....storage.compression import shown
from .cursor import Cursor

Rows = npt.NDArray[np.float32]

_CENTROIDS = 256
_FLOAT = 4
# Real files expand to at most 16 times, with four numbers a code.
_MOST_EXPANDED, _ALWAYS_EXPANDED = 64, 1 << 30
_MOST_ROWS = 1 << 31


class Matrix(ABC):
    """Rows of `dim` numbers."""

    rows: int
    """How many there are."""

    @abstractmethod
    def take(self, rows: npt.NDArray[np.int64]) -> Rows:
        """Return these rows, float32 [chosen, dim]."""


@dataclass(frozen=True)
class _Dense(Matrix):
    values: Rows

    @property
    def rows(self) -> int:  # type: ignore[override]
        return len(self.values)

    def take(self, rows: npt.NDArray[np.int64]) -> Rows:
        return self.values[rows]


@dataclass(frozen=True)
class _Quantized(Matrix):
    codes: npt.NDArray[np.uint8]
    """[rows, pieces]"""
    centroids: Sequence[Rows]
    """Of each piece, float32 [256, numbers of the piece]."""
    norms: Rows | None
    """float32 [rows]; None where they are in the centroids."""

    @property
    def rows(self) -> int:  # type: ignore[override]
        return len(self.codes)

    def take(self, rows: npt.NDArray[np.int64]) -> Rows:
        codes = self.codes[rows]
        pieces = [centroids[codes[:, piece]] for piece, centroids in enumerate(self.centroids)]
        found: Rows = np.concatenate(pieces, axis=1)
        return found if self.norms is None else found * self.norms[rows, None]


def read_matrix(cursor: Cursor, dim: int, what: str, *, quantized: bool) -> Matrix:
    """Read a matrix of width `dim`. Raises InputError for one that is damaged or has numbers that are not finite."""
    if quantized:
        return _read_quantized(cursor, dim, what)
    rows, columns = cursor.numbers("2q", what)
    if not 0 <= rows < _MOST_ROWS or columns != dim:
        raise cursor.damaged(f"{what} has {rows} rows of {columns} numbers, dim is {dim}")
    return _Dense(_finite(cursor, cursor.array("<f4", rows * columns, what), what).reshape(rows, columns))


def _read_quantized(cursor: Cursor, dim: int, what: str) -> Matrix:
    own_norms = cursor.flag(f"the flag of norms of {what}")
    rows, columns, code_count = cursor.numbers("2qi", what)
    if not 0 <= rows < _MOST_ROWS or columns != dim or code_count < 0:
        raise cursor.damaged(f"{what} has {rows} rows of {columns} numbers and {code_count} codes, dim is {dim}")
    expanded = rows * dim * _FLOAT
    if expanded > max(_MOST_EXPANDED * cursor.size, _ALWAYS_EXPANDED):
        raise InputError(
            f"{shown(cursor.path)}: {what} would expand to {expanded:,} bytes from a file of {cursor.size:,}; at "
            f"most {_MOST_EXPANDED} times are accepted. Use the file before it was quantized.",
            code="LX-IMPORT-014",
        )
    codes = cursor.array("u1", code_count, f"the codes of {what}")
    centroids = _read_centroids(cursor, dim, what)
    if code_count != rows * len(centroids):
        raise cursor.damaged(f"{what} has {code_count:,} codes for {rows:,} rows of {len(centroids)}")
    codes = codes.reshape(rows, len(centroids))
    for piece, values in enumerate(centroids):
        # What stands for nothing may be anything.
        _finite(cursor, values[np.unique(codes[:, piece])], what)
    norms = None
    if own_norms:
        norm_codes = cursor.array("u1", rows, f"the norms of {what}")
        [values] = _read_centroids(cursor, 1, f"the norms of {what}")
        norms = _finite(cursor, values[norm_codes, 0], f"the norms of {what}")
    return _Quantized(codes, centroids, norms)


def _read_centroids(cursor: Cursor, dim: int, what: str) -> list[Rows]:
    own, pieces, width, last = cursor.numbers("4i", f"the quantizer of {what}")
    if own != dim or width < 1 or pieces != -(-dim // width) or last != dim - (pieces - 1) * width:
        raise cursor.damaged(f"the quantizer of {what} has {pieces} pieces of {width} numbers, the last {last}")
    values = cursor.array("<f4", dim * _CENTROIDS, f"the quantizer of {what}")
    places = range(0, dim * _CENTROIDS, width * _CENTROIDS)
    return [values[place : place + width * _CENTROIDS].reshape(_CENTROIDS, -1) for place in places]


def _finite(cursor: Cursor, values: Rows, what: str) -> Rows:
    odd = int((~np.isfinite(values)).sum())
    if odd:
        raise InputError(
            f"{shown(cursor.path)}: {what} has {odd:,} numbers that are not finite, and no answer follows from them. "
            "Train the model again with a lower -lr; if only the .ftz has them, quantize it without -qnorm.",
            code="LX-IMPORT-019",
        )
    return values
