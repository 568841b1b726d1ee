"""Vectors in a .npy file, of which an index beside it says which word owns which row.

The matrix is mapped from the disk: only the rows asked for are read.
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
from .base import Found, Vectors, odd_number
from .index import find_index, look_up_rows

SIGNATURE = b"\x93NUMPY"


def open_matrix(path: Path, *, compressed: bool) -> Vectors:
    """The vectors of a .npy file. Raises InputError if it cannot be mapped, is no such matrix or has no index."""
    if compressed:
        raise InputError(f"{shown(path)} is compressed, and a .npy is read in place. Unpack it first.")
    try:
        with readable(path), np.errstate(over="ignore"):
            matrix = np.lib.format.open_memmap(path, mode="r")  # never unpickles
    except (ValueError, TypeError, ArithmeticError, MemoryError, SyntaxError, TokenError) as error:
        raise _no_matrix(path, f"cannot be opened ({shown(error)})", "Make it anew") from None
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise _no_matrix(path, f"has the shape {list(matrix.shape)}", "Save a row for each word")
    if matrix.dtype.kind != "f" or matrix.dtype.itemsize not in (2, 4, 8):
        raise _no_matrix(path, f"holds {matrix.dtype}", "Convert it with matrix.astype(numpy.float32)")
    if not matrix.flags.c_contiguous:
        raise _no_matrix(path, "lies column by column", "Convert it with numpy.ascontiguousarray(matrix)")
    return _Matrix(path, find_index(path), matrix)


def _no_matrix(path: Path, what: str, remedy: str) -> InputError:
    return InputError(
        f"{shown(path)} {what}; a matrix [words, dim] of float16, float32 or float64 in rows (C order), without "
        f"Python objects, was expected. {remedy}, and save it with numpy.save."
    )


@dataclass(frozen=True)
class _Matrix:
    """The float `matrix` [words, dim] of a file, and the file of its words."""

    path: Path
    index: Path
    matrix: npt.NDArray[Any]

    @property
    def name(self) -> str:
        return shown(self.path.name)

    @property
    def dim(self) -> int:
        return int(self.matrix.shape[1])

    def look_up(self, words: Sequence[str]) -> Found:
        """Read the whole index, and of the matrix the rows asked for."""
        rows = look_up_rows(self.index, words, self.path, len(self.matrix))
        return gathered(words, rows, self.matrix, self.name)


def gathered(words: Sequence[str], rows: Mapping[Any, int], matrix: npt.NDArray[Any], name: str) -> Found:
    """What the float `matrix` [n, dim], called `name`, has of `words`, each in the row that `rows` names.

    Raises InputError for a row that is not there, or that holds a number which is not finite.
    """
    positions = [position for position, word in enumerate(words) if word in rows]
    places = np.array([rows[words[position]] for position in positions], np.int64)
    for position, place in zip(positions, places, strict=True):
        if not 0 <= place < len(matrix):
            raise InputError(
                f"{name} gives '{shown(words[position])}' row {place:,}; 0 to {len(matrix) - 1:,} were expected, the "
                "rows of its vectors. Make it anew."
            )
    values = matrix[places]
    for position, vector in zip(positions, values, strict=True):
        odd = odd_number(vector)
        if odd is not None:
            raise InputError(
                f"{name}: the vector of '{shown(words[position])}', row {rows[words[position]]:,}, has the number "
                f"{odd}; finite numbers that a float32 can hold were expected. Mend that row, or leave the word out."
            )
    return np.array(positions, np.int64), values.astype(np.float32)
