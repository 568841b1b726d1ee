"""Folders of model2vec come in with the vectors they gave, whatever their tokenizer; what cannot come in says why."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

import lexport
from lexport.errors import InputError, MissingExtra
from lexport.export.imports import model2vec as kind
from lexport.export.imports.importing import import_run
from lexport.export.imports.kinds import kind_of
from lexport.models.predict import text_outputs
from lexport.models.run import Run

from ... import tokenizer_files as files
from ...refusals import refused

Array = npt.NDArray[Any]


def write(
    folder: Path,
    tokenizer: str | bytes = "wordpiece",
    *,
    normalize: bool = True,
    config: Mapping[str, Any] | None = None,
    **tensors: Array,
) -> Path:
    """A folder as model2vec writes it, with vectors of its own unless they are given."""
    content = tokenizer if isinstance(tokenizer, bytes) else files.trained(tokenizer)
    count = files.opened(content).get_vocab_size()
    folder.mkdir()
    save_file({"embeddings": files.vectors(count), **tensors}, folder / "model.safetensors")
    (folder / "tokenizer.json").write_bytes(content)
    usual = {"model_type": "model2vec", "architectures": ["StaticModel"], "seq_length": 1000000, "apply_pca": 32}
    (folder / "config.json").write_text(json.dumps({**usual, "normalize": normalize, **(config or {})}))
    return folder


def bring(folder: Path, rows: list[str] | None = None) -> Run:
    data = files.write_texts(folder.parent / "texts.jsonl", rows or files.reviews()[:60])
    return import_run(folder, folder.parent / "run", data)


def quantized(count: int) -> dict[str, Any]:
    """Tensors of a model whose tokens share vectors."""
    draw = np.random.default_rng(1)
    return {
        "embeddings": files.vectors(50),
        "mapping": draw.integers(0, 50, count),
        "weights": draw.uniform(0.1, 3, count).astype(np.float32),
    }


COUNT = 2000
CASES: dict[str, dict[str, Any]] = {
    **{name: {"tokenizer": name} for name in files.KINDS},
    "as it is": {"normalize": False},
    "fp16": {"embeddings": files.vectors(COUNT).astype(np.float16)},
    "fp64": {"embeddings": files.vectors(COUNT).astype(np.float64)},
    "int8": {"embeddings": np.clip(files.vectors(COUNT) * 40, -127, 127).astype(np.int8)},
    "weights": {"weights": np.random.default_rng(2).uniform(0.1, 3, COUNT).astype(np.float32)},
    "mapping": quantized(COUNT),
    "a limit": {"config": {"max_length": 7}},
    "no limit": {"config": {"max_length": None}},
}
# Beside real texts: nothing known, nothing, much.
FURTHER = ["ꙮ ꙮꙮ", "🙂 a good film", "Crème brûlée, ÎLE", "a good film " * 400, "x" * 6000, "好 " * 900 + "film"]


QUICK = ("wordpiece", "unigram", "mapping")  # the others in full runs


@pytest.fixture(params=[pytest.param(one, marks=[] if one in QUICK else pytest.mark.long) for one in CASES])
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = CASES[request.param]
    return found


def test_a_run_answers_what_model2vec_answers(case: dict[str, Any], tmp_path: Path) -> None:
    model2vec = pytest.importorskip("model2vec", reason="the reference, of lexport[dev]")
    folder = write(tmp_path / "potion", **case)
    run = bring(folder)
    texts = [*files.reviews()[300:600], *FURTHER]
    theirs = model2vec.StaticModel.from_pretrained(folder).encode(texts).astype(np.float64)
    theirs /= np.maximum(np.linalg.norm(theirs, axis=1, keepdims=True), 1e-12)
    own = text_outputs(run.model, run.encoder, texts)
    known = theirs.any(axis=1)
    assert (own.any(axis=1) == known).all()
    assert (theirs * own).sum(axis=1)[known].min() >= 0.9999
    found = run.info.imported
    assert found["asked"].startswith("model2vec ")
    assert found["proof"]["proven"]
    assert found["proof"]["least_cosine"] >= 0.9999


def test_without_model2vec_the_files_say_what_it_answers(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "is_installed", lambda name: False)
    run = bring(write(tmp_path / "potion", **case), [*files.reviews()[:30], *FURTHER])
    assert run.info.imported["asked"] == "the numbers in its files"
    assert run.info.imported["proof"]["least_cosine"] >= 0.9999


def test_the_files_say_what_model2vec_says(case: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("model2vec", reason="the reference, of lexport[dev]")
    folder = write(tmp_path / "potion", **case)
    texts = [*files.reviews()[:50], *FURTHER]
    read = kind._averaging(kind._read(folder))(texts)
    np.testing.assert_allclose(read, kind._ask(folder, texts), atol=2e-3)


def test_a_folder_that_model2vec_saved_comes_in(tmp_path: Path) -> None:
    model2vec = pytest.importorskip("model2vec", reason="the reference, of lexport[dev]")
    opened = files.opened(files.trained("unigram"))
    model = model2vec.StaticModel(files.vectors(opened.get_vocab_size()), opened, normalize=True)
    model.save_pretrained(tmp_path / "saved")
    run = bring(tmp_path / "saved")
    assert run.info.imported["tokenizer"] == "Unigram"
    assert run.info.imported["normalizes"]


def test_the_run_says_what_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "potion", **quantized(COUNT))
    run = bring(folder)
    found = run.info.imported
    assert found["kind"] == kind_of(folder).NAME
    assert (found["file"], found["tokenizer"], found["tokens"], found["vectors"]) == (
        "potion",
        "WordPiece",
        COUNT,
        50,
    )
    assert (run.recipe.embedding.dim, found["dtype"], run.recipe.task) == (32, "float32", "vector")
    assert sorted(path.name for path in run.folder.glob("*.json")) == [
        *("labels.json", "metrics.json", "run.json", "text.json", "tokenizer.json")
    ]
    assert not (run.folder / "vocabulary.txt").exists()
    assert "2,000 tokens of tokenizer.json" in (run.folder / "README.md").read_text()


def test_unknown_tokens_are_counted(tmp_path: Path) -> None:
    run = bring(write(tmp_path / "potion"))
    found = run.encoder.look_up(["a good ꙮ film", "ꙮ"])
    assert (found.lengths.tolist(), found.unknown.tolist()) == ([4, 1], [1, 1])
    assert not text_outputs(run.model, run.encoder, ["ꙮ"]).any()


def fixed(strategy: dict[str, Any]) -> bytes:
    padding = {"direction": "Right", "pad_id": 1, "pad_type_id": 0, "pad_token": "[PAD]", "pad_to_multiple_of": None}
    return files.changed(files.trained("wordpiece"), padding=padding | strategy)


def test_a_file_that_fills_batches_up_is_read_text_by_text(tmp_path: Path) -> None:
    run = bring(write(tmp_path / "potion", fixed({"strategy": "BatchLongest"})))
    assert run.info.imported["proof"]["least_cosine"] >= 0.9999
    assert run.encoder.look_up(["a", "a good film"]).lengths.tolist() == [1, 3]


def config(**values: Any) -> Callable[[Path], object]:
    return lambda folder: (folder / "config.json").write_text(json.dumps(values))


def tensors(**changes: Array | None) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        every = {**load_file(folder / "model.safetensors"), **changes}
        save_file({name: one for name, one in every.items() if one is not None}, folder / "model.safetensors")

    return write


def nan() -> Array:
    found = files.vectors(COUNT)
    found[7, 3] = np.nan
    return found


def tokenizer(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "tokenizer.json").write_bytes(content)


def without_unknown() -> bytes:
    found = json.loads(files.trained("words"))
    found["model"]["unk_token"] = "[none]"
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    ("spoil", "code", "values"),
    [
        (tokenizer(b"{}"), "LX-IMPORT-300", ["tokenizer.json"]),
        (tokenizer(fixed({"strategy": {"Fixed": 8}})), "LX-IMPORT-301", ["tokenizer.json", "fills texts up"]),
        (tokenizer(without_unknown()), "LX-IMPORT-302", ["tokenizer.json", "[none]"]),
        (lambda folder: (folder / "config.json").unlink(), "LX-IMPORT-303", ["potion", "sentence-transformers"]),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), "LX-IMPORT-304", ["model.safetensors"]),
        (tensors(layer=np.zeros(3, np.float32)), "LX-IMPORT-305", ["layer"]),
        (tensors(embeddings=None), "LX-IMPORT-305", ["model.safetensors", "[0]"]),
        (tensors(embeddings=files.vectors(7)), "LX-IMPORT-305", ["7 vectors and no mapping", "2,000"]),
        (tensors(weights=np.zeros(3, np.float32)), "LX-IMPORT-305", ["weights", "[3]"]),
        (tensors(mapping=np.zeros(3, np.int64)), "LX-IMPORT-305", ["a mapping", "[3]"]),
        (tensors(mapping=np.full(COUNT, COUNT)), "LX-IMPORT-305", ["vector 2,000 of 2,000"]),
        (tensors(embeddings=nan()), "LX-IMPORT-306", ["potion", "not finite"]),
        (lambda folder: (folder / "pipeline.skops").write_bytes(b""), "LX-IMPORT-307", ["potion", "pipeline.skops"]),
        (config(normalize=True, whitening="zca"), "LX-IMPORT-308", ["config.json", "whitening"]),
        (config(model_type="bert"), "LX-IMPORT-362", ["potion", "bert"]),
        (config(normalize="yes"), "LX-IMPORT-308", ["config.json", "'yes'"]),
        (config(max_length=0), "LX-IMPORT-308", ["config.json", "max_length is 0"]),
        (lambda folder: (folder / "head.safetensors").write_bytes(b""), "LX-IMPORT-307", ["head.safetensors"]),
    ],
)
def test_what_cannot_come_in_says_why(
    spoil: Callable[[Path], object], code: str, values: list[str], tmp_path: Path
) -> None:
    folder = write(tmp_path / "potion")
    spoil(folder)
    with refused(InputError, code, *values):
        bring(folder)
    assert not (tmp_path / "run").exists()


def test_without_the_package_the_pip_line_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "potion")
    data = files.write_texts(tmp_path / "texts.jsonl", files.reviews()[:20])
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with refused(MissingExtra, "LX-INSTALL-002", "tokenizers", 'pip install "lexport[tokenizers]"'):
        lexport.import_model(folder, texts=data, out=tmp_path / "run")
