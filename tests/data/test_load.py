"""Rows become a clean dataset, or one clear line says why they cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data import cleaning
from lexport.data.load import Columns, Reading, label_sets, load, of_texts
from lexport.errors import InputError

from ..refusals import refused
from .files import jsonl, parquet, written


def refusal(code: str, path: Path | str, *, multi_label: bool = False, **columns: Any) -> str:
    """The message with which `load` refuses `path`: always one line of an InputError with this code."""
    with refused(InputError, code) as caught:
        load(str(path), Columns(**columns), multi_label=multi_label)
    message = str(caught.value)
    assert message.isprintable()
    return message


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "id,review,stars\n1,fine,5\n2,bad,1\n")
    dataset = load(str(path), Columns(text="review", label="stars"))
    assert (dataset.texts, dataset.labels) == (["fine", "bad"], ["5", "1"])


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_without_a_label_column_only_texts_are_read(tmp_path: Path, name: str) -> None:
    if name == "a.parquet":
        path = parquet(tmp_path / name, text=["x", "y", "x"])
    else:
        path = written(tmp_path / name, {"a.csv": "text\nx\ny\nx\n"}.get(name, '{"text":"x"}\n{"text":"y"}\n'))
    dataset = load(str(path), Columns(label=None))
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


CELLS = [None, "", " ", "a", "a ", "b", "goal rain", "é", "\ud800", 7, ["a"]]
LABELS = [None, "", "0", " 0", "1", 1, ["1"], '["1"]', True]


@given(
    st.lists(st.tuples(st.sampled_from(CELLS), st.sampled_from(LABELS))),
    st.builds(
        Reading,
        duplicates=st.sampled_from(["drop", "keep"]),
        conflicts=st.sampled_from(["drop", "keep", "vote"]),
        drop_unlabelled=st.booleans(),
        skip_bad_rows=st.sampled_from([0, 100]),
        map_labels=st.sampled_from([{}, {"0": "1"}, {"1": ""}]),
    ),
    st.booleans(),
)
def test_plain_rows_are_kept_as_all_others_are(rows: list[tuple[Any, Any]], reading: Reading, labelled: bool) -> None:
    texts, labels = [text for text, _ in rows], [label for _, label in rows] if labelled else None

    def found() -> Any:
        try:
            dataset = of_texts(texts, labels, reading=reading)
        except InputError as error:
            return str(error)
        return dataset, dataset.notes

    plain = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cleaning._Cleaner, "_all_but_plain", lambda _, every: every)
        assert plain == found()


def test_a_file_that_is_not_there_names_what_data_may_be(tmp_path: Path) -> None:
    message = refusal("LX-DATA-012", tmp_path / "no.csv")
    assert f"There is no file {tmp_path}/no.csv and no sample set of that name" in message
    assert ".parquet" in message
    assert "rotten-tomatoes, imdb, bbc-news, chinese-reviews, multilingual-reviews, digit-captions" in message


@pytest.mark.parametrize(
    ("data", "expected", "code"),
    [
        ("", "no file without a name", "LX-DATA-012"),
        ("a\0b.csv", "embedded null", "LX-FILE-008"),
        ("x" * 5000 + ".csv", "File name too long", "LX-FILE-008"),
        ("/dev/null", "not a regular file", "LX-FILE-010"),
        ("\udcff.csv", r"\udcff.csv", "LX-DATA-012"),
        ("a\nb.csv", r"a\nb.csv", "LX-DATA-012"),
    ],
)
def test_odd_paths_are_named_on_one_line(data: str, expected: str, code: str) -> None:
    assert expected in refusal(code, data)


def test_a_header_alone_is_not_enough(tmp_path: Path) -> None:
    assert "columns but no rows" in refusal("LX-DATA-014", written(tmp_path / "a.csv", "text,label\n"))
    assert "columns but no rows" in refusal("LX-DATA-014", parquet(tmp_path / "a.parquet", text=[], label=[]))


def test_nothing_left_after_cleaning_says_where_it_went(tmp_path: Path) -> None:
    message = refusal("LX-DATA-014", written(tmp_path / "a.csv", "text,label\n ,1\nx,1\nx,0\n"))
    assert "none of its 3 rows can be used: 1 with a blank text, 2 with a text that also has another label" in message


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        ({"text": "body"}, ("LX-DATA-019", "'body'", "text, label", "--text-column")),
        ({"label": "class"}, ("LX-DATA-019", "'class'", "text, label", "--label-column")),
        ({"text": "label"}, ("LX-DATA-011", "'label'", "text", "label")),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_an_unknown_column_lists_those_found(
    tmp_path: Path, name: str, columns: dict[str, Any], error: tuple[str, ...]
) -> None:
    if name == "a.parquet":
        path = parquet(tmp_path / name, text=["x"], label=["1"])
    else:
        path = written(
            tmp_path / name, "text,label\nx,1\n" if name == "a.csv" else jsonl({"text": "x", "label": "1"})
        )
    with refused(InputError, *error):
        load(str(path), Columns(**columns))


@pytest.mark.parametrize("missing", ['{"text": "y"}', '{"text": "y", "label": null}', '{"text": "y", "label": " "}'])
def test_missing_labels_are_counted_and_placed(tmp_path: Path, missing: str) -> None:
    content = jsonl({"text": "x", "label": "1"}) + (missing + "\n") * 12
    message = refusal("LX-DATA-013", written(tmp_path / "a.jsonl", content))
    assert "12 of 13 rows have a text but no label (lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more)" in message


def test_missing_labels_in_csv_and_parquet(tmp_path: Path) -> None:
    assert "1 of 2 rows have a text but no label (line 3)" in refusal(
        "LX-DATA-013", written(tmp_path / "a.csv", "text,label\nx,1\ny,\n")
    )
    assert "2 of 3 rows have a text but no label (rows 2, 3)" in refusal(
        "LX-DATA-013", parquet(tmp_path / "a.parquet", text=["x", "y", "z"], label=[1.0, None, float("nan")])
    )


def test_a_whole_surrogate_pair_is_a_character(tmp_path: Path) -> None:
    assert load(str(written(tmp_path / "a.jsonl", '{"text": "\\ud83d\\ude00", "label": 1}\n'))).texts == ["😀"]


def test_parquet_values_that_are_no_text_are_placed(tmp_path: Path) -> None:
    assert "row 2: the text is b'x' (bytes)" in refusal(
        "LX-DATA-001", parquet(tmp_path / "a.parquet", text=[None, b"x"], label=["1", "1"])
    )
    arrow = pytest.importorskip("pyarrow")
    broken = arrow.Array.from_buffers(arrow.string(), 1, arrow.array([b"\xff"]).buffers())
    assert "is damaged" in refusal("LX-FILE-012", parquet(tmp_path / "b.parquet", text=broken, label=["1"]))


@pytest.mark.timeout(60)
def test_a_large_file_takes_seconds_not_minutes(tmp_path: Path) -> None:
    count = 200_000
    rows = "".join(f"text number {n} with a few words,{n % 7}\n" for n in range(count))
    assert len(load(str(written(tmp_path / "a.csv", "text,label\n" + rows)))) == count


@pytest.mark.parametrize(
    ("line", "expected", "code"),
    [
        ('{"text": 5, "label": 1}', "the text is 5 (int); expected a string", "LX-DATA-001"),
        ('{"text": ["x"], "label": 1}', "the text is ['x'] (list)", "LX-DATA-001"),
        (
            '{"text": "x", "label": ["a", "b"]}',
            "the label is ['a', 'b'] (list); expected one string or number",
            "LX-DATA-002",
        ),
        (
            '{"text": "x", "label": "\\ude00"}',
            "the label has half of a surrogate pair (U+DE00) at character 1",
            "LX-DATA-006",
        ),
        (
            '{"text": "ab\\ud83d", "label": 1}',
            "the text has half of a surrogate pair (U+D83D) at character 3",
            "LX-DATA-006",
        ),
    ],
)
def test_values_that_cannot_be_used_are_placed(tmp_path: Path, line: str, expected: str, code: str) -> None:
    message = refusal(code, written(tmp_path / "a.jsonl", '{"text": "first", "label": 1}\n' + line + "\n"))
    assert "a.jsonl, line 2: the " in message
    assert expected in message


def test_languages_are_read_and_the_same_text_in_two_is_two(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,label,lang\nno,1, en \nno,0,es\nno,0,es\nfin,1,es\nfin,0,es\n")
    dataset = load(str(path), Columns(language="lang"))
    assert (dataset.texts, dataset.labels, dataset.languages) == (["no", "no"], ["1", "0"], ["en", "es"])
    assert dataset.dropped == {"duplicates": 1, "conflicting": 2, "empty": 0}


@pytest.mark.parametrize("missing", [{}, {"lang": None}, {"lang": " "}])
def test_missing_languages_are_counted_and_placed(tmp_path: Path, missing: dict[str, Any]) -> None:
    rows = [{"text": "x", "label": 1, "lang": "en"}, *({"text": "y", "label": 1, **missing} for _ in range(2))]
    message = refusal("LX-DATA-013", written(tmp_path / "a.jsonl", jsonl(*rows)), language="lang")
    assert "2 of 3 rows have a text but no language (lines 2, 3). Fill in the languages" in message


@pytest.mark.parametrize("value", [5, ["en"], "a text that somebody named by mistake for a language"])
def test_what_is_no_language_is_placed(tmp_path: Path, value: Any) -> None:
    path = written(tmp_path / "a.jsonl", jsonl({"text": "x", "lang": value}))
    message = refusal("LX-DATA-004", path, label=None, language="lang")
    assert "a.jsonl, line 1: the language is" in message
    assert "expected a short string such as en. Name another --language-column" in message


def test_pairs_need_both_texts(tmp_path: Path) -> None:
    rows = [("a", "x"), ("a", "y"), ("a", "x"), ("b", ""), ("", "x"), ("c", None), (" d ", " z ")]
    path = written(tmp_path / "a.jsonl", jsonl(*({"q": first, "a": second} for first, second in rows), {"q": "e"}))
    dataset = load(str(path), Columns(text="q", label=None, pair="a"))
    assert (dataset.texts, dataset.pairs, dataset.labels) == (["a", "a", "d"], ["x", "y", "z"], ["", "", ""])
    assert dataset.dropped == {"duplicates": 1, "conflicting": 0, "empty": 4}


def test_pairs_may_have_labels_which_contradict_one_another_on_the_same_pair_alone(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,pair,label\na,x,1\na,y,0\nb,x,1\nb,x,0\n")
    dataset = load(str(path), Columns(pair="pair"))
    assert (dataset.texts, dataset.pairs, dataset.labels) == (["a", "a"], ["x", "y"], ["1", "0"])
    assert dataset.dropped["conflicting"] == 2


def test_a_second_text_that_is_none_is_placed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", jsonl({"text": "x", "b": 7}))
    message = refusal("LX-DATA-001", path, label=None, pair="b")
    assert "line 1: the pair is 7 (int); expected a string. Put it into quotes or name another --pair-" in message


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_images_are_read_alike_from_every_format(tmp_path: Path, form: str) -> None:
    images = [[0.0, 255.0, -1.5], [1.0, 2.0, 3.0]]
    path = tmp_path / f"a.{form}"
    match form:
        case "csv":
            written(path, 'text,label,pixels\nx,1,"0, 255.0,-1.5"\ny,0," 1 2\n3"\n')
        case "tsv":
            written(path, "text\tlabel\tpixels\nx\t1\t[0.0, 255.0, -1.5]\ny\t0\t1e0 2 3\n")
        case "jsonl":
            texts = [{"text": "x", "label": 1}, {"text": "y", "label": 0}]
            written(path, jsonl(*(row | {"pixels": image} for row, image in zip(texts, images, strict=True))))
        case "parquet":
            parquet(path, text=["x", "y"], label=[1, 0], pixels=images)
    dataset = load(str(path), Columns(image="pixels"))
    assert dataset.images is not None
    assert dataset.images.dtype == np.float32
    assert dataset.images.flags.writeable
    np.testing.assert_array_equal(dataset.images, images)


def test_a_caption_may_stand_for_many_images_and_an_image_have_many_captions(tmp_path: Path) -> None:
    rows = [("a cat", [1], 1), ("a cat", [2], 1), ("a cat", [1], 1), ("cat", [1], 1), ("", [7], 1)]
    path = written(tmp_path / "a.jsonl", jsonl(*({"text": t, "image": i, "label": c} for t, i, c in rows)))
    dataset = load(str(path), Columns(image="image"))
    assert dataset.texts == ["a cat", "a cat", "cat"]
    assert dataset.images is not None
    assert dataset.images.tolist() == [[1], [2], [1]]
    assert dataset.dropped == {"duplicates": 1, "conflicting": 0, "empty": 1}


def test_two_labels_for_one_image_take_out_all_its_captions(tmp_path: Path) -> None:
    rows = [("a cat", [1], 1), ("a dog", [1], 0), ("a cat", [2], 1), ("a cat", [3], 0)]
    lines = jsonl(*({"text": t, "image": i, "label": c} for t, i, c in rows))
    path = written(tmp_path / "a.jsonl", lines)
    dataset = load(str(path), Columns(image="image"))
    assert (dataset.texts, dataset.labels) == (["a cat", "a cat"], ["1", "0"])
    assert dataset.dropped["conflicting"] == 2
    assert len(load(str(path), Columns(label=None, image="image"))) == 4
    first_two = written(tmp_path / "b.jsonl", "".join(lines.splitlines(keepends=True)[:2]))
    assert "2 with an image that also has another label" in refusal("LX-DATA-014", first_two, image="image")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([], "[] (list)"),
        ("1 two", "1 two (str)"),
        (7, "7 (int)"),
        ([[1, 2]], "[[1, 2]] (list)"),
        ([1, None], "[1, None] (list)"),
        ([True], "[True] (list)"),
        (["1"], "['1'] (list)"),
        ([1e39], "[1e+39] (list)"),
        ([1e10], "[10000000000.0] (list)"),
        ([10**400], "[1000"),
        ("nan", "nan (str)"),
        ({"a": 1}, "{'a': 1} (dict)"),
    ],
)
def test_what_is_no_image_is_placed(tmp_path: Path, value: Any, shown: str) -> None:
    path = written(tmp_path / "a.jsonl", jsonl({"text": "x", "image": [1]}, {"text": "x", "image": value}))
    message = refusal("LX-DATA-005", path, label=None, image="image")
    assert f"a.jsonl, line 2: the image is {shown}" in message
    assert "expected a list of finite numbers" in message


@pytest.mark.parametrize("missing", [{}, {"image": None}, {"image": " "}])
def test_missing_images_are_counted_and_placed(tmp_path: Path, missing: dict[str, Any]) -> None:
    path = written(tmp_path / "a.jsonl", jsonl({"text": "x", "image": [1]}, {"text": "y", **missing}))
    message = refusal("LX-DATA-013", path, label=None, image="image")
    assert "1 of 2 rows have a text but no image (line 2). Fill in the images" in message


def test_images_of_two_sizes_are_placed_both(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,image\n,\nx,1 2\ny,3 4\nz,5 6 7\n")
    message = refusal("LX-DATA-015", path, label=None, image="image")
    assert "a.csv, line 5: the image has 3 values, that of a.csv, line 3 has 2; all must have the same" in message


def test_several_labels_become_one_string_however_they_are_written(tmp_path: Path) -> None:
    cells = ["b|a", ["a", "b", "a"], " a | b ", [1, "x", True], "", None, [], "solo", 7]
    expected = ["a|b", "a|b", "a|b", "1|true|x", "", "", "", "solo", "7"]
    items = [{"text": f"text {number}", "label": cell} for number, cell in enumerate(cells)]
    dataset = load(str(written(tmp_path / "a.jsonl", jsonl(*items))), multi_label=True)
    assert dataset.labels == expected
    assert label_sets(dataset)[:5] == [("a", "b")] * 3 + [("1", "true", "x"), ()]


def test_lists_of_labels_are_read_from_parquet_too(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", text=["x", "y", "z"], label=[["b", "a"], None, []])
    assert load(str(path), multi_label=True).labels == ["a|b", "", ""]


def test_the_same_text_with_other_labels_contradicts_itself(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,label\nx,a|b\nx,b|a\ny,a\ny,a|b\nz,\nz,a\n")
    dataset = load(str(path), multi_label=True)
    assert (dataset.texts, dataset.labels) == (["x"], ["a|b"])
    assert dataset.dropped == {"duplicates": 1, "conflicting": 4, "empty": 0}


@pytest.mark.parametrize(
    ("value", "expected", "code"),
    [
        (["a|b", "c"], "the label a|b contains '|', the separator of labels. Rename it.", "LX-DATA-003"),
        ([["a", "b"]], "the label is ['a', 'b'] (list); expected one string or number", "LX-DATA-002"),
        ({"a": 1}, "the label is {'a': 1} (dict)", "LX-DATA-002"),
        (["\ude00"], "the label has half of a surrogate pair", "LX-DATA-006"),
    ],
)
def test_what_is_no_list_of_labels_is_placed(tmp_path: Path, value: Any, expected: str, code: str) -> None:
    path = written(tmp_path / "a.jsonl", jsonl({"text": "x", "label": value}))
    assert f"a.jsonl, line 1: {expected}" in refusal(code, path, multi_label=True)


@pytest.mark.parametrize("field", ["language", "pair", "image"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_every_further_column_must_be_there_under_a_name_of_its_own(tmp_path: Path, name: str, field: str) -> None:
    if name == "a.parquet":
        path = parquet(tmp_path / name, text=["x"], label=["1"])
    else:
        path = written(tmp_path / name, "text,label\nx,1\n" if name == "a.csv" else '{"text": "x", "label": "1"}\n')
    other: dict[str, Any] = {field: "other"}
    text: dict[str, Any] = {field: "text"}
    expected = f"no column 'other'. Its columns are: text, label. Name the right one with --{field}-column"
    assert expected in refusal("LX-DATA-019", path, **other)
    assert f"'text' is named for both text and {field}. Give --text-column and --{field}-" in refusal(
        "LX-DATA-011", path, **text
    )
