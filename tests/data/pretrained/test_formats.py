"""Vectors in every format are found alike, and a file's beginning says which format it has."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lexport.data.pretrained import open_vectors

from .cases import MATRIX, PLAIN, WORDS, binary, refusal, written


def test_a_file_that_is_not_there_is_named_with_what_could_be(tmp_path: Path) -> None:
    message = refusal("LX-VECTORS-001", str(tmp_path / "glove"), [])
    assert "There is no file" in message
    assert "glove-6b-50d" in message


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "is a folder" in refusal("LX-FILE-009", str(tmp_path), [])


def text(folder: Path) -> str:
    return written(folder / "vectors.txt", PLAIN)


def text_with_header(folder: Path) -> str:
    return written(folder / "vectors.vec", f"3 3\n{PLAIN}")


def text_called_binary(folder: Path) -> str:
    return written(folder / "vectors.bin", f"3 3\n{PLAIN}")


def headless_text_called_binary(folder: Path) -> str:
    return written(folder / "vectors.bin", PLAIN)


def binary_of_gensim(folder: Path) -> str:
    return written(folder / "vectors.bin", binary(WORDS, MATRIX))


def binary_of_word2vec(folder: Path) -> str:
    return written(folder / "vectors.bin", binary(WORDS, MATRIX, b"\n"))


def binary_by_another_name(folder: Path) -> str:
    return written(folder / "vectors.w2v", binary(WORDS, MATRIX))


def binary_gz(folder: Path) -> str:
    return written(folder / "vectors.bin.gz", gzip.compress(binary(WORDS, MATRIX)))


def binary_bz2(folder: Path) -> str:
    return written(folder / "vectors.BIN.BZ2", bz2.compress(binary(WORDS, MATRIX, b"\n")))


def binary_xz(folder: Path) -> str:
    return written(folder / "vectors.bin.xz", lzma.compress(binary(WORDS, MATRIX)))


def binary_zst(folder: Path) -> str:
    zstandard = pytest.importorskip("zstandard")
    return written(folder / "vectors.bin.zst", zstandard.ZstdCompressor().compress(binary(WORDS, MATRIX)))


def matrix(folder: Path) -> str:
    np.save(folder / "vectors.npy", MATRIX)
    written(folder / "vectors.json", json.dumps(WORDS))
    return str(folder / "vectors.npy")


FORMATS = [
    text,
    text_with_header,
    text_called_binary,
    headless_text_called_binary,
    binary_of_gensim,
    binary_of_word2vec,
    binary_by_another_name,
    binary_gz,
    binary_bz2,
    binary_xz,
    binary_zst,
    matrix,
]


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_has_the_same_vectors(write: Callable[[Path], str], tmp_path: Path) -> None:
    source = write(tmp_path)
    vectors = open_vectors(source)
    positions, found = vectors.look_up(["bird", "好", "dog", "cat", "dog", "Cat"])
    assert (vectors.name, vectors.dim) == (Path(source).name, 3)
    assert positions.tolist() == [1, 2, 3, 4]
    assert [str(positions.dtype), str(found.dtype)] == ["int64", "float32"]
    np.testing.assert_array_equal(found, MATRIX[[2, 1, 0, 1]])


@pytest.mark.parametrize("write", FORMATS)
def test_no_word_of_those_asked_for_is_no_error(write: Callable[[Path], str], tmp_path: Path) -> None:
    for asked in ([], ["bird"]):
        positions, found = open_vectors(write(tmp_path)).look_up(asked)
        assert positions.shape == (0,)
        assert found.shape == (0, 3)


def test_a_path_will_do_as_well_as_its_name(tmp_path: Path) -> None:
    assert open_vectors(Path(text(tmp_path))).dim == 3


def test_a_zip_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    assert "is a zip archive. Unpack it" in refusal(
        "LX-VECTORS-004", written(tmp_path / "glove.zip", b"PK\x03\x04" + bytes(40)), []
    )


@pytest.mark.parametrize("start", [b"\xba\x16\x4f\x2f\x0c\0\0\0", b"\n\0\0\0\x05\0\0\0"])
def test_a_model_of_fasttext_is_refused_with_the_two_lines_that_convert_it(start: bytes, tmp_path: Path) -> None:
    message = refusal("LX-VECTORS-006", written(tmp_path / "cc.de.300.bin", start + bytes(100)), [], lines=3)
    assert "is not a word2vec file" in message
    assert "\n    from gensim.models.fasttext import load_facebook_vectors\n" in message
    assert "cc.de.300.bin').save_word2vec_format('" in message


def big_text(folder: Path) -> str:
    row = " ".join(["-0.123456"] * 300)
    return written(folder / "big.vec", "8000 300\n" + "".join(f"word{n} {row}\n" for n in range(8000)))


def big_binary(folder: Path) -> str:
    return written(folder / "big.bin", binary([f"word{n}" for n in range(20_000)], np.ones((20_000, 300))))


def big_matrix(folder: Path) -> str:
    np.save(folder / "big.npy", np.ones((20_000, 300), np.float32))
    written(folder / "big.txt", "".join(f"word{n}\n" for n in range(20_000)))
    return str(folder / "big.npy")


@pytest.mark.parametrize("write", [big_text, big_binary, big_matrix])
def test_a_big_file_is_never_in_memory_as_a_whole(write: Callable[[Path], str], tmp_path: Path) -> None:
    source = write(tmp_path)
    tracemalloc.start()
    try:
        positions, _ = open_vectors(source).look_up(["word7", "word7999"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(positions) == 2
    assert Path(source).stat().st_size > 20_000_000
    assert peak < 5_000_000


def test_a_file_without_line_breaks_is_not_read_to_its_end(tmp_path: Path) -> None:
    source = written(tmp_path / "v.txt", b"x" * 30_000_000)
    tracemalloc.start()
    try:
        assert "is not a file of vectors: its first line is 'xxx" in refusal("LX-VECTORS-022", source, [])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000
