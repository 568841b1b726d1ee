"""Write rows as Parquet or as an Arrow file, in groups of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Any

from ...errors import import_optional
from .kinds import Columns, Kind, as_text, encodable

_GROUP = 8192  # rows that are held


class ArrowRows:
    """Rows in typed columns."""

    PURPOSE = "Writing Arrow files"

    def __init__(self, handle: IO[bytes], columns: Columns) -> None:
        """Write to `handle`. Raises MissingExtra without pyarrow."""
        self._arrow = import_optional("pyarrow", self.PURPOSE)
        self._kinds = columns
        self._schema = self._arrow.schema([(encodable(name), self._type(kind)) for name, kind in columns.items()])
        self._writer = self._open(handle)
        self._held: list[Mapping[str, Any]] = []

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows, a whole group at a time; a cell that a row does not have is null."""
        for row in rows:
            self._held.append(row)
            if len(self._held) == _GROUP:
                self._write_group()

    def close(self) -> None:
        """Write the rows that are held, and the end of the file."""
        try:
            if self._held:
                self._write_group()
        finally:
            self._writer.close()

    def _open(self, handle: IO[bytes]) -> Any:
        return import_optional("pyarrow.ipc", self.PURPOSE).new_file(handle, self._schema)

    def _write_group(self) -> None:
        rows, self._held = self._held, []
        columns = [
            self._arrow.array([_value(row.get(name), kind) for row in rows], type=field.type)
            for field, (name, kind) in zip(self._schema, self._kinds.items(), strict=True)
        ]
        self._writer.write_batch(self._arrow.record_batch(columns, schema=self._schema))

    def _type(self, kind: Any) -> Any:
        arrow = self._arrow
        types = {
            Kind.TRUTH: arrow.bool_(),
            Kind.WHOLE: arrow.int64(),
            Kind.NUMBER: arrow.float64(),
            Kind.TEXTS: arrow.list_(arrow.string()),
            Kind.NUMBERS: arrow.list_(arrow.float64()),
        }
        return types.get(kind, arrow.string()) if isinstance(kind, Kind) else _plain_type(arrow, kind)


class ParquetRows(ArrowRows):
    """Rows in a Parquet file, a row group for each group."""

    PURPOSE = "Writing Parquet"

    def _open(self, handle: IO[bytes]) -> Any:
        return import_optional("pyarrow.parquet", self.PURPOSE).ParquetWriter(handle, self._schema)


def _plain_type(arrow: Any, kind: Any) -> Any:
    """Return an Arrow type without dictionaries and extensions, which cannot be made of Python's values."""
    types = arrow.types
    if isinstance(kind, arrow.BaseExtensionType):
        return _plain_type(arrow, kind.storage_type)
    if types.is_dictionary(kind):
        return _plain_type(arrow, kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return arrow.list_(_plain_type(arrow, kind.value_type))
    if types.is_struct(kind):
        return arrow.struct([(field.name, _plain_type(arrow, field.type)) for field in kind])
    return kind


def _value(value: Any, kind: Any) -> Any:
    match kind:
        case Kind.TEXT | Kind.MIXED:
            return None if value is None else as_text(value)
        case Kind.TEXTS:
            return None if value is None else [encodable(one) for one in value]
    return value
