"""A .npy of vectors with an index of its words beside it."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lexport.data.pretrained import open_vectors

from .cases import MATRIX, WORDS, refusal, written

LINES = "cat\ndog\n好\n"


def saved(folder: Path, ending: str, content: str | bytes, matrix: npt.NDArray[Any] = MATRIX) -> str:
    """A matrix and an index of that ending beside it."""
    np.save(folder / "v.npy", matrix)
    written(folder / f"v.{ending}", content)
    return str(folder / "v.npy")


def parquet(columns: dict[str, list[Any]]) -> bytes:
    arrow = pytest.importorskip("pyarrow")
    target = io.BytesIO()
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table(columns), target)
    return target.getvalue()


INDEXES: dict[str, tuple[str, Callable[[], str | bytes]]] = {
    "a word a line": ("txt", lambda: LINES),
    "a word a line, as Windows writes it": ("txt", lambda: "\ufeffcat\r\ndog\r\n好"),
    "a JSON list": ("json", lambda: json.dumps(WORDS)),
    "a JSON object": ("json", lambda: '{"dog": 1, "好": 2, "cat": 0}'),
    "a CSV in the order of the rows": ("csv", lambda: "word\ncat\ndog\n好\n"),
    "a CSV with rows": ("csv", lambda: 'row,count,word\n2,7,好\n0,8,"cat"\n\n1,9,dog\n'),
    "Parquet in the order of the rows": ("parquet", lambda: parquet({"index": WORDS})),
    "Parquet with rows": ("parquet", lambda: parquet({"word": ["dog", "cat", "好"], "row": [1, 0, 2]})),
}


@pytest.mark.parametrize("index", INDEXES)
def test_every_kind_of_index_says_the_same(index: str, tmp_path: Path) -> None:
    ending, content = INDEXES[index]
    vectors = open_vectors(saved(tmp_path, ending, content()))
    positions, found = vectors.look_up(["bird", "好", "dog", "cat", "dog"])
    assert positions.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(found, MATRIX[[2, 1, 0, 1]])


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8"])
def test_floats_of_any_width_become_float32(kind: str, tmp_path: Path) -> None:
    _, found = open_vectors(saved(tmp_path, "txt", LINES, MATRIX.astype(kind))).look_up(WORDS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, MATRIX, rtol=1e-3)


def test_of_a_word_that_comes_twice_the_first_counts(tmp_path: Path) -> None:
    _, found = open_vectors(saved(tmp_path, "txt", "a\nb\na\n")).look_up(["a"])
    np.testing.assert_array_equal(found, MATRIX[:1])


@pytest.mark.parametrize(
    ("ending", "content", "what", "code"),
    [
        (
            "txt",
            "cat\ndog\n",
            "has 2 words and v.npy has 3 vectors; one word for each vector was expected",
            "LX-VECTORS-009",
        ),
        ("txt", "a\nb\nc\nd\n", "has 4 words and v.npy has 3 vectors", "LX-VECTORS-009"),
        ("txt", b"cat\nd\xe9g\n", "not UTF-8 text: line 2 has the byte 0xe9", "LX-FILE-014"),
        ("json", '["cat", "dog"]', "has 2 words and v.npy has 3 vectors", "LX-VECTORS-009"),
        ("json", '["cat", "dog", 3]', "entry 3 has '3' for a word; a text was expected", "LX-VECTORS-010"),
        ("json", '{"a": 0, "b": 1}', "has 2 words and v.npy has 3 vectors", "LX-VECTORS-009"),
        ("json", '{"a": 0, "b": 1, "c": 3}', "entry 3 gives 'c' row 3; 0 to 2 were expected", "LX-VECTORS-010"),
        ("json", '{"a": 0, "b": -1}', "entry 2 gives 'b' row -1; 0 to 2 were expected", "LX-VECTORS-010"),
        ("json", '{"a": 0, "b": 0, "c": 1}', "entry 2 gives 'b' row 0, which another word has", "LX-VECTORS-010"),
        ("json", '{"a": "x"}', "entry 1 has 'x' for a row; a whole number", "LX-VECTORS-010"),
        ("json", '{"a": true}', "entry 1 has 'True' for a row; a whole number", "LX-VECTORS-010"),
        ("json", "5", "holds neither a list nor an object but 5", "LX-VECTORS-012"),
        ("json", '["cat"', "is not valid JSON", "LX-VECTORS-011"),
        ("json", "[" * 200_000, "is not valid JSON", "LX-VECTORS-011"),
        ("csv", "wort\ncat\n", "has no column 'word'; its columns are: wort.", "LX-VECTORS-014"),
        ("csv", "", "has no column 'word'; its columns are: none.", "LX-VECTORS-014"),
        ("csv", "word,row\ncat\n", "entry 1 has 1 cells; 2 were expected", "LX-VECTORS-010"),
        ("csv", "word,row\ncat,1.5\n", "entry 1 has '1.5' for a row", "LX-VECTORS-010"),
        ("csv", 'word\n"cat\n', "is malformed: unexpected end of data", "LX-VECTORS-013"),
        ("parquet", b"PAR1" + bytes(30), "is damaged or not what its name says", "LX-FILE-012"),
    ],
)
def test_an_index_that_does_not_fit_says_why(
    ending: str, content: str | bytes, what: str, tmp_path: Path, code: str
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    message = refusal(code, saved(tmp_path, ending, content), ["cat"])
    assert what in message
    assert f"v.{ending}" in message


@pytest.mark.parametrize(
    ("columns", "what", "code"),
    [
        ({"word": ["a", None, "c"]}, "entry 2 has 'None' for a word", "LX-VECTORS-010"),
        ({"word": ["a", "b", "c"], "row": [0.0, 1.0, 2.0]}, "entry 1 has '0.0' for a row", "LX-VECTORS-010"),
        ({"text": ["a", "b", "c"]}, "has no column 'word'; its columns are: text.", "LX-VECTORS-014"),
    ],
)
def test_parquet_needs_words_and_whole_numbers(
    columns: dict[str, list[Any]], what: str, tmp_path: Path, code: str
) -> None:
    assert what in refusal(code, saved(tmp_path, "parquet", parquet(columns)), [])


def test_a_matrix_needs_one_index(tmp_path: Path) -> None:
    source = saved(tmp_path, "csv", "")
    (tmp_path / "v.csv").unlink()
    assert "has no index of its words beside it; expected one file v with the ending .txt, .json" in refusal(
        "LX-VECTORS-008", source, []
    )
    for ending, content in (("txt", LINES), ("json", json.dumps(WORDS))):
        saved(tmp_path, ending, content)
    assert "has 2 files that could be its index: v.txt, v.json" in refusal("LX-VECTORS-008", source, [])


@pytest.mark.parametrize(
    ("matrix", "what"),
    [
        (
            np.array([["a", 1, 2]], object),
            "cannot be opened (Array can't be memory-mapped: Python objects",
        ),
        (np.zeros((3, 3), np.int64), "holds int64; expected a matrix [words, dim] of float16, float32 or float64"),
        (np.zeros((3, 3), np.complex64), "holds complex64; expected a matrix"),
        (np.zeros(3), "has the shape [3]; expected a matrix"),
        (np.zeros((3, 0)), "has the shape [3, 0]; expected a matrix"),
        (np.zeros((2, 3, 4)), "has the shape [2, 3, 4]; expected a matrix"),
        (np.asfortranarray(MATRIX), "is stored column by column; expected a matrix"),
    ],
)
def test_what_is_no_matrix_of_floats_is_refused(matrix: npt.NDArray[Any], what: str, tmp_path: Path) -> None:
    assert what in refusal("LX-VECTORS-019", saved(tmp_path, "txt", LINES, matrix), [])


def test_a_damaged_matrix_is_refused(tmp_path: Path) -> None:
    source = saved(tmp_path, "txt", LINES)
    whole = Path(source).read_bytes()
    assert len(whole) == 164
    broken = {
        whole[:150]: "mmap length is greater than file size",
        whole[:40]: "EOF",
        b"": "EOF",
        b"no matrix at all": "the magic string is not correct",
        whole.replace(b"'shape': (3, 3)", b"'shape': (-1,3)"): "negative",
        whole.replace(b"'shape': (3, 3)", b"'shape': True, "): "Cannot parse header",
        whole.replace(b"'shape': (3, 3)", b"'shape': (True,"): "cannot be opened",
        whole.replace(b"'shape': (3, 3), }" + b" " * 20, b"'shape': (" + b"9" * 24 + b",3)}"): "too large",
    }
    for content, reason in broken.items():
        assert content != whole
        message = refusal("LX-VECTORS-019", written(Path(source), content), [])
        assert "v.npy cannot be opened (" in message
        assert reason in message


def test_a_number_that_is_not_finite_is_refused_where_its_word_is_asked_for(tmp_path: Path) -> None:
    matrix = MATRIX.astype(np.float64)
    matrix[1, 2] = 1e300
    source = saved(tmp_path, "txt", LINES, matrix)
    assert "v.npy: the vector of 'dog', row 1, has the number 1e+300; expected finite" in refusal(
        "LX-VECTORS-021", source, WORDS
    )
    assert open_vectors(source).look_up(["cat", "好"])[0].tolist() == [0, 1]


def test_a_compressed_matrix_is_to_be_unpacked(tmp_path: Path) -> None:
    content = gzip.compress(Path(saved(tmp_path, "txt", LINES)).read_bytes())
    assert "is compressed, but a .npy is read in place" in refusal(
        "LX-VECTORS-018", written(tmp_path / "v.npy.gz", content), []
    )
