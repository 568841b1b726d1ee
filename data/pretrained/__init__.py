"""Word vectors from outside: files in every common format, gensim's in memory, and a pip package with GloVe's."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from ...storage.compression import shown
from . import glove
from .base import Coverage, Found, Vectors
from .formats import FORMATS, open_file
from .keyed import KeyedVectors, open_keyed

__all__ = [
    "Coverage",
    "Found",
    "KeyedVectors",
    "Vectors",
    "open_vectors",
]


def open_vectors(source: str | Path | KeyedVectors) -> Vectors:
    """Return the vectors of a file, of gensim's KeyedVectors in memory, or of the package that `glove-6b-50d` names.

    A file of the package's name comes first. Raises InputError for a file or object that cannot be used,
    MissingExtra for an absent package.
    """
    if not isinstance(source, str | Path):
        return open_keyed(source)
    try:
        Path(source).stat()
    except FileNotFoundError:
        if str(source) == glove.NAME:
            return glove.open_package()
        raise InputError(
            f"There is no file {shown(Path(source))} and no package of vectors of that name. Name {FORMATS}, or "
            f"{glove.NAME}.",
            code="LX-VECTORS-001",
        ) from None
    except (OSError, ValueError):
        pass  # opening says what is wrong
    return open_file(Path(source))
