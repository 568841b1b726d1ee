"""Every format gives all its words and vectors at once, in the order of the rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexport.data.pretrained import KeyedVectors, open_vectors
from lexport.errors import InputError

from ...refusals import refused
from .cases import MATRIX, PLAIN, WORDS, binary, written


@dataclass
class Keyed:
    """As gensim's, in memory."""

    key_to_index: dict[str, int] = field(default_factory=lambda: {"dog": 1, "cat": 0, "好": 2})
    vectors: Any = field(default_factory=lambda: MATRIX)


def matrix_file(folder: Path) -> str:
    np.save(folder / "v.npy", MATRIX)
    written(folder / "v.json", json.dumps({"dog": 1, "好": 2, "cat": 0}))
    return str(folder / "v.npy")


SOURCES: dict[str, Callable[[Path], str | KeyedVectors]] = {
    "text": lambda folder: written(folder / "v.txt", PLAIN),
    "text with a header": lambda folder: written(folder / "v.vec", f"3 3\n{PLAIN}"),
    "binary": lambda folder: written(folder / "v.bin", binary(WORDS, MATRIX)),
    "matrix": matrix_file,
    "in memory": lambda folder: Keyed(),
}


@pytest.mark.parametrize("source", SOURCES)
def test_all_words_and_vectors_come_in_the_order_of_the_rows(source: str, tmp_path: Path) -> None:
    words, matrix = open_vectors(SOURCES[source](tmp_path)).whole()
    assert words == WORDS
    np.testing.assert_array_equal(matrix, MATRIX)


@pytest.mark.parametrize("kind", ["text", "binary"])
def test_of_a_word_that_a_file_has_twice_the_first_counts(kind: str, tmp_path: Path) -> None:
    if kind == "text":
        source = written(tmp_path / "v.txt", f"{PLAIN}cat 9 9 9\n")
    else:
        source = written(tmp_path / "v.bin", binary([*WORDS, "cat"], np.vstack([MATRIX, MATRIX[1:2]])))
    words, matrix = open_vectors(source).whole()
    assert words == WORDS
    np.testing.assert_array_equal(matrix, MATRIX)


def test_a_matrix_and_the_package_stay_mapped(tmp_path: Path) -> None:
    for source in (matrix_file(tmp_path), "glove-6b-50d"):
        words, matrix = open_vectors(source).whole()
        assert isinstance(matrix, np.memmap)
        assert len(words) == len(matrix)


def test_damage_is_reported_as_when_words_are_looked_up(tmp_path: Path) -> None:
    with refused(InputError, "LX-VECTORS-024", "bad.vec", "line 2"):
        open_vectors(written(tmp_path / "bad.vec", "good 0.9 0.1 0.5\nbad -0.9 0.1\n")).whole()
    with refused(InputError, "LX-VECTORS-003", "word 2 of 2"):
        open_vectors(written(tmp_path / "bad.bin", b"2 3\ngood " + bytes(12) + b"bad " + bytes(7))).whole()
    np.save(tmp_path / "v.npy", MATRIX)
    with refused(InputError, "LX-VECTORS-009", "2 words", "3 vectors"):
        open_vectors(written(tmp_path / "v.txt", "cat\ndog\n").replace("v.txt", "v.npy")).whole()
    with refused(InputError, "LX-VECTORS-020", "Keyed", "'far'", "7"):
        open_vectors(Keyed({"dog": 1, "cat": 0, "far": 7})).whole()
