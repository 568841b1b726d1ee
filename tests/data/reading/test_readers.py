"""Files of every format and compression are read alike, and damaged ones refused with the place."""

from __future__ import annotations

import bz2
import csv
import gzip
import importlib
import lzma
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lexport.data.load import Columns, digest, load
from lexport.errors import InputError, MissingExtra, SystemProblem

from ...refusals import refused
from ..files import jsonl, parquet, written

GOOD = 'text,label\n"A warm, funny film.",positive\nDull.,negative\n很好看,positive\n'
GOOD_TEXTS = ["A warm, funny film.", "Dull.", "很好看"]
GOOD_LABELS = ["positive", "negative", "positive"]


def refusal(code: str, path: Path | str) -> str:
    """The message with which `load` refuses `path`: always one line of an InputError with this code."""
    with refused(InputError, code) as caught:
        load(str(path))
    message = str(caught.value)
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", GOOD),
        ("A.CSV", GOOD),
        ("a.csv", "\ufeff" + GOOD),
        ("a.csv", GOOD.replace("\n", "\r\n")),
        ("a.csv", GOOD.replace("\n", "\r")),
        ("a.csv", GOOD.replace("\n", "\n\n")),
        ("a.csv", GOOD.rstrip("\n")),
        ("a.csv", GOOD.replace("text,label", " text , label")),
        ("a.csv", GOOD.replace(",positive", ", positive ")),
        ("a.tsv", "label\ttext\npositive\tA warm, funny film.\nnegative\tDull.\npositive\t很好看\n"),
        ("a.jsonl", jsonl(*({"text": t, "label": c} for t, c in zip(GOOD_TEXTS, GOOD_LABELS, strict=True)))),
        (
            "a.ndjson",
            '\ufeff{"label": "positive", "text": "A warm, funny film.", "n": NaN}\r\n\r\n'
            '{"text": " Dull.\\n", "label": "negative"}\r\n{"text": "很好看", "label": "positive"}',
        ),
    ],
)
def test_every_text_format_gives_the_same_dataset(tmp_path: Path, name: str, content: str) -> None:
    dataset = load(str(written(tmp_path / name, content)))
    assert (dataset.texts, dataset.labels) == (GOOD_TEXTS, GOOD_LABELS)
    assert dataset.name == name
    assert dataset.digest == digest(GOOD_TEXTS, GOOD_LABELS)
    assert dataset.dropped == {"duplicates": 0, "conflicting": 0, "empty": 0}
    assert len(dataset) == 3
    assert dataset.classes == ["negative", "positive"]


def test_parquet_gives_the_same_dataset(tmp_path: Path) -> None:
    plain = load(str(parquet(tmp_path / "a.parquet", text=GOOD_TEXTS, other=[1, 2, 3], label=GOOD_LABELS)))
    assert (plain.texts, plain.labels) == (GOOD_TEXTS, GOOD_LABELS)
    categories = pytest.importorskip("pyarrow").array(GOOD_LABELS).dictionary_encode()
    dotted = parquet(tmp_path / "b.parquet", **{"a.b": GOOD_TEXTS, "label": categories})
    coded = load(str(dotted), Columns(text="a.b"))
    assert coded.digest == plain.digest


def zstd(content: bytes) -> bytes:
    return bytes(pytest.importorskip("zstandard").compress(content))


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
}


@pytest.mark.parametrize("ending", COMPRESSORS)
def test_compressed_files_read_as_if_they_were_not(tmp_path: Path, ending: str) -> None:
    compress = COMPRESSORS[ending]
    head, tail = GOOD[:20].encode(), GOOD[20:].encode()
    for content in (compress(head + tail), compress(head) + compress(tail)):
        assert load(str(written(tmp_path / f"a.csv{ending}", content))).texts == GOOD_TEXTS


@pytest.mark.parametrize("ending", COMPRESSORS)
def test_a_truncated_or_damaged_compressed_file_gives_nothing(tmp_path: Path, ending: str) -> None:
    lines = "".join(f"{random.Random(n).getrandbits(99)},{n % 2}\n" for n in range(20_000))
    whole = COMPRESSORS[ending](f"text,label\n{lines}".encode())
    for content in (whole[:-1], whole[: len(whole) // 2], b"no such format", b"\x1f\x8b\x08\0 no stream"):
        message = refusal("LX-FILE-012", written(tmp_path / f"a.csv{ending}", content))
        assert f"a.csv{ending} is damaged or not what its name says: " in message
    assert refusal("LX-FILE-011", written(tmp_path / f"a.csv{ending}", COMPRESSORS[ending](b""))).endswith(
        "were expected."
    )


def test_cells_hold_line_breaks_quotes_nul_and_more_than_the_csv_modules_limit(tmp_path: Path) -> None:
    long = "so long " * 100_000 + "!"
    cells = ['first\nsecond\r\nthird, "quoted"', "a\0b", long]
    rows = "".join('"{}",{}\n'.format(cell.replace('"', '""'), n) for n, cell in enumerate(cells))
    assert load(str(written(tmp_path / "a.csv", "text,label\n" + rows))).texts == cells


def test_the_csv_modules_limit_is_left_as_it_was(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    load(str(written(tmp_path / "a.csv", GOOD)))
    refusal("LX-DATA-022", written(tmp_path / "b.csv", GOOD + '"'))
    assert csv.field_size_limit() == before


def test_an_empty_folder_has_no_texts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with refused(InputError, "LX-DATA-077", "a.csv", "nothing"):
        load(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("name", ["data", "a.txt", "a.old"])
def test_of_an_unknown_ending_the_content_decides(tmp_path: Path, name: str) -> None:
    assert load(str(written(tmp_path / name, GOOD))).texts == GOOD_TEXTS
    assert load(str(written(tmp_path / name, jsonl({"text": "x", "label": 1})))).texts == ["x"]
    with refused(InputError, "LX-DATA-017", name, ".csv"):
        load(str(written(tmp_path / name, "just some words\nand others\n")))


@pytest.mark.parametrize("name", ["a.parquet.gz", "a.gz"])
def test_a_file_that_is_not_compressed_as_its_name_says_is_damaged(tmp_path: Path, name: str) -> None:
    with refused(InputError, "LX-FILE-012", name):
        load(str(written(tmp_path / name, GOOD)))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz"])
def test_an_empty_file_is_empty(tmp_path: Path, name: str) -> None:
    assert f"{name} is empty" in refusal("LX-FILE-011", written(tmp_path / name, b""))


@pytest.mark.parametrize(("name", "content"), [("a.csv", "\n\r\n"), ("a.jsonl", "\n \n"), ("a.csv", "\ufeff")])
def test_a_blank_file_is_empty(tmp_path: Path, name: str, content: str) -> None:
    assert f"{name} is empty" in refusal("LX-FILE-011", written(tmp_path / name, content))


def test_a_column_name_that_occurs_twice_is_not_guessed(tmp_path: Path) -> None:
    assert "2 columns named 'text'" in refusal("LX-DATA-018", written(tmp_path / "a.csv", "text,text,label\nx,y,1\n"))


def test_a_line_without_its_text_key_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", jsonl({"text": "x", "label": 1}, {"txt": "y", "label": 1}))
    assert "line 2 has no 'text'; its keys are: txt, label" in refusal("LX-DATA-023", path)


@pytest.mark.parametrize(
    ("content", "expected", "code"),
    [
        (
            "text,label\n很好看,1\n不好,0\n".encode() + b"\xff,1",
            "line 4 has the byte 0xff at offset 32",
            "LX-DATA-067",
        ),
        (b"text,label\nx,1\ny,\xe4\xb8", "line 3 has the byte 0xe4", "LX-DATA-067"),
        (b"text,label\nsurrogate \xed\xa0\x80,1\n", "line 2 has the byte 0xed", "LX-DATA-067"),
        (
            gzip.compress(GOOD.encode(), mtime=0),
            "looks gzip-compressed, which its name does not say. End its name in .gz",
            "LX-DATA-070",
        ),
        (gzip.compress(GOOD.encode(), mtime=0), ".gz", "LX-DATA-070"),
        (b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0\xff", "is a zip archive", "LX-DATA-071"),
        (bytes(range(256)) * 100, "is not UTF-8 text", "LX-DATA-067"),
        (b"\0" * 10_000, "is binary, not UTF-8 text", "LX-DATA-020"),
    ],
)
def test_a_binary_file_or_another_encoding_is_placed(
    tmp_path: Path, content: bytes, expected: str, code: str
) -> None:
    assert expected in refusal(code, written(tmp_path / "a.csv", content))


def test_bytes_that_are_not_utf8_are_found_in_jsonl_and_compressed_files_too(tmp_path: Path) -> None:
    line = '{"text": "很好看", "label": 1}\n'.encode() + b'{"text": "\xff", "label": 1}\n'
    assert "line 3 has the byte 0xff" in refusal("LX-DATA-067", written(tmp_path / "a.jsonl", b"\n" + line))
    assert "line 2 has the byte 0xff" in refusal("LX-DATA-067", written(tmp_path / "a.jsonl.gz", gzip.compress(line)))


@pytest.mark.parametrize(
    ("content", "expected", "code"),
    [
        (
            "text,label\nx,1\ny, or z,1\n",
            "line 3: 3 cells where the header has 2. Put a cell that holds a comma",
            "LX-DATA-021",
        ),
        ("text,label\nx\n", "line 2: 1 cell where the header has 2", "LX-DATA-021"),
        (
            'text,label\n"x\ny",1\n"open,1\n',
            "begins on line 4 is malformed: a quote is opened and never closed",
            "LX-DATA-022",
        ),
        ('text,label\n"x" y,1\n', "begins on line 2 is malformed: ',' expected after '\"'", "LX-DATA-022"),
        ('text,label\n\n"a\n\nb",1\n\nz\n', "line 7: 1 cell", "LX-DATA-021"),
    ],
)
def test_malformed_csv_is_placed(tmp_path: Path, content: str, expected: str, code: str) -> None:
    assert expected in refusal(code, written(tmp_path / "a.csv", content))


@pytest.mark.parametrize(
    ("line", "expected", "code"),
    [
        (
            '{"text": "x", ',
            "is not valid JSON: Expecting property name enclosed in double quotes at column",
            "LX-DATA-024",
        ),
        ("{}", "line 2 has no 'text'; its keys are: none", "LX-DATA-023"),
        ("[1]", "is not a JSON object: [1]. Every row", "LX-DATA-027"),
        ("null", "is not a JSON object: null", "LX-DATA-027"),
        ('{"text": "x", "label": ' + "9" * 5000 + "}", "too many digits", "LX-DATA-025"),
        ("[" * 200_000, "is nested too deeply", "LX-DATA-026"),
    ],
)
def test_malformed_jsonl_is_placed(tmp_path: Path, line: str, expected: str, code: str) -> None:
    message = refusal(code, written(tmp_path / "a.jsonl", '{"text": "first", "label": 1}\n' + line + "\n"))
    assert "a.jsonl, line 2" in message
    assert expected in message


def test_jsonl_whose_first_object_lacks_everything_lists_its_keys(tmp_path: Path) -> None:
    assert "Its columns are: none" in refusal("LX-DATA-019", written(tmp_path / "a.jsonl", "{}\n"))


def test_damaged_parquet_gives_nothing(tmp_path: Path) -> None:
    texts = [f"text number {n}" for n in range(5000)]
    whole = parquet(tmp_path / "a.parquet", text=texts, label=[n % 2 for n in range(5000)]).read_bytes()
    for content in (whole[:-9], whole[:1000], b"PAR1" + bytes(100) + b"PAR1", GOOD.encode(), b"x"):
        message = refusal("LX-FILE-012", written(tmp_path / "b.parquet", content))
        assert "b.parquet is damaged or not what its name says: " in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", GOOD)
    path.chmod(0)
    assert refusal("LX-FILE-013", path).endswith("a.csv: Permission denied.")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst", "a.parquet"])
def test_a_file_the_system_does_not_open(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(gzip, "open", refuse)
    path = tmp_path / name
    os.close(os.open(path, os.O_CREAT))
    os.truncate(path, 10)
    assert refusal("LX-FILE-013", path).endswith(f"{name}: Permission denied.")


@pytest.mark.parametrize(
    ("name", "module", "line"),
    [("a.csv.zst", "zstandard", "lexport[zstd]"), ("a.parquet", "pyarrow", "lexport[parquet]")],
)
def test_an_absent_extra_is_named_with_its_pip_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, line: str
) -> None:
    real = importlib.import_module

    def without(wanted: str) -> Any:
        if wanted.partition(".")[0] == module:
            raise ModuleNotFoundError(f"No module named '{module}'", name=module)
        return real(wanted)

    monkeypatch.setattr(importlib, "import_module", without)
    with refused(MissingExtra, "LX-INSTALL-002") as caught:
        load(str(written(tmp_path / name, b"anything")))
    assert f'pip install "{line}"' in str(caught.value)


def test_a_package_that_is_installed_and_broken_is_not_called_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "zstandard.py", b'raise ImportError("its library is gone")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "zstandard", raising=False)
    with refused(SystemProblem, "LX-INSTALL-001", "zstandard", "its library is gone", "--force-reinstall"):
        load(str(written(tmp_path / "a.csv.zst", b"anything")))


def test_no_damage_gives_anything_but_a_dataset_or_one_line(tmp_path: Path) -> None:
    """A seeded fuzzer: bytes changed, put in, taken out, the end cut off."""
    rows = [{"text": f"wörter {n}, 很好看", "label": n % 3} for n in range(100)]
    lines = "text,label\n" + "".join(f'"{row["text"]}",{row["label"]}\n' for row in rows)
    columns = {name: [row[name] for row in rows] for name in ("text", "label")}
    whole = {f"a.csv{ending}": compress(lines.encode()) for ending, compress in COMPRESSORS.items()}
    whole |= {"a.csv": lines.encode(), "a.tsv": lines.replace(",", "\t").encode(), "a.jsonl": jsonl(*rows).encode()}
    whole["a.parquet"] = parquet(tmp_path / "whole.parquet", **columns).read_bytes()
    chance = random.Random(2)
    for name, content in whole.items():
        for _ in range(150):
            damaged = bytearray(content)
            for _ in range(chance.choice([1, 1, 4])):
                place = chance.randrange(len(damaged))
                new = chance.choice([b"", b'"', b"\r", b"\0", b"\xff", b"{", b"\\ud800", chance.randbytes(3)])
                damaged[place : place + chance.randrange(20)] = new
            cut = chance.randrange(len(damaged)) if chance.random() < 0.2 else len(damaged)
            path = written(tmp_path / name, bytes(damaged[:cut]))
            try:
                load(str(path))
            except InputError as error:
                assert str(error).replace("\n", " ").isprintable()  # noqa: PT017


def test_rows_of_parquet_are_counted_on_from_one_batch_to_the_next(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(3000)]
    images = [[number, 0.5] for number in range(2999)]
    path = parquet(tmp_path / "a.parquet", text=texts, image=[*images, [1.0]])
    with refused(InputError, "LX-DATA-015", "a.parquet", "3,000", "1", "a.parquet", "1"):
        load(str(path), Columns(label=None, image="image"))
    dataset = load(
        str(parquet(tmp_path / "b.parquet", text=texts[:-1], image=images)), Columns(label=None, image="image")
    )
    assert dataset.texts == texts[:-1]
    assert dataset.images is not None
    assert dataset.images.tolist() == images
