"""Latencies as a log of HdrHistograms, which the tools of HdrHistogram read: intervals of each cell, by its tag.

The format is that of HistogramLogWriter 1.3, each histogram in the V2 encoding, compressed by zlib and in base64
(http://hdrhistogram.org, EncodableHistogram and AbstractHistogram of the Java library). Values are nanoseconds with
three significant digits, as those tools expect them.
"""

from __future__ import annotations

import base64
import re
import struct
import time
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

_COOKIE, _COMPRESSED_COOKIE = 0x1C849303, 0x1C849304  # of V2
_WORD = 0x10  # in the cookie: the length of a count varies
_DIGITS = 3
_LOWEST, _HIGHEST = 1_000, 3_600_000_000_000  # ns: a microsecond, an hour
_UNIT = _LOWEST.bit_length() - 1  # bits below those that count
_HALF = 10  # bits of half of the sub-buckets, of which 2 × 10³ must be 2,048 or fewer

Doubles = np.ndarray[Any, np.dtype[np.float64]]


class LatencyLog:
    """The log of a load test, which grows by the runs."""

    def __init__(self, started: float) -> None:
        """Begin at `started`, in seconds since 1970, to which the times of the lines are relative."""
        self._started = started
        self._lines: list[str] = []

    def add(self, tag: str, began: float, length: float, due: Doubles, times: Doubles) -> None:
        """Add a run whose window began at `began`, in intervals of `length` seconds; latencies `times` in ms.

        `due` is when each of the requests was due, in seconds since the window began.
        """
        places = np.floor(due / length + 1e-9).astype(np.int64)
        for place in np.unique(places):
            own = times[places == place]
            start = began + float(place) * length - self._started
            largest = float(own.max())
            self._lines.append(f"Tag={_tag(tag)},{start:.3f},{length:.3f},{largest:.3f},{encoded(own)}\n")

    def text(self) -> str:
        """Return the whole file."""
        written = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started))
        head = (
            "#[Latencies of a load test by lexport, in nanoseconds; Interval_Max in milliseconds]\n"
            "#[Histogram log format version 1.3]\n"
            f"#[StartTime: {self._started:.3f} (seconds since epoch), {written}]\n"
            '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
        )
        return head + "".join(self._lines)


def _tag(name: str) -> str:
    """Return a name without the signs that end a tag."""
    return re.sub(r"[\s,]+", "_", name)


def encoded(times: Iterable[float]) -> str:
    """Return latencies in ms as a compressed histogram in base64."""
    payload = _leb128(_counts(times))
    head = struct.pack(">IIIIQQd", _COOKIE | _WORD, len(payload), 0, _DIGITS, _LOWEST, _HIGHEST, 1.0)
    packed = zlib.compress(head + payload)
    return base64.b64encode(struct.pack(">II", _COMPRESSED_COOKIE | _WORD, len(packed)) + packed).decode()


def _counts(times: Iterable[float]) -> list[int]:
    """Return how many values are in each place of the histogram, up to the last that has one."""
    values = np.clip(np.rint(np.asarray(list(times)) * 1e6), 0, _HIGHEST).astype(np.int64)
    smallest = (2 << _HALF) - 1 << _UNIT  # what the first bucket holds
    _, bits = np.frexp((values | smallest).astype(np.float64))  # exact: all are below 2⁵³
    bucket = bits.astype(np.int64) - (_UNIT + _HALF + 1)
    sub = values >> (bucket + _UNIT)
    return [int(count) for count in np.bincount((bucket + 1 << _HALF) + sub - (1 << _HALF))]


def _leb128(counts: list[int]) -> bytes:
    """Return counts, a run of zeros as its negative length, in ZigZag LEB128 of at most nine bytes each."""
    found = bytearray()
    place = 0
    while place < len(counts):
        value = counts[place]
        if value:
            place += 1
        else:
            first = place
            while place < len(counts) and not counts[place]:
                place += 1
            value = first - place
        zigzag = value << 1 if value > 0 else (-value << 1) - 1
        while zigzag > 0x7F:
            found.append(zigzag & 0x7F | 0x80)
            zigzag >>= 7
        found.append(zigzag)
    return bytes(found)
