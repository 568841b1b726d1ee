"""The rows of a table of vectors as they are stored: floats, or the bytes and half bytes of the exported forms.

A part of the rows is made float32 at a time, so that a mapped table is never in memory as a whole. The forms are
those of `export/formats/`, read here with numpy alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

LEVELS = 15
"""The largest number that four bits hold."""
_TOGETHER = 1 << 20  # numbers that are quantized at a time


class Rows(ABC):
    """The vectors of a table, a row each."""

    PRECISION: ClassVar[str]
    """What a number is stored as: "fp32", "fp16", "fp64", "int8" or "int4"."""

    def __init__(self, stored: npt.NDArray[Any], dim: int) -> None:
        """Keep what is stored, [rows, …], and the width of a vector."""
        self.stored, self.dim = stored, dim
        # A mapped matrix costs more at each slice.
        self._plain = np.asarray(stored)

    @property
    def precision(self) -> str:
        """What a number is stored as."""
        return self.PRECISION

    @property
    def viewed(self) -> bool:
        """Whether `part` returns the stored numbers themselves and needs no room."""
        return False

    def __len__(self) -> int:
        return len(self.stored)

    def part(self, first: int, last: int, room: Floats) -> Floats:
        """Return rows `first` to `last`, float32 [rows, dim], each perhaps times a positive number of its own.

        Cosines are the same with and without it. `room`, float32 [at least last - first, dim], may be where they are.
        """
        room = room[: last - first]
        self._fill(slice(first, last), room)
        return room

    def vectors(self, rows: Ints) -> Floats:
        """Return the vectors of some rows, float32 [rows, dim]."""
        found = np.empty((len(rows), self.dim), np.float32)
        self._fill(rows, found)
        found *= self._scales(rows)
        return found

    @abstractmethod
    def _fill(self, rows: Any, room: Floats) -> None:
        """Write the vectors of `rows`, a slice or an index, to `room`, each perhaps times a positive number."""

    def _scales(self, rows: Ints) -> Any:
        """Return what `_fill` left out: float32 [rows, 1], or 1."""
        return 1


class FloatRows(Rows):
    """Numbers of 16, 32 or 64 bits: [rows, dim]."""

    def __init__(self, stored: npt.NDArray[Any]) -> None:
        """Keep a matrix, mapped or in memory."""
        super().__init__(stored, stored.shape[1])

    @property
    def precision(self) -> str:
        """What a number is stored as."""
        return f"fp{8 * self.stored.dtype.itemsize}"

    @property
    def viewed(self) -> bool:
        """Whether the numbers are float32."""
        return self._plain.dtype == np.float32

    def part(self, first: int, last: int, room: Floats) -> Floats:
        """Return rows as `Rows.part` does; of float32 the stored ones."""
        if self.viewed:
            return self._plain[first:last]
        return super().part(first, last, room)

    def _fill(self, rows: Any, room: Floats) -> None:
        with np.errstate(over="ignore"):  # becomes infinite, which is refused
            room[:] = self._plain[rows]


class ByteRows(Rows):
    """Signed bytes, and a float32 scale a row: the form of ONNX int8."""

    PRECISION = "int8"

    def __init__(self, stored: npt.NDArray[np.int8], scale: Floats) -> None:
        """`stored` int8 [rows, dim], `scale` float32 [rows]."""
        super().__init__(stored, stored.shape[1])
        self._scale = scale

    def _fill(self, rows: Any, room: Floats) -> None:
        np.copyto(room, self._plain[rows])

    def _scales(self, rows: Ints) -> Any:
        return self._scale[rows, None]


class PackedByteRows(Rows):
    """Bytes, each row followed by its float32 scale and offset, [rows, dim + 8]: the form of TorchScript int8."""

    PRECISION = "int8"

    def __init__(self, stored: npt.NDArray[np.uint8]) -> None:
        """Keep the packed rows."""
        super().__init__(stored, stored.shape[1] - 8)

    def _fill(self, rows: Any, room: Floats) -> None:
        taken = self._plain[rows]
        ends = np.ascontiguousarray(taken[:, self.dim :]).view("<f4")
        np.copyto(room, taken[:, : self.dim])
        room *= ends[:, :1]
        room += ends[:, 1:]


class NibbleRows(Rows):
    """Two numbers a byte, and a float32 scale and offset a row: the form of ONNX int4.

    A byte, plus 128, has a component of the first half of the row in its low half and one of the second in its high.
    """

    PRECISION = "int4"

    def __init__(self, stored: npt.NDArray[np.int8], scale: Floats, dim: int) -> None:
        """`stored` int8 [rows, dim / 2 rounded up], `scale` float32 [rows, 2], a scale and an offset."""
        super().__init__(stored, dim)
        self._scale = scale

    def _fill(self, rows: Any, room: Floats) -> None:
        both = self._plain[rows].view(np.uint8) ^ 128
        half = both.shape[1]
        room[:, :half] = both & LEVELS
        room[:, half:] = (both >> 4)[:, : self.dim - half]
        scale = self._scale[rows]
        room *= scale[:, :1]
        room += scale[:, 1:]


class PackedNibbleRows(Rows):
    """Two numbers a byte, each row followed by its float16 scale and offset: the form of TorchScript int4.

    Neighbours share a byte, the first in its low half.
    """

    PRECISION = "int4"

    def __init__(self, stored: npt.NDArray[np.uint8], dim: int) -> None:
        """`stored` uint8 [rows, dim / 2 rounded up + 4]."""
        super().__init__(stored, dim)

    def _fill(self, rows: Any, room: Floats) -> None:
        taken = self._plain[rows]
        ends = np.ascontiguousarray(taken[:, -4:]).view("<f2").astype(np.float32)
        room[:, 0::2] = taken[:, :-4] & LEVELS
        room[:, 1::2] = (taken[:, :-4] >> 4)[:, : self.dim // 2]
        room *= ends[:, :1]
        room += ends[:, 1:]


def quantized(rows: Rows, precision: str) -> Rows:
    """Return the rows in the form that an ONNX export in "int8" or "int4" has, bit for bit; in memory."""
    count, dim = len(rows), rows.dim
    eight = precision == "int8"
    stored = np.empty((count, dim if eight else (dim + 1) // 2), np.int8)
    scales = np.empty((count, 1 if eight else 2), np.float32)
    step = max(1, _TOGETHER // dim)
    for first in range(0, count, step):
        part = rows.vectors(np.arange(first, min(count, first + step)))
        own = slice(first, first + len(part))
        (_to_bytes if eight else _to_nibbles)(part, stored[own], scales[own])
    return ByteRows(stored, scales[:, 0]) if eight else NibbleRows(stored, scales, dim)


def _to_bytes(part: Floats, stored: npt.NDArray[np.int8], scales: Floats) -> None:
    """Quantize `part`, float32 [rows, dim], as `Int8GatherTable` does."""
    scale = np.abs(part).max(axis=1) / np.float32(127)
    stored[:] = np.rint(part / np.where(scale > 0, scale, np.float32(1))[:, None])
    scales[:, 0] = scale


def _to_nibbles(part: Floats, stored: npt.NDArray[np.int8], scales: Floats) -> None:
    """Quantize `part`, float32 [rows, dim], as `NibbleGatherTable` does."""
    least, most = part.min(axis=1), part.max(axis=1)
    scale = (most - least) / np.float32(LEVELS)
    divisor = np.where(scale > 0, scale, np.float32(1))[:, None]
    levels = np.rint((part - least[:, None]) / divisor).clip(0, LEVELS).astype(np.uint8)
    half = stored.shape[1]
    high = np.zeros((len(part), half), np.uint8)
    high[:, : part.shape[1] - half] = levels[:, half:]
    stored[:] = ((levels[:, :half] | (high << 4)) ^ 128).view(np.int8)
    scales[:, 0], scales[:, 1] = scale, least
