"""Find the newest of several versions: PEP 440 (https://peps.python.org/pep-0440/), and dates or other numbers.

A leading `v` changes nothing, `1.10` is newer than `1.9`, `1.0` newer than `1.0rc1` and older than `1.0.post1`.
Numbers that PEP 440 does not read, such as the date `2026-01-31`, count part by part. What is neither has no order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.version import Version

_NUMBERS = re.compile(r"[vV]?([0-9]+(?:[._-][0-9]+)*)")


def order(version: str) -> Version | None:
    """Return what a version is compared by; None if it has no place in an order."""
    match = _NUMBERS.fullmatch(version)
    for written in (version, re.sub("[_-]", ".", match[1]) if match else ""):
        try:
            return Version(written)
        except ValueError:  # no version, or a number of thousands of digits
            continue
    return None


def newest(versions: Iterable[str]) -> str:
    """Return the newest of one or more versions. Raises ValueError with the versions that cannot be compared."""
    given = list(versions)
    if len(given) == 1:
        return given[0]
    unknown = [version for version in given if order(version) is None]
    if unknown:
        raise ValueError(f"{', '.join(unknown)} cannot be ordered; expected versions such as 1.9, v2 or 1.0rc1")
    ranked = sorted(given, key=lambda version: order(version) or Version("0"))
    if order(ranked[-1]) == order(ranked[-2]):
        raise ValueError(f"{ranked[-2]} and {ranked[-1]} are the same version")
    return ranked[-1]
