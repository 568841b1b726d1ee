"""Vectors in a .npy file, with an index beside it that has the word of each row.

The matrix is memory-mapped: only the rows that are needed are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...storage.compression import readable, shown
from .base import Found, Vectors, Whole, odd_number
from .index import find_index, look_up_rows, read_words

SIGNATURE = b"\x93NUMPY"


def open_matrix(path: Path, *, compressed: bool) -> Vectors:
    """Return the vectors of a .npy file. Raises InputError if it is not a matrix of floats or has no index."""
    if compressed:
        raise InputError(
            f"{shown(path)} is compressed, but a .npy is read in place. Unpack it first.", code="LX-VECTORS-018"
        )
    try:
        with readable(path), np.errstate(over="ignore"):
            matrix = np.lib.format.open_memmap(path, mode="r")  # never unpickles
    except (ValueError, TypeError, ArithmeticError, MemoryError, SyntaxError, TokenError) as error:
        raise _no_matrix(path, f"cannot be opened ({shown(error)})", "Make it again") from None
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise _no_matrix(path, f"has the shape {list(matrix.shape)}", "Save a row for each word")
    if matrix.dtype.kind != "f" or matrix.dtype.itemsize not in (2, 4, 8):
        raise _no_matrix(path, f"holds {matrix.dtype}", "Convert it with matrix.astype(numpy.float32)")
    if not matrix.flags.c_contiguous:
        raise _no_matrix(path, "is stored column by column", "Convert it with numpy.ascontiguousarray(matrix)")
    return _Matrix(path, find_index(path), matrix)


def _no_matrix(path: Path, what: str, remedy: str) -> InputError:
    return InputError(
        f"{shown(path)} {what}; expected a matrix [words, dim] of float16, float32 or float64 in rows (C order), "
        f"without Python objects. {remedy}, and save it with numpy.save.",
        code="LX-VECTORS-019",
    )


@dataclass(frozen=True)
class _Matrix:
    """The float `matrix` [words, dim] of a file, and the file of its words."""

    path: Path
    index: Path
    matrix: npt.NDArray[Any]

    @property
    def skipped(self) -> int:
        return 0

    @property
    def name(self) -> str:
        return shown(self.path.name)

    @property
    def dim(self) -> int:
        return int(self.matrix.shape[1])

    def look_up(self, words: Sequence[str]) -> Found:
        """Read the whole index, and the needed rows of the matrix."""
        rows = look_up_rows(self.index, words, self.path, len(self.matrix))
        return gathered(words, rows, self.matrix, self.name)

    def whole(self) -> Whole:
        """Read the whole index; the matrix stays mapped."""
        return read_words(self.index, self.path, len(self.matrix)), self.matrix


def outside(name: str, word: object, row: int, rows: int) -> InputError:
    """Return the error for a word of `name` whose row is not one of `rows`."""
    return InputError(
        f"{name} gives '{shown(word)}' row {row:,}; 0 to {rows - 1:,} were expected, the rows of its vectors. Make "
        "it again.",
        code="LX-VECTORS-020",
    )


def gathered(words: Sequence[str], rows: Mapping[Any, int], matrix: npt.NDArray[Any], name: str) -> Found:
    """Return the vectors of `words` from the float `matrix` [n, dim], called `name`; `rows` has the row of each word.

    Raises InputError for a row that does not exist, or has a number that is not finite.
    """
    positions = [position for position, word in enumerate(words) if word in rows]
    places = np.array([rows[words[position]] for position in positions], np.int64)
    for position, place in zip(positions, places, strict=True):
        if not 0 <= place < len(matrix):
            raise outside(name, words[position], place, len(matrix))
    values = matrix[places]
    for position, vector in zip(positions, values, strict=True):
        odd = odd_number(vector)
        if odd is not None:
            raise InputError(
                f"{name}: the vector of '{shown(words[position])}', row {rows[words[position]]:,}, has the number "
                f"{odd}; expected finite float32 numbers. Fix that row, or leave out the word.",
                code="LX-VECTORS-021",
            )
    return np.array(positions, np.int64), values.astype(np.float32)
