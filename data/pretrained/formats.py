"""Detect the format of a file of vectors from its ending and its first bytes. Nothing is unpickled."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from ...storage.compression import COMPRESSIONS, check_file, opener_for, readable, shown
from .base import Vectors
from .binary import open_binary
from .gensim import read_gensim
from .matrix import SIGNATURE, open_matrix
from .text import LONGEST_LINE, WIDEST, Header, is_row, open_text, read_header

FORMATS = (
    "a text file of vectors (GloVe's, or .vec of word2vec or fastText) or a .bin of word2vec, each also with "
    f"{', '.join(COMPRESSIONS)}, a .npy with an index of its words beside it, or a .kv or .model of gensim"
)
_PICKLE, _ZIP = b"\x80", b"PK\x03\x04"
_BEGINNING = 1 << 16  # bytes that are looked at
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r"))  # hardly any text has them


def open_file(path: Path) -> Vectors:
    """Return the vectors of a file. Raises InputError for one that cannot be used."""
    try:
        content = path.stat().st_size > 0
    except (OSError, ValueError):
        content = True  # the check says what is wrong
    if content:
        check_file(path)
    endings = [ending.lower() for ending in path.suffixes[-2:]]
    compression = endings.pop() if endings and endings[-1] in COMPRESSIONS else ""
    ending = endings[-1] if endings else ""
    opener = opener_for(compression)
    with readable(path, opener), opener(path) as lines:
        first = lines.readline(LONGEST_LINE)
        beginning = lines.read(_BEGINNING)
    if first.startswith(_PICKLE):
        if compression:
            raise InputError(
                f"{shown(path)} is a compressed pickle; expected one as gensim's save writes it. Unpack it first.",
                code="LX-VECTORS-005",
            )
        return read_gensim(path)
    if first.startswith(_ZIP):
        raise InputError(
            f"{shown(path)} is a zip archive. Unpack it and name the file of vectors that was in it.",
            code="LX-VECTORS-004",
        )
    if first.startswith(SIGNATURE) or ending == ".npy":
        return open_matrix(path, compressed=bool(compression))
    header = read_header(first)
    if header is not None and 1 <= header.dim <= WIDEST and _is_binary(header, beginning, ending):
        return open_binary(path, opener, header, len(first))
    if header is None and ending == ".bin" and not is_row(first, max(len(first.split()) - 1, 1)):
        raise _no_binary(path, first)
    return open_text(path, opener, first)


def _is_binary(header: Header, beginning: bytes, ending: str) -> bool:
    """Return whether the content after the header is binary; gensim writes text into a .bin by default."""
    row = beginning.partition(b"\n")[0]
    if is_row(row, header.dim):
        return False
    return ending == ".bin" or beginning.translate(None, _CONTROLS) != beginning


def _no_binary(path: Path, first: bytes) -> InputError:
    start = shown(first[:40].decode(errors="replace").strip())
    return InputError(
        f"{shown(path)} is not a word2vec file: it begins with '{start}'; expected a line with the number of words "
        "and of their numbers. If it is a fastText model, use the .vec that is published beside it, or "
        "convert it with gensim:",
        "from gensim.models.fasttext import load_facebook_vectors\n"
        f"load_facebook_vectors({str(path)!r}).save_word2vec_format({str(path.with_suffix('.vec'))!r})",
        code="LX-VECTORS-006",
    )
