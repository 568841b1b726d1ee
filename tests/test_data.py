"""Rows become a clean dataset, or one clear line says why they cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.models.data import Dataset, digest, load, require_classes


def refusal(path: Path | str, **columns: Any) -> str:
    """The message with which `load` refuses `path`: always one line of an InputError."""
    with pytest.raises(InputError) as caught:
        load(str(path), **columns)
    message = str(caught.value)
    assert message.isprintable()
    return message


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(*items: Any) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


def parquet(path: Path, **columns: Any) -> Path:
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table(columns), path)
    return path


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "id,review,stars\n1,fine,5\n2,bad,1\n")
    dataset = load(str(path), text_column="review", label_column="stars")
    assert (dataset.texts, dataset.labels) == (["fine", "bad"], ["5", "1"])


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_without_a_label_column_only_texts_are_read(tmp_path: Path, name: str) -> None:
    if name == "a.parquet":
        path = parquet(tmp_path / name, text=["x", "y", "x"])
    else:
        path = written(tmp_path / name, {"a.csv": "text\nx\ny\nx\n"}.get(name, '{"text":"x"}\n{"text":"y"}\n'))
    dataset = load(str(path), label_column=None)
    assert (dataset.texts, dataset.labels) == (["x", "y"], ["", ""])


@pytest.mark.parametrize(
    ("value", "label"),
    [(1, "1"), (1.0, "1"), (-0.0, "0"), (0.5, "0.5"), (True, "true"), (False, "false"), (" a b ", "a b")],
)
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_numbers_and_truth_values_become_labels(tmp_path: Path, value: Any, label: str, form: str) -> None:
    if form == "jsonl":
        path = written(tmp_path / "a.jsonl", jsonl({"text": "x", "label": value}))
    else:
        path = parquet(tmp_path / "a.parquet", text=["x"], label=[value])
    assert load(str(path)).labels == [label]


def test_cleaning_keeps_the_first_copy_and_none_of_a_contradiction(tmp_path: Path) -> None:
    rows = [("b", "1"), ("a", "0"), (" b\u3000", "1"), ("x", "1"), ("", ""), ("x", "0"), ("x", "1"), ("\u00a0", "1")]
    path = written(tmp_path / "a.jsonl", jsonl(*({"text": text, "label": label} for text, label in rows)))
    dataset = load(str(path))
    assert (dataset.texts, dataset.labels) == (["b", "a"], ["1", "0"])
    assert dataset.dropped == {"duplicates": 1, "conflicting": 3, "empty": 2}


def test_a_null_text_is_an_empty_one(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", jsonl({"text": None, "label": 1}, {"text": "x", "label": 1}))
    assert load(str(path)).dropped["empty"] == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", " ", "a", "a ", "b", "c"]), st.sampled_from("01")), min_size=1))
def test_every_row_is_kept_or_counted(tmp_path_factory: Any, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    rows = [*rows, ("kept", "1")]
    dataset = load(str(written(path, jsonl(*({"text": text, "label": label} for text, label in rows)))))
    assert len(dataset) + sum(dataset.dropped.values()) == len(rows)
    stripped = [(text.strip(), label) for text, label in rows]
    known = {text: {label for other, label in stripped if other == text} for text, _ in stripped if text}
    kept = [(text, *labels) for text, labels in known.items() if len(labels) == 1]
    assert list(zip(dataset.texts, dataset.labels, strict=True)) == kept


def test_the_digest_tells_rows_orders_and_borders_apart() -> None:
    rows = [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", "")]
    digests = {digest([text], [label]) for text, label in rows}
    digests |= {digest(["a", "b"], ["1", "1"]), digest(["b", "a"], ["1", "1"]), digest([], [])}
    assert len(digests) == 7
    assert all(len(value) == 64 for value in digests)


def test_a_file_that_is_not_there_names_what_data_may_be(tmp_path: Path) -> None:
    message = refusal(tmp_path / "no.csv")
    assert f"There is no file {tmp_path}/no.csv and no sample set of that name" in message
    assert ".parquet" in message
    assert "rotten-tomatoes, imdb, bbc-news, chinese-reviews" in message


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", "is a folder"),
        ("a\0b.csv", "embedded null"),
        ("x" * 5000 + ".csv", "File name too long"),
        ("/dev/null", "not a regular file"),
        ("\udcff.csv", r"\udcff.csv"),
        ("a\nb.csv", r"a\nb.csv"),
    ],
)
def test_odd_paths_are_named_on_one_line(data: str, expected: str) -> None:
    assert expected in refusal(data)


def test_a_header_alone_is_not_enough(tmp_path: Path) -> None:
    assert "columns but no rows" in refusal(written(tmp_path / "a.csv", "text,label\n"))
    assert "columns but no rows" in refusal(parquet(tmp_path / "a.parquet", text=[], label=[]))


def test_nothing_left_after_cleaning_says_where_it_went(tmp_path: Path) -> None:
    message = refusal(written(tmp_path / "a.csv", "text,label\n ,1\nx,1\nx,0\n"))
    assert "none of its 3 rows can be used: 1 with a blank text, 2 with a text that also has another label" in message


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"text_column": "body"},
            "no column 'body'; its columns are: text, label. Name the right one with --text-column",
        ),
        (
            {"label_column": "class"},
            "no column 'class'; its columns are: text, label. Name the right one with --label",
        ),
        ({"text_column": "label"}, "'label' is named for both text and label"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_an_unknown_column_lists_those_found(
    tmp_path: Path, name: str, columns: dict[str, str], expected: str
) -> None:
    if name == "a.parquet":
        path = parquet(tmp_path / name, text=["x"], label=["1"])
    else:
        path = written(
            tmp_path / name, "text,label\nx,1\n" if name == "a.csv" else jsonl({"text": "x", "label": "1"})
        )
    assert expected in refusal(path, **columns)


@pytest.mark.parametrize("missing", ['{"text": "y"}', '{"text": "y", "label": null}', '{"text": "y", "label": " "}'])
def test_missing_labels_are_counted_and_placed(tmp_path: Path, missing: str) -> None:
    content = jsonl({"text": "x", "label": "1"}) + (missing + "\n") * 12
    message = refusal(written(tmp_path / "a.jsonl", content))
    assert "12 of 13 rows have a text but no label (lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more)" in message


def test_missing_labels_in_csv_and_parquet(tmp_path: Path) -> None:
    assert "1 of 2 rows have a text but no label (line 3)" in refusal(
        written(tmp_path / "a.csv", "text,label\nx,1\ny,\n")
    )
    assert "2 of 3 rows have a text but no label (rows 2, 3)" in refusal(
        parquet(tmp_path / "a.parquet", text=["x", "y", "z"], label=[1.0, None, float("nan")])
    )


def test_a_whole_surrogate_pair_is_a_character(tmp_path: Path) -> None:
    assert load(str(written(tmp_path / "a.jsonl", '{"text": "\\ud83d\\ude00", "label": 1}\n'))).texts == ["😀"]


def test_parquet_values_that_are_no_text_are_placed(tmp_path: Path) -> None:
    assert "row 2: the text is b'x' (bytes)" in refusal(
        parquet(tmp_path / "a.parquet", text=[None, b"x"], label=["1", "1"])
    )
    arrow = pytest.importorskip("pyarrow")
    broken = arrow.Array.from_buffers(arrow.string(), 1, arrow.array([b"\xff"]).buffers())
    assert "is damaged" in refusal(parquet(tmp_path / "b.parquet", text=broken, label=["1"]))


def test_one_class_is_nothing_to_learn() -> None:
    one = Dataset(["x", "y"], ["a", "a"], "mine.csv", "")
    with pytest.raises(InputError, match=r"mine\.csv: all 2 texts have the label 'a'; at least two"):
        require_classes(one)
    require_classes(Dataset(["x", "y"], ["a", "b"], "mine.csv", ""))


@pytest.mark.timeout(60)
def test_a_large_file_takes_seconds_not_minutes(tmp_path: Path) -> None:
    count = 200_000
    rows = "".join(f"text number {n} with a few words,{n % 7}\n" for n in range(count))
    assert len(load(str(written(tmp_path / "a.csv", "text,label\n" + rows)))) == count


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": 5, "label": 1}', "the text is 5 (int); a string was expected"),
        ('{"text": ["x"], "label": 1}', "the text is ['x'] (list)"),
        ('{"text": "x", "label": ["a", "b"]}', "the label is ['a', 'b'] (list); one string or number"),
        ('{"text": "x", "label": "\\ude00"}', "the label has half of a surrogate pair (U+DE00) at character 1"),
        (
            '{"text": "ab\\ud83d", "label": 1}',
            "the text has half of a surrogate pair (U+D83D) at character 3",
        ),
    ],
)
def test_values_that_cannot_be_used_are_placed(tmp_path: Path, line: str, expected: str) -> None:
    message = refusal(written(tmp_path / "a.jsonl", '{"text": "first", "label": 1}\n' + line + "\n"))
    assert "a.jsonl, line 2: the " in message
    assert expected in message
