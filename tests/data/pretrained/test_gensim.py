"""Files that gensim saved are read without gensim, and nothing in their pickles is made or called."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gensim.models import FastText, KeyedVectors, Word2Vec
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.data.pretrained import open_vectors
from lexport.data.pretrained.gensim import read_gensim
from lexport.errors import InputError

from ...refusals import refused
from .cases import refusal

WORDS = "a good film number and dull one to see twice naïve 映 москва".split()
SENTENCES = [["a", "good", "film"], ["a", "dull", "one"]] * 5


def keyed(count: int = len(WORDS), dim: int = 6) -> KeyedVectors:
    made = KeyedVectors(dim)
    words = WORDS + [f"w{number}" for number in range(count - len(WORDS))]
    made.add_vectors(words, np.random.default_rng(3).normal(size=(count, dim)).astype(np.float32))
    return made


def check(path: Path, vectors: KeyedVectors) -> None:
    """Fail unless the file is opened as word vectors, those of `vectors`."""
    opened = open_vectors(path)
    assert (opened.name, opened.dim, opened.skipped) == (path.name, vectors.vector_size, 0)
    words, matrix = opened.whole()
    assert words == vectors.index_to_key
    np.testing.assert_array_equal(matrix, vectors.vectors)
    positions, found = opened.look_up(["no word", words[-1], words[0]])
    assert positions.tolist() == [1, 2]
    np.testing.assert_array_equal(found, vectors.vectors[[-1, 0]])


@pytest.mark.parametrize("separately", [[], ["vectors"]], ids=["in the pickle", "beside it"])
def test_keyed_vectors_are_opened_as_they_were_saved(separately: list[str], tmp_path: Path) -> None:
    vectors = keyed()
    vectors.save(str(tmp_path / "own.kv"), separately=separately)
    assert (tmp_path / "own.kv.vectors.npy").exists() == bool(separately)
    check(tmp_path / "own.kv", vectors)


@pytest.mark.parametrize("limit", [0, 1 << 20], ids=["beside it", "in the pickle"])
def test_of_a_trained_model_its_word_vectors_are_opened(limit: int, tmp_path: Path) -> None:
    trained = Word2Vec(SENTENCES, vector_size=4, min_count=1, seed=1, workers=1)
    trained.save(str(tmp_path / "own.model"), sep_limit=limit)
    check(tmp_path / "own.model", trained.wv)


def test_the_content_of_a_file_says_that_it_is_gensims(tmp_path: Path) -> None:
    vectors = keyed()
    vectors.save(str(tmp_path / "own.bin"))
    check(tmp_path / "own.bin", vectors)


@pytest.mark.long
def test_ten_million_numbers_lie_beside_the_pickle_without_being_asked_to(tmp_path: Path) -> None:
    vectors = keyed(52_500, 200)
    vectors.save(str(tmp_path / "large.kv"))
    assert (tmp_path / "large.kv.vectors.npy").exists()
    found = read_gensim(tmp_path / "large.kv")
    assert found.words == vectors.index_to_key
    assert isinstance(found.vectors, np.memmap)
    assert np.array_equal(found.vectors, vectors.vectors)


def test_a_compressed_pickle_is_to_be_unpacked(tmp_path: Path) -> None:
    keyed().save(str(tmp_path / "own.kv"))
    (tmp_path / "own.kv.gz").write_bytes(gzip.compress((tmp_path / "own.kv").read_bytes()))
    assert "own.kv.gz is a compressed pickle" in refusal("LX-VECTORS-005", tmp_path / "own.kv.gz", [])


def test_a_number_that_is_not_finite_is_refused_where_its_word_is_asked_for(tmp_path: Path) -> None:
    vectors = keyed()
    vectors.vectors[1, 2] = np.nan
    vectors.save(str(tmp_path / "own.kv"))
    assert len(open_vectors(tmp_path / "own.kv").look_up(["a", "film"])[1]) == 2
    assert "'good', row 1, has the number nan" in refusal("LX-VECTORS-021", tmp_path / "own.kv", ["good"])


@pytest.mark.parametrize("whole", [True, False])
def test_the_lines_that_save_the_words_of_a_model_with_n_grams_do(whole: bool, tmp_path: Path) -> None:
    made = FastText(SENTENCES, vector_size=4, min_count=1, bucket=50, seed=1, workers=1)
    (made if whole else made.wv).save(str(tmp_path / "own.model"))
    lines = refusal("LX-IMPORT-353", tmp_path / "own.model", [], lines=3).split("\n")[1:]
    exec("\n".join(line.strip() for line in lines), {})
    positions, found = open_vectors(tmp_path / "own.model.bin").look_up(["good", "film", "gripping"])
    assert positions.tolist() == [0, 1]
    np.testing.assert_array_equal(found, made.wv[["good", "film"]])


class _Command:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


def test_a_pickle_that_runs_a_command_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    mark, vectors = tmp_path / "ran", keyed()
    vectors.extra = _Command(mark)
    (tmp_path / "own.kv").write_bytes(pickle.dumps(vectors))
    with refused(InputError, "LX-IMPORT-355", "own.kv", f"{os.name}.system"):
        open_vectors(tmp_path / "own.kv")
    (tmp_path / "other.kv").write_bytes(pickle.dumps(_Command(mark)))
    with refused(InputError, "LX-IMPORT-355", "other.kv", f"{os.name}.system"):
        open_vectors(tmp_path / "other.kv")
    assert not mark.exists()


def saved(folder: Path, **attributes: Any) -> Path:
    """KeyedVectors that were saved with other attributes."""
    made = keyed()
    made.__dict__.update(attributes)
    (folder / "own.kv").write_bytes(pickle.dumps(made, 4))
    return folder / "own.kv"


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        pytest.param({"vectors": None}, "no vectors", id="no vectors"),
        pytest.param({"vectors": [[1.0]]}, "list in the place of an array", id="a list"),
        pytest.param({"vectors": np.zeros((2, 3), np.float32)}, "13 words and vectors [2, 3]", id="too few"),
        pytest.param({"vectors": np.zeros(13, np.float32)}, "vectors [13]", id="one axis"),
        pytest.param({"vectors": np.zeros((13, 0), np.float32)}, "vectors [13, 0]", id="no dimensions"),
        pytest.param({"vectors": np.zeros((13, 3), np.int64)}, "of int64", id="whole numbers"),
        pytest.param({"vectors": np.array([[None]])}, "type 'O8'", id="objects"),
        pytest.param({"vectors": np.array(["a"])}, "type 'U1'", id="strings"),
        pytest.param({"vectors": np.float32(1)}, "scalar in the place of an array", id="one number"),
        pytest.param({"index_to_key": []}, "no words", id="no words"),
        pytest.param({"index_to_key": [7] * 13}, "the key 7", id="numbers for words"),
        pytest.param({"index_to_key": [None] * 13}, "the key None", id="room that was never used"),
    ],
)
def test_what_are_no_word_vectors_is_told(attributes: dict[str, Any], told: str, tmp_path: Path) -> None:
    with refused(InputError, "LX-IMPORT-352", "own.kv", told):
        read_gensim(saved(tmp_path, **attributes))


def test_an_object_that_holds_itself_is_refused(tmp_path: Path) -> None:
    made = keyed()
    made.expandos = {"own": made}
    (tmp_path / "own.kv").write_bytes(pickle.dumps(made, 4))
    with refused(InputError, "LX-IMPORT-071", "own.kv", "Instance"):
        read_gensim(tmp_path / "own.kv")


def test_a_file_beside_it_that_is_missing_or_holds_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.kv"
    keyed().save(str(path), separately=["vectors"])
    beside = tmp_path / "own.kv.vectors.npy"
    beside.unlink()
    with refused(InputError, "LX-IMPORT-354", "own.kv", "own.kv.vectors.npy"):
        read_gensim(path)
    np.save(beside, np.array([[_Command(tmp_path / "ran")]]), allow_pickle=True)
    with refused(InputError, "LX-IMPORT-354", "own.kv", "own.kv.vectors.npy"):
        read_gensim(path)
    beside.write_bytes(b"\x93NUMPY\x01\x00\x00")
    with refused(InputError, "LX-IMPORT-354", "own.kv", "own.kv.vectors.npy"):
        read_gensim(path)
    assert not (tmp_path / "ran").exists()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("spoiled")
    content = bytearray(saved(folder).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "own.kv").write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        found = read_gensim(folder / "own.kv")
    except InputError:
        return
    assert len(found.words) == len(found.vectors)
