"""How files are written is found from them and stated; what the user says comes first."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.load import Columns, Dataset, Reading, load
from lexport.errors import InputError

from ...refusals import refused

TEXTS = ["a warm film", "a dull film", "very long, and slow", "schön und warm"]
LABELS = ["good", "bad", "bad", "good"]


def lines(delimiter: str, *, header: bool = True, quoted: bool = True) -> str:
    def cell(text: str) -> str:
        return f'"{text}"' if quoted and delimiter in text else text

    rows = [f"{cell(text)}{delimiter}{label}" for text, label in zip(TEXTS, LABELS, strict=True)]
    return "\n".join([f"text{delimiter}label"] * header + rows) + "\n"


def loaded(path: Path, content: str | bytes, columns: Columns = Columns(), **options: Any) -> Dataset:  # noqa: B008
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    several = options.pop("multi_label", False)
    return load(str(path), columns, multi_label=several, reading=Reading(**options))


def assert_whole(dataset: Dataset, *stated: str) -> None:
    assert (dataset.texts, dataset.labels) == (TEXTS, LABELS)
    for what in stated:
        assert what in dataset.notes[0], dataset.notes


@pytest.mark.parametrize(("delimiter", "name"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
@pytest.mark.parametrize("file", ["a.csv", "a.tsv", "a.txt", "data"])
def test_the_delimiter_is_that_which_shows_the_columns(tmp_path: Path, delimiter: str, name: str, file: str) -> None:
    assert_whole(loaded(tmp_path / file, lines(delimiter)), f"{name} between cells", "with a header")


def test_excel_says_its_delimiter_itself(tmp_path: Path) -> None:
    assert_whole(loaded(tmp_path / "a.csv", "sep=;\r\n" + lines(";").replace("\n", "\r\n")), "semicolons")


def test_the_users_delimiter_comes_first(tmp_path: Path) -> None:
    content = "text:label\nx, y:1\nz:0\n"
    assert loaded(tmp_path / "a.csv", content, delimiter=":").texts == ["x, y", "z"]


@pytest.mark.parametrize(
    ("encoding", "stated"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("cp1252", "Windows-1252 (a guess"),
    ],
)
@pytest.mark.parametrize("file", ["a.csv", "a.jsonl", "a.txt"])
def test_the_encoding_is_found(tmp_path: Path, encoding: str, stated: str, file: str) -> None:
    content = lines(",")
    if file == "a.jsonl":
        rows = zip(TEXTS, LABELS, strict=True)
        content = "".join(json.dumps({"text": t, "label": n}, ensure_ascii=False) + "\n" for t, n in rows)
    assert_whole(loaded(tmp_path / file, content.encode(encoding)), stated)


def test_other_scripts_are_guessed_and_the_user_may_name_the_encoding(tmp_path: Path) -> None:
    words = ["очень хороший фильм о жизни", "скучный и плохой фильм"]
    content = "text,label\n" + "".join(f"{words[n % 2]} номер {n},{n % 2}\n" for n in range(40))
    found = loaded(tmp_path / "a.csv", content.encode("cp1251"))
    assert found.texts[0].startswith(words[0])
    assert "a guess; --encoding names another" in found.notes[0]
    named = loaded(tmp_path / "a.csv", content.encode("koi8-r"), encoding="koi8-r")
    assert named.texts[0].startswith(words[0])
    assert "guess" not in named.notes[0]


def test_an_encoding_that_does_not_fit_is_refused_with_the_place(tmp_path: Path) -> None:
    with refused(InputError, "LX-DATA-067", "ascii", 5, "0xc3"):
        loaded(tmp_path / "a.csv", lines(","), encoding="ascii")


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_file_without_header_is_recognized_by_its_labels(tmp_path: Path, delimiter: str) -> None:
    assert_whole(loaded(tmp_path / "a.csv", lines(delimiter, header=False)), "no header: columns text, label")
    swapped = "".join(
        f"{row.rpartition(delimiter)[2]}{delimiter}{row.rpartition(delimiter)[0]}\n"
        for row in lines(delimiter, header=False).splitlines()
    )
    assert_whole(loaded(tmp_path / "b.csv", swapped), "no header: columns label, text")


def test_the_names_of_the_columns_may_be_given(tmp_path: Path) -> None:
    found = loaded(tmp_path / "a.csv", "1,x,good\n2,y,bad\n", names=("id", "text", "label"))
    assert (found.texts, found.labels) == (["x", "y"], ["good", "bad"])
    with refused(InputError, "LX-DATA-072", "a.csv", 3, 2):
        loaded(tmp_path / "a.csv", "1,x,good\n2,y,bad\n", names=("text", "label"))


def test_without_header_and_without_a_sign_which_columns_are_which_names_are_asked_for(tmp_path: Path) -> None:
    with refused(InputError, "LX-DATA-073", "a.csv", 2):
        loaded(tmp_path / "a.csv", "one,two\nthree,four\nfive,six\n", header=False)


@pytest.mark.parametrize("header", ["Text,Label", " text , label ", "TEXT,labels"])
def test_the_names_of_columns_may_differ_in_case_and_space(tmp_path: Path, header: str) -> None:
    assert_whole(loaded(tmp_path / "a.csv", lines(",").replace("text,label", header)))


def test_in_tsv_a_quote_is_a_character(tmp_path: Path) -> None:
    rows = ['he said "no" to it', '"quoted" at the start', 'only one " here', '"an open one']
    content = "text\tlabel\n" + "".join(f"{text}\t{number % 2}\n" for number, text in enumerate(rows))
    found = loaded(tmp_path / "a.tsv", content)
    assert found.texts == rows
    assert "no quoting" in found.notes[0]


@pytest.mark.parametrize(
    "content",
    [
        '"text"\t"label"\n"one ""two"""\t"1"\n"three"\t"0"\n',
        'text\tlabel\n"one ""two"""\t1\nthree\t0\n',
        'text\tlabel\n"one ""two"""\t1\n"three"\t0\n',
    ],
)
def test_in_tsv_quotes_are_those_of_csv_where_the_file_shows_it(tmp_path: Path, content: str) -> None:
    assert loaded(tmp_path / "a.tsv", content).texts == ['one "two"', "three"]
    plain = content.replace('"text"\t"label"', "text\tlabel")
    assert loaded(tmp_path / "a.tsv", plain, quoting="none").texts[0] == '"one ""two"""'


def test_a_quoted_cell_with_lines_that_look_like_rows_is_a_bad_row(tmp_path: Path) -> None:
    rows = [f"a text {number},{'good' if number % 2 else 'bad'}" for number in range(20)]
    rows[5], rows[9] = '"an open one,bad', 'a closed one",bad'
    content = "text,label\n" + "\n".join(rows) + "\n"
    with refused(InputError, "LX-DATA-074", "a.csv", 7, 11, "--quoting none"):
        loaded(tmp_path / "a.csv", content)
    assert len(loaded(tmp_path / "a.csv", content, quoting="none")) == 20


def test_texts_of_several_lines_stay_whole(tmp_path: Path) -> None:
    content = 'text,label\n"Dear all,\n\nbest wishes, Ann",mail\n"two\nlines",note\nplain,note\n'
    assert loaded(tmp_path / "a.csv", content).texts == ["Dear all,\n\nbest wishes, Ann", "two\nlines", "plain"]


def test_all_bad_rows_are_listed_and_may_be_left_out(tmp_path: Path) -> None:
    content = "text,label\nx,1\ntoo,many,cells\ny,0\nfew\nz,1\n"
    with refused(InputError, "LX-DATA-066", "a.csv", 2, 5, "line 3", "line 5"):
        loaded(tmp_path / "a.csv", content)
    with refused(InputError, "LX-DATA-066", 2):
        loaded(tmp_path / "a.csv", content, skip_bad_rows=1)
    found = loaded(tmp_path / "a.csv", content, skip_bad_rows=2)
    assert found.texts == ["x", "y", "z"]
    assert found.dropped["bad"] == 2
    assert any("2 bad" in note for note in found.notes)


def test_bad_rows_of_json_and_of_cells_are_listed_together(tmp_path: Path) -> None:
    content = '{"text": "x", "label": 1}\n{"text": 5, "label": 1}\nnot json\n{"text": "y", "label": {"a": 1}}\n'
    with refused(InputError, "LX-DATA-066", 3, 4, "line 2: the text is 5", "line 3 is not valid", "line 4"):
        loaded(tmp_path / "a.jsonl", content)
    assert loaded(tmp_path / "a.jsonl", content, skip_bad_rows=9).texts == ["x"]


def test_a_second_header_is_no_text(tmp_path: Path) -> None:
    found = loaded(tmp_path / "a.csv", lines(",") + lines(",").replace("film", "book"))
    assert "text" not in found.texts
    assert found.dropped["headers"] == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "LX-DATA-071"),
        (b"PK\x03\x04 [Content_Types].xml", "LX-DATA-071"),
        (b"\x80\x04\x95pickle", "LX-DATA-071"),
        (b"<!DOCTYPE html><html></html>", "LX-DATA-071"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path: Path, content: bytes, code: str) -> None:
    with refused(InputError, code, "a.csv"):
        loaded(tmp_path / "a.csv", content)


def test_a_file_that_is_compressed_twice_is_named(tmp_path: Path) -> None:
    import gzip

    with refused(InputError, "LX-DATA-069", "a.csv.gz", ".gz"):
        loaded(tmp_path / "a.csv.gz", gzip.compress(gzip.compress(lines(",").encode())))


def test_fasttexts_lines_have_labels_before_the_text(tmp_path: Path) -> None:
    content = "".join(f"__label__{label} {text}\n" for text, label in zip(TEXTS, LABELS, strict=True))
    assert_whole(loaded(tmp_path / "a.txt", content), "fastText")
    found = loaded(tmp_path / "b.txt", "__label__b __label__a x y\n__label__a z\n", multi_label=True)
    assert (found.texts, found.labels) == (["x y", "z"], ["a|b", "a"])
    with refused(InputError, "LX-DATA-002", "--multi-label"):
        loaded(tmp_path / "b.txt", "__label__b __label__a x y\n__label__a z\n")


@pytest.mark.parametrize(
    ("cells", "stated"),
    [
        (['["a", "b"]', '["a"]', "[]"], None),
        (["\"['a', 'b']\"", "['a']", "[]"], None),
        (["b|a", "a", ""], None),
        (["b;a", "a;b;a", "a"], "';'"),
        (['"b, a"', '"a, b"', "a"], "','"),
    ],
)
def test_several_labels_in_a_cell_however_they_are_written(
    tmp_path: Path, cells: list[str], stated: str | None
) -> None:
    quoted = ['"' + cell.replace('"', '""') + '"' if cell.startswith('["') else cell for cell in cells]
    content = "text,label\n" + "".join(f"text {n},{cell}\n" for n, cell in enumerate(quoted))
    found = loaded(tmp_path / "a.csv", content, multi_label=True)
    assert found.labels[:2] == ["a|b", "a|b" if stated else "a"]
    assert [note for note in found.notes if "separated by" in note] == (
        [] if stated is None else [f"several labels of a text are separated by {stated} (--label-separator)"]
    )


def test_a_comma_within_names_separates_nothing(tmp_path: Path) -> None:
    content = 'text,label\nx,"Paris, France"\ny,"Rome, Italy"\nz,"Paris, France"\n'
    assert set(loaded(tmp_path / "a.csv", content, multi_label=True).labels) == {"Paris, France", "Rome, Italy"}
    named = loaded(tmp_path / "a.csv", content, multi_label=True, label_separator=",")
    assert named.labels[0] == "France|Paris"


def test_a_list_is_never_the_name_of_a_label(tmp_path: Path) -> None:
    content = "text,label\nx,['a']\ny,\"['a', 'b']\"\n"
    with refused(InputError, "LX-DATA-002", "line 3", "--multi-label"):
        loaded(tmp_path / "a.csv", content)
    assert loaded(tmp_path / "a.csv", content, skip_bad_rows=1).labels == ["a"]


def test_the_exports_of_annotation_tools(tmp_path: Path) -> None:
    doccano = [
        {"id": n, "text": t, "label": [label], "Comments": []}
        for n, (t, label) in enumerate(zip(TEXTS, LABELS, strict=True))
    ]
    assert_whole(loaded(tmp_path / "doccano.jsonl", "".join(json.dumps(one) + "\n" for one in doccano)))
    prodigy = [
        {"text": t, "_input_hash": n, "_task_hash": n, "options": [], "accept": [label], "answer": "accept"}
        for n, (t, label) in enumerate(zip(TEXTS, LABELS, strict=True))
    ]
    prodigy.insert(1, prodigy[0] | {"text": "rejected", "answer": "reject"})
    prodigy.append(prodigy[0] | {"text": "ignored", "answer": "ignore"})
    found = loaded(tmp_path / "prodigy.jsonl", "".join(json.dumps(one) + "\n" for one in prodigy))
    assert_whole(found, "Prodigy")
    assert found.dropped["rejected"] == 2
    studio = [
        {
            "id": n,
            "data": {"text": t},
            "annotations": [
                {
                    "was_cancelled": False,
                    "result": [{"type": "choices", "from_name": "sentiment", "value": {"choices": [label]}}],
                }
            ],
        }
        for n, (t, label) in enumerate(zip(TEXTS, LABELS, strict=True))
    ]
    assert_whole(loaded(tmp_path / "studio.json", json.dumps(studio)), "Label Studio")
    short = [
        {"id": n, "text": t, "sentiment": label, "annotator": 1, "annotation_id": n, "created_at": "", "lead_time": 1}
        for n, (t, label) in enumerate(zip(TEXTS, LABELS, strict=True))
    ]
    assert_whole(loaded(tmp_path / "short.json", json.dumps(short)), "Label Studio")


def test_several_files_patterns_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, delimiter in enumerate(",;"):
        (tmp_path / f"part-{number}.csv").write_text(lines(delimiter).replace("film", f"film {number}"))
    every = load([str(tmp_path / "part-0.csv"), str(tmp_path / "part-1.csv")])
    assert len(every) == 6  # two texts are in both
    assert load(str(tmp_path / "part-*.csv")).texts == every.texts
    assert every.name == "part-0.csv, part-1.csv"
    with refused(InputError, "LX-DATA-078", "none-*.csv"):
        load(str(tmp_path / "none-*.csv"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines(";").encode())))
    assert_whole(load("-"), "semicolons")


def test_a_folder_for_each_label_and_perhaps_for_each_part(tmp_path: Path) -> None:
    for number, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True)):
        for part in ("train", "test"):
            folder = tmp_path / "parts" / part / label
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.txt").write_text(f"{text} {part}", encoding="utf-8")
    found = load(str(tmp_path / "parts" / "train"))
    assert sorted(zip(found.texts, found.labels, strict=True)) == sorted(
        (f"{text} train", label) for text, label in zip(TEXTS, LABELS, strict=True)
    )
    whole = load(str(tmp_path / "parts"))
    assert whole.parts is not None
    assert {text.rpartition(" ")[2]: part for text, part in zip(whole.texts, whole.parts, strict=True)} == {
        "train": "train",
        "test": "test",
    }


def test_a_folder_with_a_file_for_each_part(tmp_path: Path) -> None:
    for part in ("train", "dev", "test"):
        (tmp_path / f"{part}.csv").write_text(lines(",").replace("film", part), encoding="utf-8")
    found = load(str(tmp_path))
    assert found.parts is not None
    assert set(found.parts) == {"train", "validation", "test"}
    (tmp_path / "valid.csv").write_text(lines(","), encoding="utf-8")
    with refused(InputError, "LX-DATA-079", "dev.csv", "valid.csv"):
        load(str(tmp_path))


def test_arrow_files_and_folders_that_datasets_saved(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    feather = pytest.importorskip("pyarrow.feather")
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["bad", "good"], "_type": "ClassLabel"},
    }
    numbers = [["bad", "good"].index(label) for label in LABELS]
    noted = {"huggingface": json.dumps({"info": {"features": features}})}
    table = arrow.table({"text": TEXTS, "label": numbers}).replace_schema_metadata(noted)
    feather.write_feather(table, tmp_path / "a.feather")
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "a.parquet")
    for name in ("a.feather", "a.parquet"):
        assert (load(str(tmp_path / name)).texts, load(str(tmp_path / name)).labels) == (TEXTS, LABELS)
    for part in ("train", "test"):
        folder = tmp_path / "saved" / part
        folder.mkdir(parents=True)
        with arrow.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink:
            own = arrow.table({"text": [f"{text} {part}" for text in TEXTS], "label": numbers})
            with arrow.ipc.new_stream(sink, own.schema) as writer:
                writer.write_table(own)
        (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
        (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    (tmp_path / "saved" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    whole = load(str(tmp_path / "saved"))
    assert whole.labels == LABELS * 2
    assert whole.parts == ["train"] * 4 + ["test"] * 4
    assert load(str(tmp_path / "saved" / "train")).labels == LABELS


def test_labels_are_renamed_and_removed(tmp_path: Path) -> None:
    content = "text,label\nx,BILLING\ny,Billing \nz,n/a\nw,other\nv,\n"
    mapped = {"BILLING": "Billing", "n/a": ""}
    with refused(InputError, "LX-DATA-013", 2, "lines 4, 6", "--drop-unlabelled"):
        loaded(tmp_path / "a.csv", content, map_labels=mapped)
    found = loaded(tmp_path / "a.csv", content, map_labels=mapped, drop_unlabelled=True)
    assert found.labels == ["Billing", "Billing", "other"]
    assert found.dropped["unlabelled"] == 2


CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0\r")
ROWS = "text,label\nx,a\nx,a\nx,b\ny,a\ny,a\ny,b\nz,b\nz,b\n"


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({}, [("z", "b")]),
        ({"duplicates": "keep"}, [("z", "b"), ("z", "b")]),
        ({"conflicts": "keep"}, [("x", "a"), ("x", "b"), ("y", "a"), ("y", "b"), ("z", "b")]),
        ({"conflicts": "vote"}, [("x", "a"), ("y", "a"), ("z", "b")]),
        ({"conflicts": "vote", "duplicates": "keep"}, [("x", "a")] * 2 + [("y", "a")] * 2 + [("z", "b")] * 2),
    ],
)
def test_duplicates_and_conflicts_by_choice(
    tmp_path: Path, options: dict[str, Any], rows: list[tuple[str, str]]
) -> None:
    found = loaded(tmp_path / "a.csv", ROWS, **options)
    assert list(zip(found.texts, found.labels, strict=True)) == rows
    assert sum(found.dropped.values()) + len(rows) == 8
    assert "rows left out: " in found.notes[-1]


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20), st.sampled_from("ab")
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(",;\t|"),
)
def test_what_the_csv_module_writes_with_all_cells_quoted_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str
) -> None:
    import csv

    path = tmp_path_factory.mktemp("rows") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([("text", "label"), *rows])
    expected = [(text.strip(), label) for text, label in rows if text.strip()]
    reading = Reading(duplicates="keep", conflicts="keep", skip_bad_rows=0)
    if not expected:
        with refused(InputError, "LX-DATA-014"):
            load(str(path), reading=reading)
        return
    found = load(str(path), reading=reading)
    assert list(zip(found.texts, found.labels, strict=True)) == expected


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"delimiter": "ab"}, "LX-DATA-060"),
        ({"delimiter": '"'}, "LX-DATA-060"),
        ({"quoting": "some"}, "LX-DATA-061"),
        ({"duplicates": "vote"}, "LX-DATA-061"),
        ({"conflicts": "first"}, "LX-DATA-061"),
        ({"names": ("a",), "header": True}, "LX-DATA-062"),
        ({"skip_bad_rows": -1}, "LX-DATA-063"),
        ({"label_separator": " "}, "LX-DATA-064"),
        ({"encoding": "utf-9"}, "LX-DATA-065"),
    ],
)
def test_options_that_are_not_possible_are_refused(options: dict[str, Any], code: str) -> None:
    with refused(InputError, code):
        Reading(**options)
