"""Files and folders in arguments: strings and paths alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

StrPath = str | Path
# Options of the functions below that name files or folders.
_OPTIONS = frozenset({"baseline", "junit", "out", "state_dir", "store", "texts", "token_file", "with_load"})


def with_paths(options: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments with a Path for each string that names a file or folder."""
    return {
        name: Path(value) if name in _OPTIONS and isinstance(value, str) else value for name, value in options.items()
    }


def source_of(data: StrPath | Sequence[StrPath]) -> str | list[str]:
    """Return data as functions below take them: a name or several."""
    return str(data) if isinstance(data, StrPath) else [str(one) for one in data]
