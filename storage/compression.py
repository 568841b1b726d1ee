"""Open data files, also compressed ones, and report errors in their bytes in one line."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..errors import InputError, import_optional
from ..messages.escaping import visible

# The endings of compressed files, what they are called, and how they begin.
_COMPRESSED = {
    ".gz": ("gzip", b"\x1f\x8b"),
    ".bz2": ("bzip2", b"BZh"),
    ".xz": ("xz", b"\xfd7zXZ"),
    ".zst": ("zstd", b"\x28\xb5\x2f\xfd"),
}
COMPRESSIONS = tuple(_COMPRESSED)

Opener = Callable[[Path], IO[bytes]]
"""Opens a file for reading its decompressed bytes."""

_SIGNATURES = {
    **{begin: f"It looks {name}-compressed: end its name in {end}." for end, (name, begin) in _COMPRESSED.items()},
    b"PAR1": "It looks like Parquet: end its name in .parquet.",
    b"PK\x03\x04": "It looks like a zip archive or spreadsheet: export it as CSV.",
    b"\xff\xfe": "It looks like UTF-16: save it as UTF-8.",
    b"\xfe\xff": "It looks like UTF-16: save it as UTF-8.",
}


def compression_of(start: bytes) -> tuple[str, str] | None:
    """Return the ending and the name of the compression of a file that begins with `start`; None without one."""
    return next(((end, name) for end, (name, begin) in _COMPRESSED.items() if start.startswith(begin)), None)


def shown(value: object) -> str:
    """Return the value for an error message: on one line, printable, at most 80 characters (a path 1,000)."""
    text = str(value)
    limit = 1000 if isinstance(value, Path) else 80
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    return visible(text)


def excerpt(text: str) -> str:
    """Return the beginning of a text for a message: on one line, printable, at most 60 characters."""
    flat = " ".join(text.split())
    return shown(flat if len(flat) <= 60 else f"{flat[:57]}...")


def listed(values: Iterable[object], limit: int = 10) -> str:
    """Return the first `limit` values, comma-separated, and how many more there are."""
    every = list(values)
    more = f" and {len(every) - limit:,} more" if len(every) > limit else ""
    return ", ".join(shown(value) for value in every[:limit]) + more


def check_file(path: Path) -> None:
    """Raise InputError unless `path` is a regular file that is not empty."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise InputError(f"There is no file {shown(path)}. Check the path.", code="LX-FILE-007") from None
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read {shown(path)}: {_reason(error)}.", code="LX-FILE-008") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(
            f"{shown(path)} is a folder; a file was expected. Name one of the files in it.", code="LX-FILE-009"
        )
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{shown(path)} is not a regular file. Write the data to a file first.", code="LX-FILE-010")
    if status.st_size == 0:
        raise empty(path)


def empty(path: Path) -> InputError:
    """Return the error for a file without any content."""
    return InputError(f"{shown(path)} is empty: rows of data, or words, were expected.", code="LX-FILE-011")


def damaged(path: Path, error: Exception) -> InputError:
    """Return the error for a file whose bytes contradict its name or their own checksum."""
    reason = "it ends too early" if isinstance(error, EOFError) else _reason(error)
    return InputError(
        f"{shown(path)} is damaged or not what its name says: {reason}. Download it or make it again.",
        code="LX-FILE-012",
    )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or shown(str(error).partition("\n")[0])


def opener_for(compression: str) -> Opener:
    """Return the opener for a file name's last ending; one without compression opens the file as it is."""
    if compression == ".zst":
        zstandard = import_optional("zstandard", "Reading .zst files")
        return lambda path: io.BufferedReader(_ZstdFile(path.open("rb"), zstandard))
    openers: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    return openers.get(compression, lambda path: path.open("rb"))


class _ZstdFile(io.RawIOBase):
    """Decompressed bytes of a .zst file; unlike zstandard's own reader it detects a truncated file."""

    def __init__(self, source: IO[bytes], zstandard: Any) -> None:
        self._source = source
        self._error = zstandard.ZstdError
        self._new_frame = zstandard.ZstdDecompressor().decompressobj
        self._frame = self._new_frame()
        self._inside = False  # a frame has begun and not ended
        self._compressed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and self._more():
            pass
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _more(self) -> bool:
        block = self._compressed or self._source.read(1 << 17)
        if not block:
            if self._inside:
                raise EOFError
            return False
        try:
            self._ready = memoryview(self._frame.decompress(block))
        except self._error as error:
            raise OSError(str(error)) from None
        self._inside = not self._frame.eof
        self._compressed = self._frame.unused_data
        if self._frame.eof:
            self._frame = self._new_frame()
        return True

    def close(self) -> None:
        self._source.close()
        super().close()


@contextmanager
def readable(path: Path, opener: Opener | None = None) -> Iterator[None]:
    """Turn any error with the bytes of `path` inside the block into an InputError.

    With the `opener` of a text file, bytes that are not UTF-8 are reported with their line and offset.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        with readable(path):  # damage may make the bytes wrong before it breaks the stream
            raise (_not_utf8(path, opener) if opener else damaged(path, error)) from None
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise damaged(path, error) from None
    except OSError as error:
        if error.errno is None:  # raised by a decompressor, not by the system
            raise damaged(path, error) from None
        raise InputError(f"Cannot read {shown(path)}: {_reason(error)}.", code="LX-FILE-013") from None


def _not_utf8(path: Path, opener: Opener) -> InputError:
    """Return the error with the line and offset, from a second pass over the file."""
    offset = 0
    start = b""
    with opener(path) as lines:
        for number, line in enumerate(lines, 1):
            start = start or line[:8]
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                hint = next((text for magic, text in _SIGNATURES.items() if start.startswith(magic)), "")
                return InputError(
                    f"{shown(path)} is not UTF-8 text: line {number:,} has the byte "
                    f"0x{line[error.start]:02x} at offset {offset + error.start:,} of the file. "
                    f"{hint or 'Save it as UTF-8.'}",
                    code="LX-FILE-014",
                )
            offset += len(line)
    return InputError(f"{shown(path)} changed while it was read. Try again.", code="LX-FILE-015")
