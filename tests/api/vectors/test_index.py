"""`Vectors.index`: many searches of a large table, as Python calls it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lexport

from ...refusals import refused

pytest.importorskip("voyager")


@pytest.fixture
def vectors(tmp_path: Path) -> lexport.Vectors:
    rows = np.random.default_rng(0).standard_normal((200, 6))
    lines = [f"word{at} {' '.join(map(str, row))}" for at, row in enumerate(rows)]
    (tmp_path / "v.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lexport.vectors(tmp_path / "v.txt")


def test_an_index_in_memory_finds_what_the_exact_search_finds(vectors: lexport.Vectors) -> None:
    said: list[str] = []
    index = vectors.index(say=said.append)
    assert said == ["found 10.00 of the ten exact neighbours, over 200 sampled words"]
    assert repr(index) == "WordIndex('v.txt', 200 words, 10.00 of ten neighbours are exact)"
    for words in ("word7", ["word7", "word9"]):
        assert [one.word for one in index.similar(words)] == [one.word for one in vectors.similar(words)]
    assert index.similar_to_each(["word1", "word2"], 3) == [index.similar("word1", 3), index.similar("word2", 3)]
    assert index.analogy("word1", "word2", "word3")[0].word == vectors.analogy("word1", "word2", "word3")[0].word
    with refused(lexport.InputError, "LX-VECTORS-102", "wrod7"):
        index.similar("wrod7")


def test_a_file_is_written_once_and_opened_from_then_on(vectors: lexport.Vectors, tmp_path: Path) -> None:
    first = vectors.index(tmp_path / "v.index")
    written = (tmp_path / "v.index").stat()
    second = vectors.index(str(tmp_path / "v.index"))
    assert (tmp_path / "v.index").stat().st_mtime_ns == written.st_mtime_ns
    assert second.similar("word7") == first.similar("word7")
    assert second.recall == first.recall


def test_a_file_of_something_else_is_never_replaced(vectors: lexport.Vectors, tmp_path: Path) -> None:
    before = (tmp_path / "v.txt").read_bytes()
    with refused(lexport.InputError, "LX-VECTORS-120", "v.txt"):
        vectors.index(tmp_path / "v.txt")
    assert (tmp_path / "v.txt").read_bytes() == before
    with refused(lexport.InputError, "LX-FILE-009"):
        vectors.index(tmp_path)
