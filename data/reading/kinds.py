"""What a data file is: by the ending of its name, else by its first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ...storage.compression import (
    COMPRESSIONS,
    Opener,
    check_file,
    compression_of,
    empty,
    opener_for,
    readable,
    shown,
)

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".psv": "|"}
_LINES = (".jsonl", ".ndjson")
_TABLES = (".parquet", ".arrow", ".feather")
_TEXT_ENDINGS = (".csv", ".tsv", *_LINES, ".json", ".txt")
ACCEPTED = f"{', '.join(_TEXT_ENDINGS)}, each also with {', '.join(COMPRESSIONS)}, or {', '.join(_TABLES)}"
ENDINGS = (*DELIMITERS, *_LINES, ".json", *_TABLES)

FASTTEXT_LABEL = "__label__"
_BEGINNING = 1 << 16  # bytes that are looked at
_PARQUET, _ARROW, _ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
# The beginnings of files that are not read, what they are, and what to do.
_STRANGERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "Fetch the file: git lfs pull"),
    (b"PK\x03\x04", "a zip archive", "Unpack it and name a file that was in it."),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "Save it as CSV UTF-8."),
    (b"\x80\x02", "a pickle, which is not read since it can run any program", "Save the data as Parquet or CSV."),
    (b"\x80\x03", "a pickle, which is not read since it can run any program", "Save the data as Parquet or CSV."),
    (b"\x80\x04", "a pickle, which is not read since it can run any program", "Save the data as Parquet or CSV."),
    (b"\x80\x05", "a pickle, which is not read since it can run any program", "Save the data as Parquet or CSV."),
    (b"SQLite format 3", "an SQLite database", "Export the table as CSV."),
    (b"<!doctype html", "a web page", "Download the file itself."),
    (b"<html", "a web page", "Download the file itself."),
    (b"%PDF-", "a PDF", "Save the data as CSV."),
)


@dataclass(frozen=True)
class DataFile:
    """A file and what it is."""

    path: Path
    """The file."""
    kind: str
    """"delimited", "lines" (JSONL), "json", "labelled" (fastText's lines), "parquet" or "arrow"."""
    opener: Opener
    """Opens its decompressed bytes."""
    delimiter: str | None = None
    """What its ending says that separates cells."""

    @property
    def name(self) -> str:
        """The file's name without its folder, for messages."""
        return shown(self.path.name)


def identify(path: Path) -> DataFile:
    """Return what the file at `path` is. Raises InputError if it cannot be read or is of another kind."""
    check_file(path)
    endings = [ending.lower() for ending in path.suffixes]
    compression = endings.pop() if endings and endings[-1] in COMPRESSIONS else ""
    ending = endings[-1] if endings else ""
    opener = opener_for(compression)
    with readable(path), opener(path) as file:
        start = file.read(_BEGINNING)
    if not start:
        raise empty(path)
    _refuse_strangers(path, start, compression)
    kind = _kind(start, ending)
    if kind in ("parquet", "arrow") and compression:
        raise InputError(
            f"{shown(path)} is compressed a second time, and {kind.title()} is read in place. Unpack it first.",
            code="LX-DATA-068",
        )
    return DataFile(path, kind, opener, DELIMITERS.get(ending))


def unknown(path: Path) -> InputError:
    """Return the error for a file whose ending and content say nothing."""
    return InputError(
        f"{shown(path)}: neither the ending of its name nor its content says what it is. Accepted endings: "
        f"{ACCEPTED}; rename or convert the file.",
        code="LX-DATA-017",
    )


def _kind(start: bytes, ending: str) -> str:
    if ending == ".parquet" or start.startswith(_PARQUET):
        return "parquet"
    if start.startswith((_ARROW, _ARROW_STREAM)) or ending in (".arrow", ".feather"):
        return "arrow"
    if ending in DELIMITERS:
        return "delimited"
    if ending in _LINES:
        return "lines"
    text = start.lstrip(b"\xef\xbb\xbf\xff\xfe\0").replace(b"\0", b"").lstrip()  # UTF-16 too
    if text.startswith(FASTTEXT_LABEL.encode()):
        return "labelled"
    if text.startswith(b"["):
        return "json"
    if text.startswith(b"{"):
        # One object, or one on every line: then the first ends on its line and another begins.
        first, _, rest = text.partition(b"\n")
        return "lines" if first.rstrip().endswith(b"}") and (ending != ".json" or rest.strip()) else "json"
    return "json" if ending == ".json" else "delimited"


def _refuse_strangers(path: Path, start: bytes, compression: str) -> None:
    found = compression_of(start)
    if found is not None and compression:
        raise InputError(
            f"{shown(path)} is compressed twice: unpacked, it is a {found[0]} file. Unpack it once.",
            code="LX-DATA-069",
        )
    if found is not None:
        ending, name = found
        raise InputError(
            f"{shown(path)} looks {name}-compressed, which its name does not say. End its name in {ending}.",
            code="LX-DATA-070",
        )
    for signature, what, remedy in _STRANGERS:
        if start[:64].lstrip().lower().startswith(signature.lower()):
            if signature == b"PK\x03\x04" and b"[Content_Types].xml" in start:
                what, remedy = "an Excel workbook", "Save it as CSV UTF-8."
            raise InputError(f"{shown(path)} is {what}. {remedy}", code="LX-DATA-071")
