"""Word vectors that gensim saved come in with gensim's similarities; nothing in their pickles is made or called."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gensim.models import Doc2Vec, FastText, KeyedVectors, Word2Vec
from gensim.models.doc2vec import TaggedDocument

from lexport.errors import InputError
from lexport.export.imports.importing import import_run
from lexport.export.imports.kinds import kind_of
from lexport.models.predict import text_outputs
from lexport.models.run import Run

from ...refusals import refused

SENTENCES = [f"a good film number {number} and a dull one to see twice".split() for number in range(20)]
WORDS = "a good film number and dull one to see twice naïve 映 москва".split()


def texts(folder: Path) -> str:
    file = folder / "texts.csv"
    file.write_text("text\n" + "".join(f"{' '.join(one)}\n" for one in SENTENCES), encoding="utf-8")
    return str(file)


def keyed(kind: Any = np.float32) -> KeyedVectors:
    made = KeyedVectors(6, dtype=kind)
    made.add_vectors(WORDS, np.random.default_rng(3).normal(size=(len(WORDS), 6)).astype(kind))
    return made


@pytest.fixture(scope="module")
def trained() -> Word2Vec:
    return Word2Vec(SENTENCES, vector_size=8, min_count=1, seed=1, workers=1)


def check(run: Run, vectors: KeyedVectors, within: float = 1e-5) -> None:
    """Fail unless words are as similar as in gensim, and texts are the mean of their words as gensim has it."""
    words = [word for word in WORDS if word in vectors]
    found = text_outputs(run.model, run.encoder, words)
    for row, word in enumerate(words):
        others = [vectors.similarity(word, other) for other in words]
        assert np.allclose(found @ found[row], others, atol=within)
    rows = [sentence for sentence in SENTENCES if all(word in vectors for word in sentence)]
    means = [vectors.get_mean_vector(sentence, pre_normalize=False, post_normalize=True) for sentence in rows]
    if rows:
        answers = text_outputs(run.model, run.encoder, [" ".join(one) for one in rows])
        assert np.allclose(answers, means, atol=within)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_keyed_vectors_have_gensims_similarities(protocol: int, tmp_path: Path) -> None:
    vectors = keyed()
    vectors.save(str(tmp_path / "own.kv"), pickle_protocol=protocol)
    run = import_run(tmp_path / "own.kv", tmp_path / "run", texts(tmp_path))
    check(run, vectors)
    found = run.info.imported
    assert (found["words"], found["dim"], found["saved"]) == (len(WORDS), 6, "KeyedVectors")
    assert found["proof"]["proven"]


@pytest.mark.parametrize(("kind", "within"), [(np.float16, 2e-3), (np.float64, 1e-5)])
def test_other_numbers_become_float32(kind: Any, within: float, tmp_path: Path) -> None:
    vectors = keyed(kind=kind)
    vectors.save(str(tmp_path / "own.kv"))
    check(import_run(tmp_path / "own.kv", tmp_path / "run", texts(tmp_path)), vectors, within)


def test_arrays_that_gensim_kept_in_files_beside_it_are_read_there(tmp_path: Path) -> None:
    vectors = keyed()
    vectors.fill_norms()
    vectors.save(str(tmp_path / "own.kv"), separately=["vectors"])
    assert (tmp_path / "own.kv.vectors.npy").exists()
    check(import_run(tmp_path / "own.kv", tmp_path / "run", texts(tmp_path)), vectors)


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_of_a_trained_model_its_word_vectors_are_taken(limit: int, trained: Word2Vec, tmp_path: Path) -> None:
    trained.save(str(tmp_path / "own.model"), sep_limit=limit)
    assert (tmp_path / "own.model.wv.vectors.npy").exists() == (limit == 0)
    run = import_run(tmp_path / "own.model", tmp_path / "run", texts(tmp_path))
    check(run, trained.wv)
    assert run.info.imported["saved"] == "Word2Vec"


def test_the_formats_of_word2vec_that_gensim_writes_are_read(tmp_path: Path) -> None:
    vectors = keyed()
    for name, binary in (("own.bin", True), ("own.txt", False)):
        vectors.save_word2vec_format(str(tmp_path / name), binary=binary)
        check(import_run(tmp_path / name, tmp_path / f"run-{name}", texts(tmp_path)), vectors)


def test_the_n_grams_of_gensims_fasttext_are_refused(tmp_path: Path) -> None:
    made = FastText(SENTENCES, vector_size=4, min_count=1, bucket=50, seed=1, workers=1)
    made.save(str(tmp_path / "own.model"))
    with refused(InputError, "LX-IMPORT-353", "own.model", "FastText", ".wv.save_word2vec_format"):
        import_run(tmp_path / "own.model", tmp_path / "run", texts(tmp_path))
    made.wv.save(str(tmp_path / "own.kv"))
    with refused(InputError, "LX-IMPORT-353", "own.kv", "FastTextKeyedVectors", "save_word2vec_format"):
        import_run(tmp_path / "own.kv", tmp_path / "run", texts(tmp_path))


def test_vectors_of_documents_are_refused_by_their_class(tmp_path: Path) -> None:
    documents = [TaggedDocument(words, [number]) for number, words in enumerate(SENTENCES)]
    Doc2Vec(documents, vector_size=4, min_count=1, seed=1, workers=1).save(str(tmp_path / "own.model"))
    with refused(InputError, "LX-IMPORT-355", "own.model", "gensim.models.doc2vec.Doc2Vec", "save_word2vec_format"):
        import_run(tmp_path / "own.model", tmp_path / "run", texts(tmp_path))


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
        import_run(tmp_path / "own.kv", tmp_path / "run", texts(tmp_path))
    assert not mark.exists()


def test_words_that_no_text_has_are_left_out(tmp_path: Path) -> None:
    """A line break, half of a surrogate pair, and nothing: none is a line of a vocabulary in UTF-8."""
    made = KeyedVectors(2, dtype=np.float64)
    made.add_vectors(["good", "ba\rd", "a\ud800", "", "film"], np.eye(5, 2))
    (tmp_path / "own.kv").write_bytes(pickle.dumps(made, 4))
    run = import_run(tmp_path / "own.kv", tmp_path / "run", texts(tmp_path))
    assert run.encoder.vocabulary == ["good", "film"]
    made.vectors[1] = 1e300  # of a word that is left out
    made.vectors[4] = 1e300
    (tmp_path / "own.kv").write_bytes(pickle.dumps(made, 4))
    with refused(InputError, "LX-IMPORT-006", "own.kv", "'film'"):
        import_run(tmp_path / "own.kv", tmp_path / "again", texts(tmp_path))


def test_it_is_told_by_its_content(tmp_path: Path) -> None:
    keyed().save(str(tmp_path / "named.bin"))
    assert kind_of(tmp_path / "named.bin").NAME.startswith("word vectors of gensim")
