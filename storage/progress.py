"""Progress of long work: it calls functions of its caller, which print lines, draw a bar, or do nothing."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Called with one line at a time."""

Progress = Callable[[int, int, str], None]
"""Called with the number of finished steps, the largest number of steps, and the current step."""


def silent(*_: object) -> None:
    """Do nothing."""
