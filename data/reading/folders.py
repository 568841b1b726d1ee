"""Read folders: one folder for each label with a text in every file, perhaps below train, validation and test."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from ...errors import InputError
from ...storage.compression import listed, opener_for, shown
from ..cells import PART_OF
from ..columns import Row, Rows
from .encoding import find_encoding
from .options import Reading

_PLAIN = opener_for("")


def read_folder(folder: Path, reading: Reading) -> Rows:
    """Return a row for each file below `folder`: its text, and the name of its folder as label.

    Raises InputError for another layout, and while reading for a file that is no text.
    """
    inner = _folders(folder)
    parts = {path.name.lower(): path for path in inner if path.name.lower() in PART_OF}
    if parts and len(parts) == len(inner):
        labelled = {label: PART_OF[name] for name, path in parts.items() for label in _folders(path)}
    else:
        labelled = dict.fromkeys(inner, "")
    files = [(file, label.name, part) for label, part in labelled.items() for file in _texts(label)]
    if not files:
        raise InputError(
            f"{shown(folder)} is a folder without texts in folders by label; expected LABEL/TEXT.txt in it for every "
            f"text. It has: {listed(sorted(path.name for path in folder.iterdir())) or 'nothing'}.",
            code="LX-DATA-077",
        )
    labels = len({label for _, label, _ in files})
    notes = [f"{shown(folder.name)}: a folder for each of {labels:,} labels, a text in each of {len(files):,} files"]
    places = [shown(file.relative_to(folder)) for file, _, _ in files]
    return Rows(shown(folder.name), "file", _rows(files, reading), notes, places=places)


def _rows(files: list[tuple[Path, str, str]], reading: Reading) -> Generator[Row, None, None]:
    for number, (file, label, part) in enumerate(files, 1):
        text = ""
        if file.stat().st_size:
            encoding = find_encoding(file, _PLAIN, reading.encoding)
            text = file.read_text(encoding=encoding.codec)
        yield Row(number, text, label, part=part or None)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _texts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
