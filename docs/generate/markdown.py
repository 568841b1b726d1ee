"""Markdown that the generated pages share."""

from __future__ import annotations


def cell(text: str) -> str:
    """Return a text as a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
