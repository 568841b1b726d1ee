"""Read fastText's training files: `__label__a __label__b the text` on every line."""

from __future__ import annotations

from collections.abc import Generator

from ..columns import Row, Rows
from .dialect import open_lines
from .encoding import find_encoding
from .kinds import FASTTEXT_LABEL, DataFile
from .options import Reading


def read_labelled_lines(file: DataFile, reading: Reading) -> Rows:
    """Return the rows of a file whose lines begin with labels. Raises InputError, here or while reading."""
    encoding = find_encoding(file.path, file.opener, reading.encoding)
    notes = [f"{file.name}: {encoding.stated()}, a text on every line after its labels, as fastText has them"]
    return Rows(file.name, "line", _rows(file, encoding.codec), notes)


def _rows(file: DataFile, codec: str) -> Generator[Row, None, None]:
    with open_lines(file, codec) as lines:
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words:
                continue
            labels = []
            for word in words:
                if not word.startswith(FASTTEXT_LABEL):
                    break
                labels.append(word.removeprefix(FASTTEXT_LABEL))
            text = line.split(maxsplit=len(labels))[len(labels) :]
            yield Row(number, text[0] if text else "", labels)
