"""Classes of characters as RE2, the regular expressions of ONNX Runtime, reads them alike in every version."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import regex


@cache
def token_expression(pattern: str) -> str:
    r"""Return the token pattern for RE2, each class of characters written out as ranges of code points.

    `pattern` is "one of these characters, or a run of those". RE2 has Unicode tables of its own, whose version is
    another than `regex`'s, and its `\p{C}` leaves the unassigned out: ranges split alike whatever the versions.
    """
    # Every character twice: a run's come out as one match with their neighbours, any other's as two.
    every = "".join(chr(code) * 2 for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    found = [match.group() for match in regex.finditer(pattern, every)]
    alone = character_class(ord(one) for one in found if len(one) == 1)
    run = _written((ord(one[0]), ord(one[-1])) for one in found if len(one) > 1)
    return f"{alone}|[{run}]+"


def character_class(codes: Iterable[int]) -> str:
    """Return the class of these code points."""
    ordered = sorted(set(codes))
    starts = [code for code, before in zip(ordered, [-2, *ordered], strict=False) if code != before + 1]
    ends = [code for code, after in zip(ordered, [*ordered[1:], -1], strict=True) if code + 1 != after]
    return f"[{_written(zip(starts, ends, strict=True))}]"


def _written(ranges: Iterable[tuple[int, int]]) -> str:
    return "".join(f"\\x{{{first:X}}}-\\x{{{last:X}}}" for first, last in ranges)
