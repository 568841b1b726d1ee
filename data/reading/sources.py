"""Open what the user names as data: files, patterns, folders, standard input."""

from __future__ import annotations

import glob
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from ...errors import InputError
from ...messages.nearest import did_you_mean
from ...storage.compression import listed, shown
from ..cells import PART_OF
from ..columns import Columns, Row, Rows
from ..samples import SAMPLES
from .bad_rows import BadRows
from .delimited import read_delimited
from .folders import read_folder
from .json_lines import read_json, read_json_lines
from .kinds import ACCEPTED, ENDINGS, identify
from .labelled_lines import read_labelled_lines
from .options import Reading
from .tables import is_saved_dataset, read_saved_dataset, read_table
from .wanted import Wanted

STDIN = "-"
"""The name that stands for standard input."""


@contextmanager
def find_paths(names: Sequence[str]) -> Iterator[list[Path]]:
    """Context manager: the paths that `names` are: files, patterns such as `data/*.csv`, folders, `-`.

    Standard input is a temporary file inside the block. Raises InputError for what is not there.
    """
    with ExitStack() as stack:
        yield list(_paths(names, stack))


@contextmanager
def open_paths(
    paths: Sequence[Path], columns: Columns, reading: Reading, bad: BadRows, *, whole: bool = False
) -> Iterator[list[Rows]]:
    """Context manager: the rows of everything at `paths`; `whole` rows have all of their cells (`Row.record`).

    `bad` takes the rows that cannot be read. Raises InputError, here or while the rows are read, and MissingExtra if
    a package is missing.
    """
    with ExitStack() as stack:
        found: list[Rows] = []
        for path in paths:
            found += _open(Wanted(path, columns, whole), reading, bad)
        for rows in found:
            stack.callback(rows.rows.close)
        yield found


def _paths(names: Sequence[str], stack: ExitStack) -> Iterator[Path]:
    for name in names:
        path = Path(name)
        if name == STDIN:
            yield _stdin(stack)
        elif name and _exists(path):
            yield path
        elif glob.has_magic(name):
            # Path.glob takes no absolute pattern.
            matching = sorted(Path(one) for one in glob.glob(name, recursive=True))  # noqa: PTH207
            if not matching:
                raise InputError(f"No file matches {shown(path)}. Check the pattern.", code="LX-DATA-078")
            yield from matching
        else:
            raise InputError(
                f"There is no file {shown(path) if name else 'without a name'} and no sample set of that name."
                f"{did_you_mean(name, [*SAMPLES, *_beside(path)])} DATA is a file ({ACCEPTED}), a folder, - for "
                f"standard input, or one of {listed(SAMPLES)}.",
                code="LX-DATA-012",
            )


def _beside(path: Path) -> list[str]:
    """Return the files in the folder of a file that is not there."""
    try:
        return [str(one) for one in path.parent.iterdir()]
    except (OSError, ValueError):
        return []


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        pass  # the reader reports the error
    return True


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False  # the reader reports the error


def _stdin(stack: ExitStack) -> Path:
    """Return a temporary file with what comes from standard input: its content is read more than once."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lexport-")))
    path = folder / "stdin"
    with path.open("wb") as handle:
        shutil.copyfileobj(sys.stdin.buffer, handle)
    return path


def _open(wanted: Wanted, reading: Reading, bad: BadRows) -> list[Rows]:
    path = wanted.path
    if _is_folder(path):
        if is_saved_dataset(path):
            return read_saved_dataset(path, wanted)
        parts = _files_of_parts(path)
        if parts:
            return [
                replace(rows, rows=_with_part(rows, part))
                for file, part in parts
                for rows in _open(replace(wanted, path=file, notes=[]), reading, bad)
            ]
        return [read_folder(path, reading)]
    file = identify(path)
    match file.kind:
        case "lines":
            return [read_json_lines(file, wanted, reading, bad)]
        case "json":
            return [read_json(file, wanted, reading, bad)]
        case "labelled":
            return [read_labelled_lines(file, reading)]
        case "delimited":
            return [read_delimited(file, wanted, reading, bad)]
    return [read_table(file, wanted)]


def _files_of_parts(folder: Path) -> list[tuple[Path, str]]:
    """Return the data files in a folder that are called after parts, such as train.csv and test.csv."""
    found = []
    for path in sorted(folder.iterdir()):
        part = PART_OF.get(path.name.partition(".")[0].lower())
        if path.is_file() and part is not None and any(ending in ENDINGS for ending in path.suffixes):
            found.append((path, part))
    names = [part for _, part in found]
    if len(names) > len(set(names)):
        raise InputError(
            f"{shown(folder)} has several files for one part: {listed(path.name for path, _ in found)}. Name "
            "the files.",
            code="LX-DATA-079",
        )
    return found


def _with_part(rows: Rows, part: str) -> Generator[Row, None, None]:
    for row in rows.rows:
        yield row._replace(part=part)
