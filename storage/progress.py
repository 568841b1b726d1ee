"""How long work tells what it does: to functions it is given, which print, draw a bar, or do nothing."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Told a line at a time."""

Progress = Callable[[int, int, str], None]
"""Told the steps done, the steps at most, and what is going on."""


def silent(*_: object) -> None:
    """Tell nobody."""
