"""Errors of requests: the status, the problem and what was expected."""

from __future__ import annotations

from typing import Any

EXPECTED = (
    'text/plain in UTF-8, JSON {"text": "…"} or {"texts": ["…", …]} (with "lang" where the model has languages, or '
    '{"image": [0.5, …]} where it takes images), Open Inference Protocol v2 inputs, or the form field `data`'
)


class Refusal(Exception):
    """A request that cannot be answered: an HTTP status and what was expected instead."""

    def __init__(self, status: int, error: str, expected: str = EXPECTED, *, code: str, **details: Any) -> None:
        """Make a refusal with a status of 4xx or 5xx; `details` become further keys of the answer.

        `code` names the problem and never changes its meaning; docs/errors.md lists them.
        """
        super().__init__(error)
        self.status = status
        self.body = {"error": error, "expected": expected, "code": code, **details}


def kind(value: Any) -> str:
    """Return what JSON calls a value: "an object", "a number", "null"."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def show(value: Any) -> str:
    """Return a value for an error's text; a value that may be deeply nested is named by its kind."""
    if isinstance(value, list) and len(value) <= 4:
        return f"[{', '.join('…' if isinstance(one, list) else show(one) for one in value)}]"
    return shorten(repr(value)) if isinstance(value, (str, int, float)) else kind(value)


def shorten(text: str) -> str:
    """Return at most 40 characters of a text, and "…" for the rest."""
    return text if len(text) <= 40 else text[:40] + "…"


def listed(bad: dict[int, str]) -> str:
    """Return the first ten bad positions, each with its problem."""
    first = "; ".join(f"{position}: {what}" for position, what in list(bad.items())[:10])
    return f"{first}; and {len(bad) - 10} more" if len(bad) > 10 else first
