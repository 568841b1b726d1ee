"""The results of a load test as a file: reading a results.json, and its loads in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...storage.strict_json import parse_json

RESULTS = "results.json"
"""Name of the file in the folder of a report."""
SCHEMA = 3
"""Of results.json; 1, without a number, had only closed loops, and 2 one run of each cell."""
_MAX_BYTES = 1 << 28
_MAX_VALUES = 16_000_000  # the evidence of every archive is in it, each with its confusion matrix


def read_results(path: Path) -> dict[str, Any]:
    """Return what a results.json has, or the one in the folder of a report, whatever its schema.

    Its `rows` are a list of objects; nothing else is checked. Raises OSError if it cannot be read, ValueError for
    another file and for what `parse_json` refuses.
    """
    file = path / RESULTS if path.is_dir() else path
    if file.stat().st_size > _MAX_BYTES:
        raise ValueError(f"more than {_MAX_BYTES:,} bytes")
    found = parse_json(file.read_bytes(), _MAX_VALUES)
    if not isinstance(found, dict):
        raise ValueError("it is not an object")
    rows = found.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it has no list of rows")
    return found


def load_in_words(arrivals: str, level: float) -> str:
    """Return a load in words, by its users or requests/s, such as `16 users` or `20 requests/s (spike)`."""
    if arrivals == "closed":
        return f"{level:g} user{'s' if level != 1 else ''}"
    return f"{level:,.4g} requests/s ({arrivals})"
