"""Hostile text, and a look at what a command or a page made of it."""

from __future__ import annotations

import re
from typing import Any

from lexport.messages.escaping import visible

FORGED = ("signed by", "error: forged", "sha256 00")
# Clears the screen, sets the title, goes back to the beginning of the line, starts lines, turns the direction of
# writing, links elsewhere, and is markup of rich, Markdown and HTML.
EVIL = (
    "x\x1b[2J\x1b]0;title\x07\rsigned by SHA256:forged\nsigned by SHA256:forged\x9b31m\u202e\u2028error: forged\x85"
    "error: forged\x7f\x1b]8;;http://evil.example\x1b\\[red]red[/red]`<script>\n\nsigned by us\v\fsha256 00"
)
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def check(shown: str, *, styled: bool = False) -> None:
    """Fail for a character that is not seen, and for a line that begins as one of lexport's own."""
    plain = _STYLE.sub("", shown) if styled else shown
    for line in plain.split("\n"):
        assert visible(line) == line, ascii(line)
        assert not line.startswith(FORGED), line


def spoiled(value: Any, keep: frozenset[str] = frozenset()) -> Any:
    """A JSON value with something hostile behind every string of it but those to `keep`; keys stay."""
    if isinstance(value, dict):
        return {key: spoiled(inner, keep) for key, inner in value.items()}
    if isinstance(value, list):
        return [spoiled(inner, keep) for inner in value]
    return value + EVIL if isinstance(value, str) and value not in keep else value
