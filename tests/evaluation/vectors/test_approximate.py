"""Nearest rows by an index: most of the exact ones, with exact cosines, in memory and from a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lexport.errors import InputError, MissingExtra
from lexport.evaluation.vectors import approximate
from lexport.evaluation.vectors.opening import of_vectors
from lexport.evaluation.vectors.rows import FloatRows, quantized
from lexport.evaluation.vectors.table import WordTable

from ...refusals import refused

voyager = pytest.importorskip("voyager")

COUNT = 300


def table(seed: int = 0, count: int = COUNT) -> WordTable:
    rows = np.random.default_rng(seed).standard_normal((count, 8), dtype=np.float32)
    return WordTable("tiny", [f"word{at}" for at in range(count)], FloatRows(rows))


@pytest.fixture(scope="module")
def glove() -> WordTable:
    """The first 10,000 words, in rows: the package's matrix lies in columns."""
    whole = of_vectors("glove-6b-50d")
    return WordTable("GloVe", whole.words[:10_000], FloatRows(whole.rows.vectors(np.arange(10_000))))


def test_of_glove_at_least_nineteen_in_twenty_neighbours_are_the_exact_ones(glove: WordTable) -> None:
    indexed = approximate.build(glove)
    assert indexed.recall is not None
    assert indexed.recall.words == 200
    assert indexed.recall.kept / 10 >= 0.95
    assert [one.word for one in indexed.table.similar(["dog"], 3)] == [one.word for one in glove.similar(["dog"], 3)]
    assert indexed.table.analogy("man", "king", "woman", 1)[0].word == "queen"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_cosines_are_exact_and_words_that_were_asked_about_are_left_out(precision: str) -> None:
    plain = table() if precision == "fp32" else WordTable("tiny", table().words, quantized(table().rows, precision))
    near = approximate.build(plain).table.similar(["word1", "word2"], 5)
    exact = {one.word: one.similarity for one in plain.similar(["word1", "word2"], COUNT)}
    assert len(near) == 5
    assert [one.similarity for one in near] == pytest.approx([exact[one.word] for one in near], abs=1e-6)
    assert [one.similarity for one in near] == sorted((one.similarity for one in near), reverse=True)


def test_rows_without_a_direction_are_never_found() -> None:
    rows = table().rows.vectors(np.arange(COUNT))
    rows[5], rows[6] = 0, np.nan
    words = [*table().words[:-1], "word0"]  # a second one of this name
    indexed = approximate.build(WordTable("tiny", words, FloatRows(rows)))
    found = [one.word for one in indexed.table.similar(["word1"], COUNT)]
    assert len(found) == len(set(found)) == COUNT - 4
    assert not {"word1", "word5", "word6"} & set(found)


def test_a_table_in_columns_is_indexed_as_one_in_rows(glove: WordTable) -> None:
    part = glove.rows.vectors(np.arange(1000))
    for matrix in (part, np.asfortranarray(part)):
        recall = approximate.build(WordTable("GloVe", glove.words[:1000], FloatRows(matrix))).recall
        assert recall is not None
        assert recall.kept >= 9.5


def test_a_table_of_few_words_is_found_whole() -> None:
    few = table(count=4)
    indexed = approximate.build(few)
    assert indexed.recall is None
    assert [one.word for one in indexed.table.similar(["word0"], 9)] == [
        one.word for one in few.similar(["word0"], 9)
    ]


def test_where_the_graph_reaches_too_few_rows_all_are_compared() -> None:
    rows = np.tile(np.array([[1, 2, 3]], np.float32), (2000, 1))
    rows[-1] = [3, 2, 1]
    equal = WordTable("equal", [f"word{at}" for at in range(2000)], FloatRows(rows))
    indexed = approximate.build(equal)
    near = indexed.table.nearest
    assert isinstance(near, approximate.Approximate)
    with pytest.raises(voyager.RecallError):
        near._index.query(rows[0], k=600, query_ef=600)
    assert indexed.table.similar(["word1999"], 200) == equal.similar(["word1999"], 200)


def test_a_file_keeps_the_index_and_what_it_finds(tmp_path: Path) -> None:
    indexed = approximate.build(table())
    approximate.save(indexed, tmp_path / "tiny.index")
    read = approximate.load(table(), tmp_path / "tiny.index")
    assert read.recall == indexed.recall
    assert read.table.similar(["word3"]) == indexed.table.similar(["word3"])
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.index"]


def test_an_index_is_refused_if_a_word_or_a_number_differs(tmp_path: Path) -> None:
    approximate.save(approximate.build(table()), tmp_path / "tiny.index")
    with refused(InputError, "LX-VECTORS-122", "tiny.index"):
        approximate.load(table(seed=1), tmp_path / "tiny.index")
    renamed = WordTable("other", [*table().words[:-1], "other"], table().rows)
    with refused(InputError, "LX-VECTORS-122", "other"):
        approximate.load(renamed, tmp_path / "tiny.index")


@pytest.mark.parametrize("place", [20, 600, -1])
def test_a_byte_that_differs_is_found(tmp_path: Path, place: int) -> None:
    file = tmp_path / "tiny.index"
    approximate.save(approximate.build(table()), file)
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with refused(InputError, "LX-VECTORS-120" if place == 20 else "LX-VECTORS-121", "tiny.index"):
        approximate.load(table(), file)


@pytest.mark.parametrize(
    "content", [b"word 1 0\n", b"\xff" * 600, b"[]", b'{"schema": "lexport word index 1"}', b"[" * 600]
)
def test_another_file_is_no_index(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    with refused(InputError, "LX-VECTORS-120", "other"):
        approximate.load(table(), tmp_path / "other")


def test_an_index_that_voyager_cannot_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tiny.index"
    approximate.save(approximate.build(table()), file)
    header = json.loads(file.read_bytes()[:512])
    del header["sha256"]
    with file.open("r+b") as handle:
        handle.truncate(600)
        handle.seek(512)
        header["sha256"] = approximate._sha256(header, handle)
        handle.seek(0)
        handle.write(json.dumps(header).encode().ljust(511) + b"\n")
    with refused(InputError, "LX-VECTORS-123", "tiny.index"):
        approximate.load(table(), file)


def test_without_voyager_its_pip_line_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "voyager", None)
    with refused(MissingExtra, "LX-INSTALL-002", "voyager", 'pip install "lexport[index]"'):
        approximate.build(table())
