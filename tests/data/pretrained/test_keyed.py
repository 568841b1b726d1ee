"""gensim's vectors in memory, and the files that gensim writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lexport.data.pretrained import Vectors, open_vectors

from .cases import MATRIX, WORDS, refusal


@dataclass
class Keyed:
    """As much of gensim's KeyedVectors as is used."""

    key_to_index: dict[Any, int] = field(default_factory=lambda: {"dog": 1, "好": 2, "cat": 0})
    vectors: Any = field(default_factory=MATRIX.copy)


def check(vectors: Vectors) -> None:
    positions, found = vectors.look_up(["bird", "好", "dog", "cat", "dog"])
    assert vectors.dim == 3
    assert positions.tolist() == [1, 2, 3, 4]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, MATRIX[[2, 1, 0, 1]])


def test_an_object_with_gensims_two_attributes_will_do() -> None:
    vectors = open_vectors(Keyed())
    assert vectors.name == "Keyed"
    check(vectors)
    assert open_vectors(Keyed()).look_up([])[1].shape == (0, 3)


def test_what_was_looked_up_is_a_copy() -> None:
    keyed = Keyed()
    _, found = open_vectors(keyed).look_up(["cat"])
    found[:] = 9
    np.testing.assert_array_equal(keyed.vectors, MATRIX)


@pytest.mark.parametrize(
    ("keyed", "what", "code"),
    [
        (
            SimpleNamespace(),
            "A SimpleNamespace has no usable vectors; expected gensim's KeyedVectors",
            "LX-VECTORS-015",
        ),
        (SimpleNamespace(wv=Keyed()), "Pass its .wv.", "LX-VECTORS-015"),
        (
            Keyed(vectors=MATRIX[:2]),
            "has 3 words in key_to_index and 2 vectors; expected one vector for each word",
            "LX-VECTORS-017",
        ),
        (Keyed(vectors=MATRIX[0]), "are float32 of the shape [3]; expected a matrix of floats", "LX-VECTORS-016"),
        (
            Keyed(vectors=np.ones((3, 3), int)),
            "are int64 of the shape [3, 3]; expected a matrix of floats",
            "LX-VECTORS-016",
        ),
        (Keyed({"cat": 0, "dog": 3, "好": 1}), "gives 'dog' row 3; 0 to 2 were expected", "LX-VECTORS-020"),
        (
            Keyed(vectors=MATRIX / np.array([1, 1, np.nan])),
            "the vector of 'dog', row 1, has the number nan",
            "LX-VECTORS-021",
        ),
    ],
)
def test_an_object_that_will_not_do_says_why(keyed: Any, what: str, code: str) -> None:
    assert what in refusal(code, keyed, ["dog"])


def test_gensims_own_vectors_are_read_from_memory_and_from_the_files_it_writes(tmp_path: Path) -> None:
    keyed = pytest.importorskip("gensim.models").KeyedVectors(3)
    keyed.add_vectors(WORDS, MATRIX)
    check(open_vectors(keyed))
    for name, binary in (("v.bin", True), ("v.bin.gz", True), ("v.w2v", True), ("v.vec", False), ("text.bin", False)):
        keyed.save_word2vec_format(str(tmp_path / name), binary=binary)
        check(open_vectors(tmp_path / name))
