"""Rows are written in every format so that they read back as they were, and a file is there whole or not at all."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.columns import Columns
from lexport.data.reading.options import Reading
from lexport.data.whole_rows import open_whole
from lexport.data.writing.kinds import Kind, Seen
from lexport.data.writing.targets import check_target
from lexport.errors import InputError, MissingExtra

from ...refusals import refused
from ..files import parquet, written

Rows = Sequence[Mapping[str, Any]]

TEXT_FORMATS = ["a.csv", "a.tsv", "a.jsonl", "a.csv.gz", "a.tsv.gz", "a.jsonl.gz"]
TABLES = ["a.parquet", "a.arrow"]


def write(path: Path, rows: Rows, columns: Mapping[str, Any] | None = None) -> Path:
    """The rows in a file, with the columns that they are seen to have."""
    seen = Seen()
    for row in rows:
        seen.add(row)
    with check_target(path, option="--out", replace=True).open(columns or seen.columns([])) as writer:
        writer.write(rows)
    return path


def read(path: Path, **reading: Any) -> list[dict[str, Any]]:
    with open_whole(str(path), Columns("text", None), Reading(**reading)) as found:
        return [dict(row.record) for row in found]


# What makes a format's own signs necessary.
CELLS = st.text(st.one_of(st.sampled_from("\"',;\t\n\r |\\ab"), st.characters(exclude_categories=["Cs", "Cc"])))


@pytest.mark.parametrize("name", [*TEXT_FORMATS, *TABLES])
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6))
def test_cells_of_text_read_back_as_they_were(name: str, cells: list[tuple[str, str, str]]) -> None:
    rows = [{"id": one, "text": f"a {text}", "more words": more} for one, text, more in cells]
    with tempfile.TemporaryDirectory() as folder:
        assert read(write(Path(folder) / name, rows)) == rows


VALUES: list[dict[str, Any]] = [
    {"text": "a", "n": 1, "x": 0.1, "yes": True, "tags": ["b", "c"], "v": [1.5, -2.0], "none": None},
    {"text": "b", "n": -(2**40), "x": 2.0, "yes": False, "tags": [], "v": [0.0], "none": None},
    {"text": None, "n": None, "x": None, "yes": None, "tags": None, "v": None, "none": None},
]


@pytest.mark.parametrize("name", ["a.jsonl", *TABLES])
def test_typed_values_read_back_as_they_were(tmp_path: Path, name: str) -> None:
    assert read(write(tmp_path / name, VALUES)) == VALUES


def test_in_cells_of_text_values_are_written_as_json_has_them(tmp_path: Path) -> None:
    first, second, last = read(write(tmp_path / "a.csv", VALUES))
    assert first == {
        "text": "a", "n": "1", "x": "0.1", "yes": "true", "tags": '["b", "c"]', "v": "[1.5, -2.0]", "none": ""
    }  # fmt: skip
    assert second["tags"] == "[]"
    assert set(last.values()) == {""}


@pytest.mark.parametrize("name", TABLES)
def test_a_column_of_several_kinds_is_text_in_a_table(tmp_path: Path, name: str) -> None:
    rows = [
        {"text": "a", "mixed": 1, "numbers": 1, "objects": {"b": [1]}, "large": 2**70},
        {"text": "b", "mixed": "two", "numbers": 0.5, "objects": None, "large": 1},
    ]
    first, second = read(write(tmp_path / name, rows))
    assert first == {"text": "a", "mixed": "1", "numbers": 1.0, "objects": '{"b": [1]}', "large": str(2**70)}
    assert second == {"text": "b", "mixed": "two", "numbers": 0.5, "objects": None, "large": "1"}


def test_rows_may_lack_columns_and_lines_of_json_keep_only_their_own(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": "a", "x": 1}, {"text": "b", "y": 2}]
    assert read(write(tmp_path / "a.jsonl", rows)) == rows
    assert read(write(tmp_path / "a.csv", rows))[1] == {"text": "b", "x": "", "y": "2"}
    assert read(write(tmp_path / "a.parquet", rows))[1] == {"text": "b", "x": None, "y": 2}


def test_half_a_surrogate_pair_is_kept_in_json_and_a_code_elsewhere(tmp_path: Path) -> None:
    rows = [{"text": "a", "note": "x\ud800é"}]
    assert read(write(tmp_path / "a.jsonl", rows)) == rows
    for name in ("a.csv", "a.tsv", "a.parquet"):
        assert read(write(tmp_path / name, rows))[0]["note"] == "x\\ud800é"


def typed_table(path: Path) -> Path:
    arrow = pytest.importorskip("pyarrow")
    columns = {
        "text": arrow.array(["a", "b"], arrow.large_string()),
        "small": arrow.array([1, None], arrow.int8()),
        "half": arrow.array([0.5, 0.25], arrow.float32()),
        "day": arrow.array([dt.date(2026, 1, 31), None], arrow.date32()),
        "time": arrow.array([dt.datetime(2026, 1, 31, 12)] * 2, arrow.timestamp("ms")),
        "price": arrow.array([Decimal("1.50"), None], arrow.decimal128(9, 2)),
        "bytes": arrow.array([b"\x00\xff", None], arrow.binary()),
        "nested": arrow.array([{"a": [1]}, None], arrow.struct([("a", arrow.list_(arrow.int16()))])),
    }
    return parquet(path, **columns)


@pytest.mark.parametrize("name", TABLES)
def test_the_types_of_a_table_stay(tmp_path: Path, name: str) -> None:
    source = typed_table(tmp_path / "typed.parquet")
    with open_whole(str(source), Columns("text", None), Reading()) as found:
        rows = [row.record for row in found]
        write(tmp_path / name, rows, {**found.columns, "new": Kind.NUMBER})
    with open_whole(str(tmp_path / name), Columns("text", None), Reading()) as again:
        assert {**again.columns} == {**found.columns, "new": pytest.importorskip("pyarrow").float64()}
        assert [row.record for row in again] == [{**row, "new": None} for row in rows]


def test_values_that_text_has_no_form_for_are_strings(tmp_path: Path) -> None:
    rows = read(typed_table(tmp_path / "typed.parquet"))
    [first, _] = read(write(tmp_path / "a.jsonl", rows))
    assert (first["day"], first["time"], first["price"]) == ("2026-01-31", "2026-01-31T12:00:00", "1.50")
    assert (first["bytes"], first["nested"]) == ("AP8=", {"a": [1]})
    [first, _] = read(write(tmp_path / "a.csv", rows))
    assert (first["day"], first["bytes"], first["nested"]) == ("2026-01-31", "AP8=", '{"a": [1]}')


def test_columns_that_name_categories_are_written_with_the_names(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    source = parquet(tmp_path / "a.parquet", text=["a", "b"], kind=arrow.array(["x", "y"]).dictionary_encode())
    with open_whole(str(source), Columns("text", None), Reading()) as found:
        write(tmp_path / "b.parquet", [row.record for row in found], found.columns)
    assert [row["kind"] for row in read(tmp_path / "b.parquet")] == ["x", "y"]


def test_many_rows_are_written_in_groups(tmp_path: Path) -> None:
    files = pytest.importorskip("pyarrow.parquet")
    rows: list[dict[str, Any]] = [{"text": f"text {number}", "n": number} for number in range(20_000)]
    write(tmp_path / "a.parquet", rows)
    assert files.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3
    assert read(write(tmp_path / "a.arrow", rows)) == read(tmp_path / "a.parquet") == rows


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_the_same_rows_make_the_same_bytes(tmp_path: Path, name: str) -> None:
    (tmp_path / "other").mkdir()
    one, other = (write(folder / name, VALUES).read_bytes() for folder in (tmp_path, tmp_path / "other"))
    assert one == other
    assert name.endswith(".gz") == (one[:2] == b"\x1f\x8b")


def test_a_line_of_json_is_a_row_and_utf_8_is_not_escaped(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", [{"text": "汤\u2028\n"}, {"text": "b"}])
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")
    assert [json.loads(line)["text"] for line in lines[:-1]] == ["汤\u2028\n", "b"]
    assert "汤" in lines[0]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl.gz", "a.parquet", "a.arrow"])
def test_after_an_error_the_old_file_is_there_and_nothing_new(tmp_path: Path, name: str) -> None:
    written(tmp_path / name, "old")
    target = check_target(tmp_path / name, option="--out", replace=True)

    def interrupted() -> None:
        with target.open({"text": Kind.TEXT}) as writer:
            writer.write([{"text": "half"}])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / name).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a", "a.txt", "a.xlsx", "a.parquet.gz", "a.csv.xz", "a.gz", ".csv"])
def test_a_name_that_says_no_format_is_refused(tmp_path: Path, name: str) -> None:
    with refused(InputError, "LX-DATA-090", "--out", name, ".csv, .tsv, .jsonl", ".parquet, .arrow"):
        check_target(tmp_path / name, option="--out", replace=False)


def test_a_file_that_is_there_is_replaced_only_on_request(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", "old")
    with refused(InputError, "LX-FILE-001", "a.csv exists already", "--force"):
        check_target(tmp_path / "a.csv", option="--out", replace=False)
    check_target(tmp_path / "a.csv", option="--out", replace=True)
    (tmp_path / "b.csv").mkdir()
    with refused(InputError, "LX-FILE-003", "b.csv"):
        check_target(tmp_path / "b.csv", option="--out", replace=True)
    with refused(InputError, "LX-FILE-004", "a.csv"):
        check_target(tmp_path / "a.csv" / "c.csv", option="--out", replace=False)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_pyarrow_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with refused(MissingExtra, "LX-INSTALL-002", "Writing ", "pyarrow", 'pip install "lexport[parquet]"'):
        check_target(tmp_path / name, option="--out", replace=False)
    check_target(tmp_path / "a.csv", option="--out", replace=False)
