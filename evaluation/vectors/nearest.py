"""The nearest rows of a table by cosine: exact, a part of the rows at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...storage.progress import Progress, silent
from .rows import Floats, Ints, Rows

Found = tuple[Ints, Floats]
"""Rows and their cosines, the highest first, equal ones in the order of the rows: int64 [n], float32 [n]."""

# Numbers of a part that is copied to room which stays in the processor's cache; OpenBLAS shares the product of twice
# as many among threads, and every product then waits for the slowest of them. Stored float32 are not copied: one
# product takes all.
_COPIED = 1 << 18
# Numbers of a part where many vectors are asked about together, and how many of these at a time.
_TOGETHER, _ASKED = 1 << 21, 64
_COMPARED = 1 << 16  # cosines that are compared with the best so far at a time


class Nearest:
    """Finds the nearest rows. Their lengths are computed once and kept: four bytes a row."""

    def __init__(self, rows: Rows, hidden: npt.NDArray[np.bool_] | None = None) -> None:
        """Search `rows`, of which those that are `hidden`, bool [rows], are never found; nor are rows of zeros."""
        self.rows = rows
        self._hidden = hidden
        self._inverse: Floats | None = None

    @property
    def inverse(self) -> Floats:
        """One divided by the length of each row, float32 [rows].

        NaN for a row that is never found: hidden, all zeros, or with a number that is not finite.
        """
        if self._inverse is None:
            squares = np.empty(len(self.rows), np.float64)
            step = max(1, _COPIED // self.rows.dim)
            room = np.empty((step, self.rows.dim), np.float32)
            for first in range(0, len(self.rows), step):
                part = self.rows.part(first, min(len(self.rows), first + step), room)
                with np.errstate(invalid="ignore"):
                    squares[first : first + len(part)] = np.einsum("ij,ij->i", part, part, dtype=np.float64)
            usable = (squares > 0) & np.isfinite(squares)
            if self._hidden is not None:
                usable &= ~self._hidden
            self._inverse = np.full(len(self.rows), np.nan, np.float32)
            self._inverse[usable] = 1 / np.sqrt(squares[usable])
        return self._inverse

    def units(self, rows: Ints) -> Floats:
        """Return some rows at the length 1, float32 [n, dim]; rows of zeros stay so."""
        vectors = self.rows.vectors(rows)
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        found: Floats = (vectors / np.where(lengths > 0, lengths, 1)[:, None]).astype(np.float32)
        return found

    def find(
        self, asked: Floats, count: int, without: Sequence[Ints] | None = None, *, progress: Progress = silent
    ) -> list[Found]:
        """Return the `count` nearest rows of each vector of `asked`, float32 [n, dim], not of length 0.

        `without` are rows that are left out, for each vector. Fewer are found where the table has no more.
        """
        lengths = np.sqrt(np.einsum("ij,ij->i", asked, asked, dtype=np.float64))
        units = (asked / lengths[:, None]).astype(np.float32)
        found: list[Found] = []
        for first in range(0, len(units), _ASKED):
            own = slice(first, first + _ASKED)
            found += self._find(units[own], count, None if without is None else without[own])
            progress(len(found), len(units), f"{len(found):,} of {len(units):,}")
        return found

    def _find(self, units: Floats, count: int, without: Sequence[Ints] | None) -> list[Found]:
        inverse = self.inverse
        best = [_Best(count) for _ in units]
        step = _step(self.rows, len(units))
        copied = step if len(units) > 1 else max(1, _COPIED // self.rows.dim)
        room = np.empty((0 if self.rows.viewed else min(step, copied), self.rows.dim), np.float32)
        for first in range(0, len(self.rows), step):
            last = min(len(self.rows), first + step)
            with np.errstate(invalid="ignore", over="ignore"):  # of rows that are never found
                cosines = self._products(units, first, last, room)
                cosines *= inverse[first:last]
            for place, own in enumerate(best):
                if without is not None:
                    left_out = without[place]
                    cosines[place, left_out[(left_out >= first) & (left_out < last)] - first] = np.nan
                for begin in range(0, last - first, _COMPARED):
                    own.add(cosines[place, begin : begin + _COMPARED], first + begin)
        return [one.found for one in best]

    def _products(self, units: Floats, first: int, last: int, room: Floats) -> Floats:
        """Return the products of `units` with rows `first` to `last`, float32 [n, last - first].

        Of one vector, as many rows at a time as `room` has.
        """
        if len(units) > 1:
            return units @ self.rows.part(first, last, room).T
        found = np.empty((1, last - first), np.float32)
        step = len(room) or last - first
        for begin in range(first, last, step):
            end = min(last, begin + step)
            np.dot(self.rows.part(begin, end, room), units[0], out=found[0, begin - first : end - first])
        return found


class _Best:
    """The highest of what was added so far."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.found: Found = (np.zeros(0, np.int64), np.zeros(0, np.float32))

    def add(self, cosines: Floats, first: int) -> None:
        """Add the cosines of the rows from `first` on, float32 [n]; those that are NaN do not count."""
        rows, values = self.found
        full = len(values) == self._count
        least = values[-1] if full else np.float32(-np.inf)
        # An equal one of a later row does not take the place of an earlier one.
        better = np.flatnonzero(cosines > least if full else cosines >= least)
        if len(better) > self._count:
            kept = cosines[better]
            limit = np.partition(kept, len(kept) - self._count)[len(kept) - self._count]
            better = better[kept >= limit]
        if len(better):
            values = np.concatenate([values, cosines[better]])
            order = np.argsort(-values, kind="stable")[: self._count]
            self.found = np.concatenate([rows, better + first])[order], values[order]


def _step(rows: Rows, asked: int) -> int:
    """Return of how many rows the cosines are compared together."""
    if asked == 1:
        return max(1, len(rows)) if rows.viewed else _COMPARED
    return max(1, _TOGETHER // rows.dim)
