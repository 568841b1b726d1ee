"""Measured numbers as people read them."""

from __future__ import annotations

import math


def number(value: float) -> str:
    """Return a value for people: three digits, thousands separated, no exponent, no zeros at the end."""
    text = measured(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def measured(value: float | None) -> str:
    """Return a measured value with its three digits, also where they are zeros; a dash for None."""
    if value is None:
        return "–"
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(0, digits), 6)}f}"


def at_least(value: float | None, limit: object) -> str:
    """Return a measured value; as a lower bound, with `≥`, where there is a `limit` that may have set it."""
    return f"{'≥ ' if limit else ''}{measured(value)}"
