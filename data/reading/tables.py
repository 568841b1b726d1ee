"""Read Parquet, Arrow and Feather files, and folders that Hugging Face's `datasets` saved.

Labels that are numbers with names (`ClassLabel`) become their names, which `datasets` keeps in the metadata.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import InputError, import_optional
from ...storage.compression import damaged, readable, shown
from ..cells import PART_OF
from ..columns import Row, Rows
from .kinds import DataFile
from .wanted import Wanted

_BATCH, _SMALL_BATCH = 65_536, 1024  # rows that are Python objects at a time
_PURPOSE = {"parquet": "Reading Parquet", "arrow": "Reading Arrow files"}

Names = Mapping[str, Sequence[str]]
"""The names of the labels of a column, by the column."""


def read_table(file: DataFile, wanted: Wanted) -> Rows:
    """Return the rows of a Parquet, Arrow or Feather file.

    Raises InputError, here or while reading, and MissingExtra without pyarrow.
    """
    import_optional("pyarrow", _PURPOSE[file.kind])
    notes: list[str] = []
    types: dict[str, Any] = {}
    rows = _rows(file.path, file.kind, wanted, notes, types, {}, None)
    return Rows(file.name, "row", rows, notes, types=types)


def is_saved_dataset(folder: Path) -> bool:
    """Return whether `datasets` saved a dataset, or several parts of one, to the folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def read_saved_dataset(folder: Path, wanted: Wanted) -> list[Rows]:
    """Return the rows of a folder that `datasets` saved; the parts of a `DatasetDict` are those of the split.

    Raises InputError for a folder that lacks files, and for parts that are called otherwise.
    """
    import_optional("pyarrow", "Reading a saved dataset")
    if not (folder / "dataset_dict.json").is_file():
        return _saved(folder, wanted, None)
    names = _json(folder / "dataset_dict.json").get("splits", [])
    unknown = [name for name in names if name not in PART_OF]
    if unknown:
        raise InputError(
            f"{shown(folder)} has the parts {', '.join(map(shown, names))}; expected {', '.join(PART_OF)}. Name "
            "the folder of one part.",
            code="LX-DATA-076",
        )
    return [rows for name in names for rows in _saved(folder / name, wanted, PART_OF[name])]


def _saved(folder: Path, wanted: Wanted, part: str | None) -> list[Rows]:
    files = [str(one.get("filename")) for one in _json(folder / "state.json").get("_data_files", [])]
    labels = _label_names(_json(folder / "dataset_info.json").get("features"))
    every = []
    for name in files:
        notes: list[str] = []
        types: dict[str, Any] = {}
        rows = _rows(folder / name, "arrow", wanted, notes, types, labels, part)
        every.append(Rows(shown(name), "row", rows, notes, types=types))
    return every


def _json(path: Path) -> dict[str, Any]:
    try:
        with readable(path):
            found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise damaged(path, error) from None
    return found if isinstance(found, dict) else {}


def _rows(
    path: Path,
    kind: str,
    wanted: Wanted,
    notes: list[str],
    types: dict[str, Any],
    labels: Names,
    part: str | None,
) -> Generator[Row, None, None]:
    arrow_error = import_optional("pyarrow", _PURPOSE[kind]).ArrowException
    try:
        with readable(path), _OPENERS[kind](path, wanted) as (schema, batches):
            places = wanted.places(schema.names)
            names = [None if place is None else schema.names[place] for place in places]
            labels = labels or _label_names(_features(schema))
            size = _SMALL_BATCH if wanted.columns.image or wanted.whole else _BATCH
            notes += wanted.notes
            types |= dict(zip(schema.names, schema.types, strict=True)) if wanted.whole else {}
            read = schema.names if wanted.whole else [name for name in names if name is not None]
            first = 1
            for whole in batches(read, size):
                for begin in range(0, whole.num_rows, size):
                    batch = whole.slice(begin, size)
                    nothing = [None] * batch.num_rows
                    cells = [nothing if name is None else _cells(batch, name, labels.get(name)) for name in names]
                    records = _records(path, batch) if wanted.whole else nothing
                    for number, (record, *values) in enumerate(zip(records, *cells, strict=True), first):
                        row = Row(number, *values)
                        row = row if part is None else row._replace(part=part)
                        yield row if record is None else row._replace(record=record)
                    first += batch.num_rows
    except arrow_error as error:
        raise damaged(path, error) from None


def _records(path: Path, batch: Any) -> list[dict[str, Any]]:
    """Return the rows of a batch as they are: the numbers of labels stay numbers."""
    columns = []
    for name in batch.schema.names:
        try:
            columns.append(batch.column(name).to_pylist())
        except (ValueError, OverflowError) as error:  # times with nanoseconds, years beyond 9999
            raise InputError(
                f"{shown(path)}: a value of the column '{shown(name)}' ({batch.schema.field(name).type}) cannot be "
                f"read: {shown(error)}. Convert the column to another type, or leave it out.",
                code="LX-DATA-089",
            ) from None
    return [dict(zip(batch.schema.names, values, strict=True)) for values in zip(*columns, strict=True)]


def _cells(batch: Any, name: str, labels: Sequence[str] | None) -> list[Any]:
    values: list[Any] = batch.column(name).to_pylist()
    return values if labels is None else [_named(value, labels) for value in values]


def _named(value: Any, labels: Sequence[str]) -> Any:
    """Return the name of a label's number, or the names of several; None for -1, which stands for no label."""
    if isinstance(value, list):
        return [_named(one, labels) for one in value]
    return labels[value] if isinstance(value, int) and 0 <= value < len(labels) else None


def _features(schema: Any) -> Any:
    """Return the features that `datasets` notes in the metadata of a schema; None if there are none."""
    noted = (schema.metadata or {}).get(b"huggingface")
    try:
        found = json.loads(noted) if noted else {}
    except ValueError:
        return None
    return found.get("info", {}).get("features") if isinstance(found, dict) else None


def _label_names(features: Any) -> Names:
    """Return the names of labels by their column: of `ClassLabel` and of lists of it."""
    found = {}
    for column, feature in (features or {}).items() if isinstance(features, dict | None) else ():
        inner = feature.get("feature", feature) if isinstance(feature, dict) else feature
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" and isinstance(inner.get("names"), list):
            found[column] = [str(name) for name in inner["names"]]
    return found


@contextmanager
def _parquet(path: Path, wanted: Wanted) -> Iterator[tuple[Any, Any]]:
    parquet = import_optional("pyarrow.parquet", _PURPOSE["parquet"])
    with path.open("rb") as handle, parquet.ParquetFile(handle) as file:
        yield file.schema_arrow, lambda columns, size: file.iter_batches(size, columns=columns)


@contextmanager
def _arrow(path: Path, wanted: Wanted) -> Iterator[tuple[Any, Any]]:
    """Open an Arrow file or stream; Feather files are the first."""
    ipc = import_optional("pyarrow.ipc", _PURPOSE["arrow"])
    with path.open("rb") as handle:
        as_file = handle.read(6) == b"ARROW1"
        handle.seek(0)
        if as_file:
            file = ipc.open_file(handle)
            yield file.schema, lambda columns, size: (file.get_batch(n) for n in range(file.num_record_batches))
        else:
            stream = ipc.open_stream(handle)
            yield stream.schema, lambda columns, size: iter(stream)


_OPENERS = {"parquet": _parquet, "arrow": _arrow}
