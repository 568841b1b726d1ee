"""Classifiers of an embedding bag whose texts a tokenizer.json reads, with the special tokens that it adds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lexport.errors import InputError
from lexport.evaluation.trained import predictor_of
from lexport.export.imports.importing import import_run
from lexport.export.imports.kind import ImportOptions
from lexport.handlers.request.explain import explain
from lexport.handlers.request.protocol import Request
from lexport.models.predict import text_outputs
from lexport.models.run import Run

from .... import tokenizer_files as files
from ....refusals import refused
from . import cases

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TEXTS = ["a good film", "", "Crème brûlée 🙂", "ꙮ ꙮ", "unwatchable , the worst of them"]


class Classifier(nn.Module):
    """EmbeddingBag and Linear for the tokens of a file."""

    def __init__(self, tokens: int, mode: str = "mean") -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(tokens, 8, mode=mode)
        self.fc = nn.Linear(8, len(cases.LABELS))

    def forward(self, text: Tensor, offsets: Tensor) -> Tensor:
        found: Tensor = self.fc(self.embedding(text, offsets))
        return found


def made(kind: str, mode: str = "mean") -> Classifier:
    module = cases.spread(Classifier(files.opened(files.trained(kind)).get_vocab_size(), mode))
    assert isinstance(module, Classifier)
    return module


def beside(folder: Path, kind: str) -> dict[str, Path]:
    (folder / "tokenizer.json").write_bytes(files.trained(kind))
    (folder / "labels.txt").write_text("\n".join(cases.LABELS), encoding="utf-8")
    return {"vocabulary": folder / "tokenizer.json", "labels": folder / "labels.txt"}


def bring(path: Path, **options: Any) -> Run:
    data = files.write_texts(path.parent / "texts.jsonl", files.reviews()[:200])
    return import_run(path, path.parent / "run", data, options=ImportOptions(**options))


def check(run: Run, module: Classifier, kind: str) -> None:
    """Fail unless the run answers as torch does for what the package makes of texts."""
    opened = files.opened(files.trained(kind))
    for text, found in zip(TEXTS, text_outputs(run.model, run.encoder, TEXTS), strict=True):
        ids = torch.tensor(opened.encode(text).ids, dtype=torch.int64)
        with torch.inference_mode():
            expected = module(ids, torch.tensor([0]))[0].softmax(dim=0)
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", files.KINDS)
def test_a_program_with_the_file_as_its_vocabulary(kind: str, tmp_path: Path) -> None:
    module = made(kind)
    run = bring(cases.script(module, tmp_path / "model.pt"), **beside(tmp_path, kind))
    check(run, module, kind)
    assert run.info.imported["proof"]["proven"]
    assert run.encoder.spec.ends == (2 if kind == "wordpiece" else 0)


def test_an_archive_of_torchserve_with_the_file_in_it(tmp_path: Path) -> None:
    module = made("wordpiece")
    script = cases.script(module, tmp_path / "model.pt").read_bytes()
    members = {"model.pt": script, "tokenizer.json": files.trained("wordpiece"), "index_to_name.json": cases.names()}
    check(bring(cases.archive(tmp_path / "old.mar", members)), module, "wordpiece")


@pytest.mark.parametrize(("mode", "method"), [("mean", "additive"), ("max", "shapley")])
def test_an_explanation_adds_up_and_names_pieces_of_the_text(mode: str, method: str, tmp_path: Path) -> None:
    run = bring(cases.script(made("wordpiece", mode), tmp_path / "model.pt"), **beside(tmp_path, "wordpiece"))
    text = "  an UnWatchable, brilliant film"
    [found] = explain(predictor_of(run), Request([text]))
    assert found["method"] == method
    assert [one["token"] for one in found["tokens"]] == run.encoder.tokens(text)[0]
    assert "".join(text[one["start"] : one["end"]] for one in found["tokens"]) == "anUnWatchable,brilliantfilm"
    for label, logit in found["logits"].items():
        total = found["bias"][label] + sum(one["contributions"][label] for one in found["tokens"])
        assert total == pytest.approx(logit, abs=1e-4)


def test_a_tokenizer_is_named_once(tmp_path: Path) -> None:
    path = cases.script(made("words"), tmp_path / "model.pt")
    with refused(InputError, "LX-IMPORT-309", "tokenizer.json", "whitespace"):
        bring(path, **beside(tmp_path, "words"), tokenizer="whitespace")


def test_a_table_with_fewer_rows_than_tokens_is_refused(tmp_path: Path) -> None:
    path = cases.script(made("words"), tmp_path / "model.pt")
    more = json.loads(files.trained("words"))
    more["model"]["vocab"]["zorkmid"] = len(more["model"]["vocab"])
    options = beside(tmp_path, "words")
    options["vocabulary"].write_text(json.dumps(more))
    with refused(InputError, "LX-IMPORT-087", "model.pt", f"{len(more['model']['vocab']):,} rows"):
        bring(path, **options)
