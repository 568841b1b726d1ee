"""Text files of vectors."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.pretrained import open_vectors

from .cases import PLAIN, refusal, written


@pytest.mark.parametrize(
    ("name", "pack"),
    [("v.txt", bytes), ("v.vec", bytes), ("v", bytes), ("v.txt.gz", gzip.compress), ("V.VEC.BZ2", bz2.compress)],
)
@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        "3 3\n" + PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", " \n"),
        PLAIN.replace(" ", "\t"),
        PLAIN.rstrip("\n"),
        PLAIN + "\n",
        PLAIN + "dog 7 8 9\n",
        PLAIN + ". . . 7 8 9\nat cat@home.org 7 8 9\n",
        PLAIN + "\xa0 7 8 9\n\x85 7 8 9\n",
    ],
)
def test_text_files_in_every_dress_are_read_alike(
    name: str, pack: Callable[[bytes], bytes], content: str, tmp_path: Path
) -> None:
    vectors = open_vectors(written(tmp_path / name, pack(content.encode())))
    positions, found = vectors.look_up(["bird", "好", "dog", "cat", "dog", "Cat"])
    assert (vectors.name, vectors.dim) == (name, 3)
    assert positions.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(found, np.array([[0, 0, 1], [1, 2, 3], [0.5, -1, 0.2], [1, 2, 3]], np.float32))


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=6),
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_is_what_is_found(content: dict[str, list[float]]) -> None:
    with TemporaryDirectory() as folder:
        lines = "".join(f"{word} {' '.join(map(repr, values))}\n" for word, values in content.items())
        vectors = open_vectors(written(Path(folder) / "v.vec", f"{len(content)} 3\n{lines}"))
        positions, found = vectors.look_up(list(content))
    assert positions.tolist() == list(range(len(content)))
    np.testing.assert_array_equal(found, np.array(list(content.values()), np.float32))


def test_a_file_without_any_word_asked_for_gives_none(tmp_path: Path) -> None:
    positions, found = open_vectors(written(tmp_path / "v.txt", PLAIN)).look_up(["bird"])
    assert positions.shape == (0,)
    assert found.shape == (0, 3)


@pytest.mark.parametrize("asked", [["cat"], ["bad"], []])
@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("bad 1 2", "line 4 has 2 numbers; expected a word and 3 numbers"),
        ("bad 1", "line 4 has 1 number; expected a word and 3 numbers"),
        ("bad", "line 4 has 0 numbers; expected a word and 3 numbers"),
        ("bad 1 2 3 4", "line 4 has 4 numbers; expected a word and 3 numbers"),
        ("bad 1 two 3", "line 4 has 'two' where a number belongs"),
        ("bad 1 0x2 3", "line 4 has '0x2' where a number belongs"),
        ("bad 1 0,2 3", "line 4 has '0,2' where a number belongs"),
    ],
)
def test_a_bad_line_is_named_whether_its_word_is_asked_for_or_not(
    line: str, what: str, asked: list[str], tmp_path: Path
) -> None:
    assert what in refusal("LX-VECTORS-024", written(tmp_path / "v.txt", f"{PLAIN}{line}\n"), asked)


@pytest.mark.parametrize("value", ["1.2.3", "1e99", "-", "1e", "nan", "-inf"])
def test_what_looks_like_a_number_is_read_where_its_word_is_asked_for(value: str, tmp_path: Path) -> None:
    source = written(tmp_path / "v.txt", f"{PLAIN}bad 1 {value} 3\n")
    assert f"line 4 has '{value}' where a number belongs" in refusal("LX-VECTORS-024", source, ["bad"])
    positions, _ = open_vectors(str(source)).look_up(["cat"])
    assert positions.tolist() == [0]


def test_lines_without_a_word_are_skipped_and_counted(tmp_path: Path) -> None:
    opened = open_vectors(str(written(tmp_path / "v.vec", f"5 3\n{PLAIN}  7 8 9\n 7 8 9\n")))
    positions, _ = opened.look_up(["cat", "dog"])
    assert opened.skipped == 2
    assert 0 in positions.tolist()


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    source = written(tmp_path / "v.txt", PLAIN.encode() + b"caf\xe9 1 2 3\n")
    assert "not UTF-8 text: line 4 has the byte 0xe9" in refusal("LX-FILE-014", source, ["cat"])


def test_a_truncated_gz_is_damaged(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"word{n} {n} {n / 7} 3\n" for n in range(2000)).encode())
    source = written(tmp_path / "v.txt.gz", whole[: len(whole) // 2])
    assert "is damaged or not what its name says: it ends too early" in refusal("LX-FILE-012", source, ["word1999"])


@pytest.mark.parametrize("count", [2, 4])
def test_a_first_line_that_announces_another_number_of_words_is_an_error(count: int, tmp_path: Path) -> None:
    message = refusal("LX-VECTORS-023", written(tmp_path / "v.vec", f"{count} 3\n{PLAIN}"), ["cat"])
    assert f"announces {count} words on its first line and has 3" in message


@pytest.mark.parametrize("content", ["", "\n", "word\n", "5 0\n", "5 100001\n"])
def test_a_file_whose_first_line_has_no_vector_is_none(content: str, tmp_path: Path) -> None:
    assert "is not a file of vectors: its first line is" in refusal(
        "LX-VECTORS-022", written(tmp_path / "v.txt", content), []
    )


def test_a_number_of_thousands_of_digits_is_none(tmp_path: Path) -> None:
    assert "line 1 has '999" in refusal("LX-VECTORS-024", written(tmp_path / "v.txt", f"5 {'9' * 5000}\n"), ["5"])
