"""Whether a regular expression takes time without bound: how many ways there are to match one text in.

Python's re tries the ways one after the other. An expression is followed as an automaton (Thompson, 1968) of what it
can read, with loops for repetitions, and its ways are counted (`ways.py`). What lies around or ahead is taken for
granted, so that an expression may be refused that is quick; none is accepted whose ways are without bound.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from .ways import Ranges, UnknownError, Ways

LONGEST = 1 << 17
"""The most characters of an expression; those that spaCy has are up to 20,000 long."""
_MOST_STATES = 20_000
_MOST_COPIES = 8
_LONGEST_RANGE = 1 << 12  # whose other cases are looked up one by one
_LAST = sys.maxunicode + 1


def problem_of(pattern: str, degree: int) -> str | None:
    """Return why an expression may take too long, or None.

    degree: in how many loops behind one another the same text may be read, beyond the first. Raises re.error,
    OverflowError or RecursionError for what is no regular expression.
    """
    if len(pattern) > LONGEST:
        return f"it has {len(pattern):,} characters, at most {LONGEST:,} are read"
    parser = import_module("re._parser")
    parsed = parser.parse(pattern)
    waiting = [(parsed, parsed.state.flags)]
    try:
        while waiting:
            automaton = _Automaton(waiting)
            tree, flags = waiting.pop(0)
            start, _ = automaton.add(tree, flags)
            found = Ways(automaton.reading, automaton.silent, start).problem(degree)
            if found is not None:
                return found
    except UnknownError as error:
        return str(error)
    return None


class _Automaton:
    """States, steps between them that read a character of some ranges, and steps that read nothing."""

    def __init__(self, looked_at: list[tuple[Any, int]]) -> None:
        """`looked_at`: where what lies around or ahead is added, with its flags; it is searched by itself."""
        self.reading: list[tuple[int, Ranges, int]] = []
        self.silent: list[list[int]] = []
        self._looked_at = looked_at

    def state(self) -> int:
        """Return a new state."""
        if len(self.silent) >= _MOST_STATES:
            raise UnknownError(f"it has more than {_MOST_STATES:,} parts")
        self.silent.append([])
        return len(self.silent) - 1

    def add(self, tree: Any, flags: int) -> tuple[int, int]:
        """Add what an expression reads; return its first and its last state."""
        first = last = self.state()
        for operation, argument in tree:
            start, end = self._part(str(operation), argument, flags)
            self.silent[last].append(start)
            last = end
        return first, last

    def _part(self, name: str, argument: Any, flags: int) -> tuple[int, int]:
        if name in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            start, end = self.state(), self.state()
            self.reading.append((start, _ranges(name, argument, flags), end))
            return start, end
        if name == "BRANCH":
            start, end = self.state(), self.state()
            for one in argument[1]:
                first, last = self.add(one, flags)
                self.silent[start].append(first)
                self.silent[last].append(end)
            return start, end
        if name == "SUBPATTERN":
            _, added, removed, inner = argument
            return self.add(inner, (flags | added) & ~removed)
        if name == "ATOMIC_GROUP":
            return self.add(argument, flags)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            return self._repeat(int(argument[0]), int(argument[1]), argument[2], flags)
        if name in ("ASSERT", "ASSERT_NOT"):
            self._looked_at.append((argument[1], flags))
        elif name not in ("AT", "FAILURE"):
            raise UnknownError(f"it refers to another part of a match ({name.lower()})")
        state = self.state()
        return state, state

    def _repeat(self, least: int, most: int, inner: Any, flags: int) -> tuple[int, int]:
        if least == most <= _MOST_COPIES:
            first = last = self.state()
            for _ in range(least):
                start, end = self.add(inner, flags)
                self.silent[last].append(start)
                last = end
            return first, last
        loops = most > 1 or not _repeats(inner)
        # Which may be left out is taken for a loop too: many of them behind one another have as many ways.
        start, end = self.add(inner, flags)
        out = self.state()
        self.silent[end].append(out)
        if loops:
            self.silent[end].append(start)
        if least:
            return start, out
        around = self.state()
        self.silent[around] += [start, out]
        return around, out


def _repeats(tree: Any) -> bool:
    """Return whether a repetition is within an expression."""
    for operation, argument in tree:
        name = str(operation)
        if name.endswith("REPEAT"):
            return True
        inner: dict[str, Callable[[Any], Any]] = {
            "BRANCH": lambda one: one[1],
            "SUBPATTERN": lambda one: [one[3]],
            "ATOMIC_GROUP": lambda one: [one],
        }
        if name in inner and any(map(_repeats, inner[name](argument))):
            return True
    return False


def _ranges(name: str, argument: Any, flags: int) -> Ranges:
    """Return the code points that a part reads."""
    if name == "ANY":
        return [(0, _LAST)] if flags & re.DOTALL else _without([(10, 11)])
    if name != "IN":
        found = _cased([(argument, argument + 1)], flags)
        return found if name == "LITERAL" else _without(found)
    negated, found = False, Ranges()
    for operation, value in argument:
        kind = str(operation)
        if kind == "NEGATE":
            negated = True
        elif kind == "LITERAL":
            found.append((value, value + 1))
        elif kind == "RANGE":
            found.append((value[0], value[1] + 1))
        else:
            found += _category(str(value))
    found = _cased(found, flags)
    return _without(found) if negated else found


def _cased(ranges: Ranges, flags: int) -> Ranges:
    """Return the ranges with the other cases of their letters where case is ignored."""
    if not flags & re.IGNORECASE:
        return ranges
    short = [number for first, last in ranges if last - first <= _LONGEST_RANGE for number in range(first, last)]
    others = {ord(one) for number in short for one in (chr(number).lower(), chr(number).upper()) if len(one) == 1}
    return [*ranges, *((one, one + 1) for one in others)]


def _without(ranges: Ranges) -> Ranges:
    """Return all other code points."""
    found, at = Ranges(), 0
    for first, last in sorted(ranges):
        if first > at:
            found.append((at, first))
        at = max(at, last)
    return [*found, (at, _LAST)] if at < _LAST else found


@cache
def _category(name: str) -> Ranges:
    """Return the code points of a category, such as that of all digits, or of all else."""
    sign = {"WORD": r"\w", "DIGIT": r"\d", "SPACE": r"\s"}[name.rpartition("_")[2]]
    every = "".join(map(chr, range(_LAST)))
    found = [match.span() for match in re.finditer(f"{sign}+", every)]
    return _without(found) if "_NOT_" in name else found
