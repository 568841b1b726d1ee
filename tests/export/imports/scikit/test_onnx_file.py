"""ONNX files of skl2onnx come in with the answers of ONNX Runtime; kept/ has files of skl2onnx 1.20."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from lexport.errors import InputError
from lexport.export.imports.kind import ImportOptions
from lexport.export.imports.kinds import kind_of
from lexport.export.imports.scikit.graph import ScikitGraph
from lexport.models.predict import text_outputs

from ....refusals import refused
from .test_kind import bring, texts

KEPT = Path(__file__).parent / "kept"
FILES = ["log2", "idf4", "count2", "w2"]
# Texts without a word, and letters whose lower case is an ASCII letter, or two characters.
ODD = ["", "é", "...", "a", "İstanbul Kelvin good", "GOOD\tgood\x0bbad", "good\u2028bad", "映画 good"]


def read(path: Path) -> Any:
    found = kind_of(path).read(path, ImportOptions())
    found.model.eval()
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_thousand_texts_are_answered_as_by_onnx_runtime(name: str) -> None:
    found, rows = read(KEPT / f"{name}.onnx"), [*texts(1000, seed=9), *ODD]
    before, after = found.before(rows), text_outputs(found.model, found.encoder, rows)
    assert np.abs(before - after).max() < 1e-5
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()


def test_a_run_says_what_it_was_made_of(tmp_path: Path) -> None:
    run = bring(KEPT / "log2.onnx", tmp_path)
    found = run.info.imported
    assert (found["file"], found["ngrams"], found["probable"]) == ("log2.onnx", [1, 2], True)
    assert found["proof"]["proven"]
    assert found["proof"]["allowed"] == 1e-5


def test_what_a_run_cannot_have_is_named() -> None:
    with refused(InputError, "LX-IMPORT-372", "sub2.onnx", "1 + log n"):
        read(KEPT / "sub2.onnx")
    with refused(InputError, "LX-IMPORT-370", "nb2.onnx", "MatMul", "import_model"):
        read(KEPT / "nb2.onnx")


def attribute(kind: str, **values: Any) -> Callable[[Any], None]:
    """A change of the attributes of the first node of a kind."""

    def change(model: Any) -> None:
        node = next(one for one in model.graph.node if one.op_type == kind)
        kept = [one for one in node.attribute if one.name not in values]
        del node.attribute[:]
        node.attribute.extend([*kept, *(helper.make_attribute(name, one) for name, one in values.items())])

    return change


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (attribute("Tokenizer", tokenexp=r"(?i)\w+'?\w*"), "LX-IMPORT-371", "\\w*"),
        (attribute("Tokenizer", tokenexp=r"[^\n]"), "LX-IMPORT-371", "[^"),
        # Of "abc1" it finds nothing, where [a-z]+ finds "abc".
        (attribute("Tokenizer", tokenexp=r"\b[a-z]+\b"), "LX-IMPORT-371", "[a-z]+"),
        (attribute("Tokenizer", tokenexp=r"[a-zA-Z]+\b"), "LX-IMPORT-371", "[a-zA-Z]+"),
        (attribute("Tokenizer", mark=1), "LX-IMPORT-371", "options"),
        (attribute("StringNormalizer", stopwords=["the"]), "LX-IMPORT-370", "stop words"),
        (attribute("StringNormalizer", case_change_action="UPPER"), "LX-IMPORT-370", "UPPER"),
        (attribute("StringNormalizer", locale="tr_TR.UTF-8"), "LX-IMPORT-370", "tr_TR"),
        (attribute("TfIdfVectorizer", max_skip_count=2), "LX-IMPORT-370", "skips"),
        (attribute("TfIdfVectorizer", mode="IDF"), "LX-IMPORT-370", "IDF"),
        (attribute("TfIdfVectorizer", ngram_indexes=[0, 0]), "LX-IMPORT-370", "columns"),
        (attribute("Normalizer", norm="L1"), "LX-IMPORT-370", "L1"),
        (attribute("LinearClassifier", coefficients=[1.0]), "LX-IMPORT-370", "coefficients"),
        (attribute("LinearClassifier", post_transform="PROBIT"), "LX-IMPORT-370", "PROBIT"),
    ],
)
def test_a_graph_that_does_something_else_is_refused(
    change: Callable[[Any], None], code: str, told: str, tmp_path: Path
) -> None:
    model = onnx.load_model(str(KEPT / "log2.onnx"))
    change(model)
    path = tmp_path / "own.onnx"
    path.write_bytes(model.SerializeToString())
    with refused(InputError, code, "own.onnx", told):
        read(path)


@pytest.mark.parametrize("pattern", [r"\b\w\w+\b", r"\b[a-zA-Z0-9_]+\b", r"[a-z]+", r"[a-zA-Z]{3,}", r"\S+"])
def test_a_pattern_that_is_known_finds_the_words_that_onnx_runtime_finds(pattern: str, tmp_path: Path) -> None:
    model = onnx.load_model(str(KEPT / "log2.onnx"))
    attribute("Tokenizer", tokenexp=pattern)(model)
    path = tmp_path / "own.onnx"
    path.write_bytes(model.SerializeToString())
    found, rows = read(path), [*texts(100, seed=9), *ODD, "good2 2good film_ _film bad-film caféfilm"]
    assert np.abs(found.before(rows) - text_outputs(found.model, found.encoder, rows)).max() < 1e-5


def test_many_ways_through_the_nodes_behind_the_classifier_are_gone_once() -> None:
    model = onnx.load_model(str(KEPT / "log2.onnx"))
    node = next(one for one in model.graph.node if one.op_type == "LinearClassifier")
    before = node.output[1]
    for number in range(60):
        shape, after = f"shape {number}", f"after {number}"
        model.graph.node.append(helper.make_node("Cast", [before], [shape], to=onnx.TensorProto.INT64))
        model.graph.node.append(helper.make_node("Reshape", [before, shape], [after]))
        before = after
    assert len(ScikitGraph(model, "own.onnx").pipeline().labels) == 2


def test_several_labels_with_a_logistic_function_each_are_refused(tmp_path: Path) -> None:
    model = onnx.load_model(str(KEPT / "idf4.onnx"))
    attribute("LinearClassifier", post_transform="LOGISTIC")(model)
    (tmp_path / "own.onnx").write_bytes(model.SerializeToString())
    with refused(InputError, "LX-IMPORT-373", "own.onnx", "OneVsRest"):
        read(tmp_path / "own.onnx")


def test_a_label_without_the_highest_score_is_refused(tmp_path: Path) -> None:
    model = onnx.load_model(str(KEPT / "log2.onnx"))
    attribute("ZipMap", classlabels_strings=["label 1", "label 0"])(model)
    (tmp_path / "own.onnx").write_bytes(model.SerializeToString())
    found = read(tmp_path / "own.onnx")
    with refused(InputError, "LX-IMPORT-376", "own.onnx", "label"):
        found.before(texts(50, seed=3))
