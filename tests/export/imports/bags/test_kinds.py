"""Classifiers of an embedding bag come in with the answers they gave; what cannot come in says why."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import nn

import lexport
from lexport.client.answers import Prediction
from lexport.errors import InputError
from lexport.export.imports.bags import files, kinds
from lexport.export.imports.importing import import_run
from lexport.export.imports.kind import ImportOptions
from lexport.models.corpus import Corpus
from lexport.models.predict import text_outputs
from lexport.models.run import Run

from ....refusals import refused
from . import cases

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def bring(path: Path, **options: Any) -> Run:
    """The run made of the file or archive."""
    data = cases.write_texts(path.parent / "texts.jsonl", cases.texts())
    return import_run(path, path.parent / "run", data, options=ImportOptions(**options))


def check(run: Run, module: nn.Module, split: Callable[[str], list[str]] | None = None) -> None:
    """Fail unless the run answers as torch does for texts whose words white space separates."""
    words = cases.rows()
    texts = ["a good film", "THE film is dull", "nothing known here", "warm , bad .", "été 好"]
    for text, found in zip(texts, text_outputs(run.model, run.encoder, texts), strict=True):
        ids = torch.tensor([words.get(word, 0) for word in text.lower().split()])
        with torch.inference_mode():
            given = (ids[None],) if isinstance(module, cases.Rows) else (ids, torch.tensor([0]))
            answer = module(*given)[0]
        expected = answer if getattr(module, "softmax", False) else answer.softmax(dim=0)
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


VOCABULARIES: list[Any] = [
    pytest.param("source_vocab.pt", lambda: saved(cases.rows()), id="torch.save of a dictionary"),
    pytest.param("source_vocab.pt", lambda: saved({"itos": cases.WORDS, "stoi": cases.rows()}), id="stoi"),
    pytest.param("vocab.pkl", lambda: pickle.dumps(OrderedDict(cases.rows()), 2), id="pickle"),
    pytest.param("vocab.pkl", lambda: pickle.dumps(cases.WORDS, 0), id="a list of the oldest protocol"),
    pytest.param("vocab.json", lambda: json.dumps(cases.rows()).encode(), id="JSON"),
    pytest.param("vocab.txt", lambda: "\r\n".join(cases.WORDS).encode("utf-8-sig"), id="text"),
]


@pytest.mark.parametrize(("name", "content"), VOCABULARIES)
def test_an_archive_of_torchscript(name: str, content: Callable[[], bytes], tmp_path: Path) -> None:
    module = cases.spread(cases.Classifier())
    script = cases.script(module, tmp_path / "model.pt").read_bytes()
    path = cases.archive(
        tmp_path / "old.mar", {"model.pt": script, name: content(), "index_to_name.json": cases.names()}
    )
    run = bring(path)
    check(run, module)
    assert run.labels == cases.LABELS
    assert run.info.imported["proof"]["proven"]
    assert run.info.imported["proof"]["same"] == len(cases.texts())
    assert run.info.imported["asked"]
    assert run.info.imported["pooling"] == "mean"


@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
@pytest.mark.parametrize("softmax", [False, True])
def test_how_a_program_pools_is_found_by_asking_it(mode: str, softmax: bool, tmp_path: Path) -> None:
    module = cases.spread(cases.Classifier(mode, softmax=softmax))
    path = cases.script(module, tmp_path / "model.pt")
    run = bring(path, **_beside(tmp_path))
    check(run, module)
    assert run.info.imported["pooling"] == mode


def _beside(folder: Path) -> dict[str, Path]:
    """Files of the vocabulary and the labels."""
    vocabulary, labels = folder / "words.json", folder / "labels.txt"
    vocabulary.write_text(json.dumps(cases.rows()), encoding="utf-8")
    labels.write_text("\n".join(cases.LABELS), encoding="utf-8")
    return {"vocabulary": vocabulary, "labels": labels}


def test_a_traced_program_and_one_of_rows(tmp_path: Path) -> None:
    module = cases.spread(cases.Classifier())
    traced = torch.jit.trace(module, (torch.tensor([1, 2]), torch.tensor([0])))  # type: ignore[no-untyped-call]
    traced.save(str(tmp_path / "traced.pt"))
    check(bring(tmp_path / "traced.pt", **_beside(tmp_path)), module)
    other = tmp_path / "other"
    other.mkdir()
    rows = cases.spread(cases.Rows())
    check(bring(cases.script(rows, other / "rows.pt"), **_beside(other)), rows)


def test_onnx(tmp_path: Path) -> None:
    module = cases.spread(cases.Rows())
    path = tmp_path / "model.onnx"
    torch.onnx.export(
        module,
        (torch.tensor([[1, 2, 3]]),),
        str(path),
        input_names=["ids"],
        dynamic_axes={"ids": {0: "texts", 1: "words"}},
        dynamo=False,
    )
    run = bring(path, **_beside(tmp_path))
    check(run, module)
    assert run.info.imported["asked"]


def test_onnx_that_cannot_be_brought_in(tmp_path: Path) -> None:
    beside = _beside(tmp_path)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    with refused(InputError, "LX-IMPORT-093", "model.onnx"):
        bring(path, **beside)

    def write(kind: int, domain: str) -> None:
        values = [helper.make_tensor_value_info(name, kind, [1]) for name in ("in", "out")]
        node = helper.make_node("Identity", ["in"], ["out"], domain=domain)
        weight = helper.make_tensor("weight", onnx.TensorProto.FLOAT, [1], [0.5])
        graph = helper.make_graph([node], "graph", values[:1], values[1:], [weight])
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
        path.write_bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())

    write(onnx.TensorProto.STRING, "")
    with refused(InputError, "LX-IMPORT-370", "model.onnx", "nothing behind", "skops"):
        bring(path)
    write(onnx.TensorProto.INT64, "own")
    with refused(InputError, "LX-IMPORT-094", "model.onnx", "own"):
        bring(path, **beside)
    write(onnx.TensorProto.INT64, "")
    with refused(InputError, "LX-IMPORT-101", "model.onnx", "--vocabulary"):
        bring(path)
    with refused(InputError, "LX-IMPORT-087", "model.onnx"):
        bring(path, **beside)
    whole = onnx.load_model(str(path))
    whole.graph.initializer[0].dims[:] = [1 << 40]
    path.write_bytes(whole.SerializeToString())
    with pytest.raises(InputError) as caught:
        bring(path, **beside)
    assert caught.value.code in ("LX-IMPORT-093", "LX-IMPORT-095")


def test_n_grams_in_the_vocabulary(tmp_path: Path) -> None:
    beside = _beside(tmp_path)
    words = [*cases.WORDS[:-4], "good film", "the film", "is bad", "a good film"]
    beside["vocabulary"].write_text(json.dumps(words), encoding="utf-8")
    module = cases.spread(cases.Classifier())
    run = bring(cases.script(module, tmp_path / "model.pt"), **beside)
    ids = [words.index(one) for one in ("a", "good", "film", "a good film", "good film")]
    ids += [0] * 1  # "a good" has no row of its own
    with torch.inference_mode():
        expected = module(torch.tensor(ids), torch.tensor([0]))[0].softmax(dim=0)
    np.testing.assert_allclose(text_outputs(run.model, run.encoder, ["A good film"])[0], expected, atol=1e-6)
    # What trains and diagnoses looks texts up word by word, and finds the same.
    rows = ["A good film", "", "the film is bad", "film", "good film good film the"]
    looked_up = Corpus.split_by(run.encoder, rows).looked_up(run.encoder)
    for chosen in (np.arange(len(rows)), np.array([3, 0])):
        tokens = run.encoder.look_up([rows[row] for row in chosen])
        np.testing.assert_array_equal(
            run.encoder.assemble(looked_up.take(chosen)), run.encoder.assemble(tokens), strict=True
        )


def test_weights_without_a_program(tmp_path: Path) -> None:
    module = cases.spread(cases.Classifier())
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    run = bring(tmp_path / "weights.pt", **_beside(tmp_path))
    check(run, module)
    assert not run.info.imported["asked"]


@pytest.mark.long
def test_the_archive_answers_as_the_foreign_model_did(tmp_path: Path) -> None:
    module = cases.spread(cases.Classifier())
    members = {
        "model.pt": cases.script(module, tmp_path / "model.pt").read_bytes(),
        "source_vocab.pt": saved(cases.rows()),
        "index_to_name.json": cases.names(),
    }
    old = cases.archive(tmp_path / "old.mar", members)
    run = bring(old, tokenizer="whitespace_lower")
    rows = cases.texts(80, seed=1)
    made = lexport.load(run.folder)
    assert isinstance(made, lexport.Run)
    made.export("onnx-fp32")
    archive = made.archive("1.0", out=tmp_path)
    words = cases.rows()
    for text, answer in zip(rows, lexport.load(archive.path).predict(rows), strict=True):
        ids = torch.tensor([words.get(word, 0) for word in text.lower().split()])
        with torch.inference_mode():
            expected = module(ids, torch.tensor([0]))[0].softmax(dim=0)
        assert isinstance(answer, Prediction)
        assert answer.label == cases.LABELS[int(expected.argmax())]
        assert answer.score == pytest.approx(float(expected.max()), abs=1e-5)


class _Command:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


def test_what_cannot_be_brought_in_says_why(tmp_path: Path) -> None:
    beside = _beside(tmp_path)
    good = cases.spread(cases.Classifier())
    script = cases.script(good, tmp_path / "model.pt")

    def other(module: nn.Module, name: str) -> Path:
        return cases.script(cases.spread(module), tmp_path / name)

    with refused(InputError, "LX-IMPORT-101", "model.pt"):
        bring(script)
    with refused(InputError, "LX-IMPORT-080", "spacy", "basic_english"):
        bring(script, **beside, tokenizer="spacy")
    with refused(InputError, "LX-IMPORT-089", "squared.pt"):
        bring(other(cases.Squared(), "squared.pt"), **beside)
    with refused(InputError, "LX-IMPORT-087", "deep.pt", "embedding.weight [17, 8]", "17 rows"):
        bring(other(cases.Deep(), "deep.pt"), **beside)
    frozen = tmp_path / "frozen.pt"
    torch.jit.freeze(torch.jit.script(good)).save(str(frozen))
    with refused(InputError, "LX-IMPORT-087", "frozen.pt", "none"):
        bring(frozen, **beside)
    with refused(InputError, "LX-IMPORT-091", "writing.pt", "torch.save"):
        bring(other(cases.Writing(), "writing.pt"), **beside)
    assert not Path("written").exists()
    torch.save(good, tmp_path / "whole.pt")
    with refused(InputError, "LX-IMPORT-066", "whole.pt", "Classifier"):
        bring(tmp_path / "whole.pt", **beside)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "code", "values"),
    [
        pytest.param(b'{"a": 0}', "LX-IMPORT-082", ["<unk>"], id="no unknown word"),
        pytest.param(b'{"<unk>": 0, "new  york": 1}', "LX-IMPORT-083", ["new  york"], id="two spaces"),
        pytest.param(b'{"<unk>": 0, "a b c d e f": 1}', "LX-IMPORT-083", ["a b c d e f"], id="long n-grams"),
        pytest.param(b'{"<unk>": "0"}', "LX-IMPORT-081", [], id="no numbers"),
        pytest.param(b'["<unk>", "a", "a"]', "LX-IMPORT-081", [], id="a word twice"),
        pytest.param(b'{"<unk>": 0', "LX-IMPORT-085", [], id="damaged"),
        pytest.param(b"\xff\xfe", "LX-IMPORT-084", ["byte 0"], id="no text"),
        pytest.param(pickle.dumps({"<unk>": 0, 1: 2}), "LX-IMPORT-081", [], id="a number as a word"),
    ],
)
def test_a_vocabulary_that_is_none(content: bytes, code: str, values: list[str], tmp_path: Path) -> None:
    script = cases.script(cases.spread(cases.Classifier()), tmp_path / "model.pt")
    beside = _beside(tmp_path)
    beside["vocabulary"].write_bytes(content)
    with refused(InputError, code, "words.json", *values):
        bring(script, **beside)


@pytest.mark.parametrize("content", [b"[]", b'["a", "a"]', b'{"0": "a", "2": "b"}', b'{"0": "a", "1": 3}', b"one"])
def test_labels_that_are_none(content: bytes, tmp_path: Path) -> None:
    script = cases.script(cases.spread(cases.Classifier()), tmp_path / "model.pt")
    beside = _beside(tmp_path)
    beside["labels"].write_bytes(content)
    with refused(InputError, "LX-IMPORT-086", "labels.txt"):
        bring(script, **beside)


def test_files_beside_a_model_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = cases.script(cases.spread(cases.Classifier()), tmp_path / "model.pt")
    beside = _beside(tmp_path)
    members = {
        "model.pt": script.read_bytes(),
        "vocab.json": beside["vocabulary"].read_bytes(),
        "index_to_name.json": cases.names(),
    }
    old = cases.archive(tmp_path / "old.mar", members)
    monkeypatch.setattr(files, "LONGEST", 100)
    monkeypatch.setattr(kinds, "LONGEST", 100)
    with refused(InputError, "LX-IMPORT-401", "words.json", "100"):
        bring(script, **beside)
    with refused(InputError, "LX-ARCHIVE-042", "vocab.json", "100"):
        bring(old)


def test_the_weights_of_a_larger_model_are_refused_at_once(tmp_path: Path) -> None:
    arrays = {f"layer{number}.weight": torch.zeros(20, 3) for number in range(2000)}
    torch.save(arrays, tmp_path / "large.pt")
    with refused(InputError, "LX-IMPORT-087", "large.pt", "layer0.weight [20, 3]"):
        bring(tmp_path / "large.pt", **_beside(tmp_path))


def test_a_vocabulary_that_is_a_program_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    script = cases.script(cases.spread(cases.Classifier()), tmp_path / "model.pt").read_bytes()
    members = {
        "model.pt": script,
        "index_to_name.json": cases.names(),
        "source_vocab.pt": saved({"<unk>": _Command(mark)}),
    }
    with refused(InputError, "LX-IMPORT-066", "source_vocab.pt", "system"):
        bring(cases.archive(tmp_path / "old.mar", members))
    assert not mark.exists()


def test_an_archive_without_the_files_it_needs(tmp_path: Path) -> None:
    script = cases.script(cases.spread(cases.Classifier()), tmp_path / "model.pt").read_bytes()
    with refused(InputError, "LX-IMPORT-098", "model.pt"):
        bring(cases.archive(tmp_path / "old.mar", {"handler.py": b""}))
    with refused(InputError, "LX-IMPORT-100", "source_vocab.json", "model.pt", "--vocabulary"):
        bring(cases.archive(tmp_path / "old.mar", {"model.pt": script}))
    path = cases.archive(tmp_path / "old.mar", {"model.pt": script, "vocab.json": json.dumps(cases.rows()).encode()})
    with refused(InputError, "LX-IMPORT-100", "index_to_name.json", "--labels"):
        bring(path)
    assert bring(path, labels=_beside(tmp_path)["labels"]).labels == cases.LABELS


def test_texts_that_both_read_otherwise_are_refused(tmp_path: Path) -> None:
    script = cases.script(cases.spread(cases.Classifier()), tmp_path / "model.pt")
    data = cases.write_texts(tmp_path / "texts.jsonl", ['a good"bad film', "the film"])
    beside = _beside(tmp_path)
    options = ImportOptions(vocabulary=beside["vocabulary"], labels=beside["labels"])
    with refused(lexport.RefusedError, "LX-IMPORT-004", "model.pt", "good"):
        import_run(script, tmp_path / "run", data, options=options)
    assert not (tmp_path / "run").exists()
