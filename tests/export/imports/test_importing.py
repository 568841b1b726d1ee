"""Bringing a model in: a foreign model is recognised, compared with the run that is made of it, and written."""

from __future__ import annotations

import gzip
import json
import pickle
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from lexport.api.functions import import_model
from lexport.api.run import Run
from lexport.client.answers import Prediction, Vector
from lexport.errors import InputError, RefusedError
from lexport.evaluation.metrics import Outputs
from lexport.evaluation.tasks import task_of
from lexport.evaluation.trained import predictor_of
from lexport.export.imports import kinds
from lexport.export.imports.importing import import_run
from lexport.export.imports.kind import SCORES_WITHIN, Imported, ImportOptions
from lexport.export.imports.proof import compare
from lexport.export.imports.word_vectors import WordVectors
from lexport.handlers.request.explain import explain
from lexport.handlers.request.protocol import Request
from lexport.models.run import Run as TrainedRun

from ...refusals import refused

FASTTEXT = Path(__file__).parent / "fasttext"
VECTORS = "4 3\ngood 1 0 0\nbad -1 0.5 0\nfilm 0 1 0\nvery 0 0 1\n"
TEXTS = [f"a very good film number {number} and a bad one to see twice" for number in range(20)]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The texts that fastText was asked, whatever of them a CSV file can hold."""
    file = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    lines = (FASTTEXT / "texts.txt").read_bytes().decode().split("\n")[:200]
    file.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines if line.strip()), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def run(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    return import_run(FASTTEXT / "grams.bin", tmp_path_factory.mktemp("runs") / "topics", str(texts))


def vectors(tmp_path: Path) -> tuple[Path, str]:
    file, asked = tmp_path / "tiny.vec", tmp_path / "texts.csv"
    file.write_text(VECTORS, encoding="utf-8")
    asked.write_text("text\n" + "".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    return file, str(asked)


def test_a_run_says_what_it_was_made_of_and_how_its_answers_were_compared(run: TrainedRun) -> None:
    found = run.info.imported
    assert found["kind"] == "a classifier of fastText (.bin, .ftz)"
    assert (found["file"], found["loss"], found["dim"], found["buckets"]) == ("grams.bin", "softmax", 10, 300)
    proof = found["proof"]
    assert proof["proven"]
    assert proof["same"] == proof["texts"] > 100
    assert proof["largest_difference"] < proof["allowed"] == 1e-4
    assert "answered as before" in (run.folder / "README.md").read_text(encoding="utf-8")


def test_the_texts_are_held_out_with_the_answers_of_the_foreign_model_as_labels(run: TrainedRun) -> None:
    validation, test = run.held_out("validation"), run.held_out("test")
    assert abs(len(validation) - len(test)) <= 1
    assert set(validation.labels) <= set(run.labels)
    assert run.metrics["test"]["accuracy"] == 1.0
    assert run.parts_of(test) == ["test"] * len(test)
    assert run.info.data["train"] == 0


def test_an_explanation_adds_up_and_names_only_words_of_the_text(run: TrainedRun) -> None:
    [found] = explain(predictor_of(run), Request(["goal qqq butter oven </s> rain"]))
    assert found["method"] == "additive"
    assert [one["token"] for one in found["tokens"]] == ["goal", "qqq", "butter", "oven"]
    for label, logit in found["logits"].items():
        total = found["bias"][label] + sum(one["contributions"][label] for one in found["tokens"])
        assert total == pytest.approx(logit, abs=1e-4)


def test_an_answer_counts_the_words_of_the_text(run: TrainedRun) -> None:
    empty, found = Run(run).predict(["", "goal qqq butter"])
    assert isinstance(empty, Prediction)
    assert isinstance(found, Prediction)
    assert (empty.tokens, empty.unknown) == (0, 0)
    assert (found.tokens, found.unknown) == (3, 1)


def test_word_vectors_become_a_model_of_text_vectors(tmp_path: Path) -> None:
    file, asked = vectors(tmp_path)
    made = import_model(file, texts=asked, out=tmp_path / "run")
    assert isinstance(made, Run)
    [vector] = made.predict(["good FILM"])
    assert isinstance(vector, Vector)
    assert np.allclose(vector.vector, np.array([1, 1, 0]) / np.sqrt(2), atol=1e-6)
    assert made.info.imported["proof"]["least_cosine"] > 0.9999


def test_word_vectors_with_capitals_keep_them(tmp_path: Path) -> None:
    file, asked = vectors(tmp_path)
    file.write_text(VECTORS.replace("film", "Film"), encoding="utf-8")
    made = import_model(file, texts=asked, out=tmp_path / "run")
    assert isinstance(made, Run)
    assert made.predict(["Film"]) != made.predict(["film"])


def test_a_number_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    _, asked = vectors(tmp_path)
    np.save(tmp_path / "odd.npy", np.array([[1.0, np.inf]], np.float32))
    (tmp_path / "odd.json").write_text('["good"]')
    with refused(InputError, "LX-IMPORT-006", "odd.npy", "good"):
        import_model(tmp_path / "odd.npy", texts=asked, out=tmp_path / "run")


def test_what_is_not_there_or_not_known_is_refused(tmp_path: Path) -> None:
    _, asked = vectors(tmp_path)
    with refused(InputError, "LX-IMPORT-001", "none.bin"):
        import_model(tmp_path / "none.bin", texts=asked, out=tmp_path / "run")
    other = tmp_path / "other.bin"
    other.write_bytes(bytes(range(256)))
    with refused(InputError, "LX-IMPORT-002", "other.bin", "fastText"):
        import_model(other, texts=asked, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_vectors_that_gensim_exported(tmp_path: Path) -> None:
    _, asked = vectors(tmp_path)
    keyed = pytest.importorskip("gensim.models").KeyedVectors(3)
    keyed.add_vectors(["good", "bad"], np.eye(3, dtype=np.float32)[:2])
    keyed.save_word2vec_format(str(tmp_path / "own.bin"), binary=True)
    made = import_model(tmp_path / "own.bin", texts=asked, out=tmp_path / "run")
    assert isinstance(made, Run)
    assert made.info.imported["words"] == 2


class Sentiment:
    """An object of a program."""


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("packed", [bytes, zlib.compress, gzip.compress])
def test_a_pickle_of_an_object_is_refused_by_its_class(
    packed: Callable[[bytes], bytes], protocol: int, tmp_path: Path
) -> None:
    _, asked = vectors(tmp_path)
    path = tmp_path / "model.pkl"
    path.write_bytes(packed(pickle.dumps({"model": Sentiment()}, protocol)))
    with refused(InputError, "LX-IMPORT-360", "model.pkl", f"{Sentiment.__module__}.Sentiment", "--teacher"):
        import_model(path, texts=asked, out=tmp_path / "run")


def test_a_pipeline_that_joblib_pickled_can_be_brought_in_otherwise(tmp_path: Path) -> None:
    _, asked = vectors(tmp_path)
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, ["a", "b"] * 10)
    joblib.dump(pipeline, tmp_path / "model.joblib")
    with refused(InputError, "LX-IMPORT-360", "model.joblib", "sklearn.pipeline.Pipeline", "import_model", "skops"):
        import_model(tmp_path / "model.joblib", texts=asked, out=tmp_path / "run")


def test_a_model_of_keras_is_refused_for_its_program(tmp_path: Path) -> None:
    _, asked = vectors(tmp_path)
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, "{}")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    for name in ("model.h5", "model.keras", "saved"):
        with refused(InputError, "LX-IMPORT-361", name, "TensorFlow", "--vocabulary"):
            import_model(tmp_path / name, texts=asked, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"config.json": '{"model_type": "bert", "architectures": ["BertForSequenceClassification"]}'}, "BertFor"),
        ({"config.json": '{"model_type": "bert"}', "tokenizer.json": "{}", "model.safetensors": ""}, "bert"),
        ({"modules.json": "[]"}, "sentence-transformers"),
    ],
)
def test_a_folder_of_transformers_is_refused_by_its_architecture(
    files: dict[str, str], named: str, tmp_path: Path
) -> None:
    _, asked = vectors(tmp_path)
    folder = tmp_path / "own"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    with refused(InputError, "LX-IMPORT-362", "own", named, "--teacher"):
        import_model(folder, texts=asked, out=tmp_path / "run")


def test_one_text_compares_nothing(tmp_path: Path) -> None:
    file, _ = vectors(tmp_path)
    (tmp_path / "one.csv").write_text("text\na very good film\n")
    with refused(InputError, "LX-IMPORT-003", "one.csv", 1):
        import_model(file, texts=tmp_path / "one.csv", out=tmp_path / "run")


def test_texts_too_short_for_halves_leave_nothing_to_measure_vectors_on(tmp_path: Path) -> None:
    file, _ = vectors(tmp_path)
    (tmp_path / "few.csv").write_text(f"text\n{TEXTS[0]}\ngood\n")
    with refused(InputError, "LX-IMPORT-005", "few.csv", "test"):
        import_model(file, texts=tmp_path / "few.csv", out=tmp_path / "run")


class Forgetful(WordVectors):
    """Word vectors of a program that answers otherwise."""

    def read(self, path: Path, options: ImportOptions) -> Imported:
        imported = super().read(path, options)

        def answer(texts: object) -> Outputs:
            return -imported.before(TEXTS)

        return replace(imported, before=answer)


def test_a_run_that_answers_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, asked = vectors(tmp_path)
    monkeypatch.setattr(kinds, "KINDS", (Forgetful(),))
    with refused(RefusedError, "LX-IMPORT-004", "tiny.vec", "20 of 20"):
        import_model(file, texts=asked, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_name_of_an_archive_says_its_version(tmp_path: Path) -> None:
    file, asked = vectors(tmp_path)
    with refused(InputError, "LX-IMPORT-007", "noversion.mar", "NAME-VERSION.mar"):
        import_model(file, texts=asked, out=tmp_path / "noversion.mar")


def scores(*rows: list[float]) -> Outputs:
    return np.array(rows, np.float32)


def test_another_label_is_the_same_where_the_foreign_scores_are_as_good_as_equal() -> None:
    task = task_of("classify", ["a", "b"])
    before = scores([0.50001, 0.49999], [0.9, 0.1])
    close = compare(task, SCORES_WITHIN, ["x", "y"], before, scores([0.49999, 0.50001], [0.9, 0.1]))
    assert (close.proven, close.same) == (True, 2)
    far = compare(task, SCORES_WITHIN, ["x", "y"], before, scores([0.50001, 0.49999], [0.1, 0.9]))
    assert (far.proven, far.same) == (False, 1)
    assert "'y'" in far.why


def test_a_score_that_is_no_number_proves_nothing() -> None:
    task = task_of("classify", ["a", "b"])
    assert not compare(task, SCORES_WITHIN, ["x"], scores([0.9, 0.1]), scores([0.9, float("nan")])).proven
