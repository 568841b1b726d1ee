"""word2vec's binary files: whatever is written is found, and damage is named by word and byte."""

from __future__ import annotations

import gzip
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.pretrained import open_vectors

from .cases import MATRIX, WORDS, binary, refusal, written

WHOLE = binary(WORDS, MATRIX)
EXPECTED = "expected a word in UTF-8, a space and 12 bytes of 3 float32 numbers"


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(
            lambda word: not any(character.isspace() for character in word)
        ),
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([b"", b"\n"]),
)
def test_what_is_written_is_what_is_found(content: dict[str, list[float]], after: bytes) -> None:
    matrix = np.array(list(content.values()), np.float32)
    with TemporaryDirectory() as folder:
        vectors = open_vectors(written(Path(folder) / "v.bin", binary(list(content), matrix, after)))
        positions, found = vectors.look_up(list(content))
    assert positions.tolist() == list(range(len(content)))
    np.testing.assert_array_equal(found, matrix)


def test_words_on_both_sides_of_a_block_of_reading_are_found(tmp_path: Path) -> None:
    words = [f"{'w' * (n % 50)}{n}" for n in range(30_000)]
    matrix = np.arange(30_000 * 30, dtype=np.float32).reshape(-1, 30)
    positions, found = open_vectors(written(tmp_path / "v.bin", binary(words, matrix))).look_up(words)
    assert positions.tolist() == list(range(30_000))
    np.testing.assert_array_equal(found, matrix)


def test_of_a_word_that_comes_twice_the_first_counts(tmp_path: Path) -> None:
    source = written(tmp_path / "v.bin", binary(["a", "b", "a"], MATRIX))
    np.testing.assert_array_equal(open_vectors(source).look_up(["a"])[1], MATRIX[:1])


@pytest.mark.parametrize(
    ("length", "what"),
    [
        (4, "word 1 of 3, at byte 4, is not there: the file ends"),
        (6, "word 1 of 3, at byte 4, is cut off: the file ends within it"),
        (8, "word 1 of 3, at byte 4, is cut off: the file ends after 'cat' and 0 bytes of its vector"),
        (20, "word 2 of 3, at byte 20, is not there: the file ends"),
        (35, "word 2 of 3, at byte 20, is cut off: the file ends after 'dog' and 11 bytes of its vector"),
        (len(WHOLE) - 1, "word 3 of 3, at byte 36, is cut off: the file ends after '好' and 11 bytes of its vector"),
    ],
)
def test_a_truncated_file_is_named_with_the_word_where_it_ends(length: int, what: str, tmp_path: Path) -> None:
    message = refusal("LX-VECTORS-003", written(tmp_path / "v.bin", WHOLE[:length]), [])
    assert f"{what}; {EXPECTED}. Download the file again" in message


def test_a_truncated_file_of_word2vec_itself_is_named_alike(tmp_path: Path) -> None:
    source = written(tmp_path / "v.bin", binary(WORDS, MATRIX, b"\n")[:21])
    assert "word 2 of 3, at byte 20, is not there: the file ends" in refusal("LX-VECTORS-003", source, [])


def test_bytes_lost_on_the_way_show_where_no_word_can_be_read(tmp_path: Path) -> None:
    whole = binary(["alpha", "beta", "gamma"], np.full((3, 3), -1.75, np.float32))
    message = refusal("LX-VECTORS-003", written(tmp_path / "v.bin", whole[:12] + whole[24:]), [])
    assert "word 2 of 3, at byte 22, is not UTF-8" in message


@pytest.mark.parametrize(
    ("content", "what", "code"),
    [
        (
            WHOLE.replace(b"dog", b"d\xe9g"),
            f"word 2 of 3, at byte 20, is not UTF-8: it has the byte 0xe9; {EXPECTED}",
            "LX-VECTORS-003",
        ),
        (WHOLE.replace(b"dog", b""), f"word 2 of 3, at byte 20, is empty; {EXPECTED}", "LX-VECTORS-003"),
        (
            WHOLE + b"\nx",
            "announces 3 words of 3 numbers on its first line but has more content after",
            "LX-VECTORS-002",
        ),
        (
            b"2" + WHOLE[1:],
            "announces 2 words of 3 numbers on its first line but has more content after",
            "LX-VECTORS-002",
        ),
        (
            b"4" + WHOLE[1:],
            f"word 4 of 4, at byte {len(WHOLE)}, is not there: the file ends; {EXPECTED}",
            "LX-VECTORS-003",
        ),
        (
            b"1 3\n" + b"\xff" * 100_000,
            "word 1 of 1, at byte 4, has no space in its first 65,536 bytes",
            "LX-VECTORS-003",
        ),
        (b"1 0\nword ", "is not a file of vectors: its first line is '1 0'", "LX-VECTORS-022"),
        (
            b"9 1000000000000\nword " + bytes(40),
            "is not a file of vectors: its first line is '9 1000000000000'",
            "LX-VECTORS-022",
        ),
        (WHOLE[4:], "is not a word2vec file: it begins with", "LX-VECTORS-006"),
    ],
)
def test_damage_is_named_with_its_place(content: bytes, what: str, tmp_path: Path, code: str) -> None:
    source = written(tmp_path / "v.bin", content)
    assert what in refusal(code, source, [], lines=3 if "word2vec" in what else 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_refused_where_its_word_is_asked_for(value: float, tmp_path: Path) -> None:
    matrix = MATRIX.copy()
    matrix[1, 2] = value
    source = written(tmp_path / "v.bin", binary(WORDS, matrix))
    assert f"word 2 of 3, at byte 20, has the number {value} in its vector" in refusal(
        "LX-VECTORS-003", source, ["cat", "dog"]
    )
    assert open_vectors(source).look_up(["cat"])[0].tolist() == [0]


def test_a_truncated_gz_is_damaged(tmp_path: Path) -> None:
    words = [f"word{n}" for n in range(5000)]
    whole = gzip.compress(binary(words, np.random.default_rng(0).random((5000, 50), np.float32)))
    source = written(tmp_path / "v.bin.gz", whole[: len(whole) // 2])
    assert "is damaged or not what its name says: it ends too early" in refusal("LX-FILE-012", source, [])
