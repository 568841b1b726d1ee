"""What zipfile raises of files from outside, and the names of their members."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path

DAMAGED_ZIP = (
    *(OSError, ValueError, RuntimeError, EOFError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)
"""Of damaged files, encrypted members, and compressions that zipfile does not know."""


def members_of(path: Path) -> list[str]:
    """Return the names of the members of a zip; none of anything else."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except DAMAGED_ZIP:
        return []
