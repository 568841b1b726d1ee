"""The way of TorchServe's classifiers and of pipelines of scikit-learn to a server, which answers as they did."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import lexport
from lexport.api.archive import Archive

from .bags import cases
from .scikit import test_kind as scikit

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
Labels = Callable[[Sequence[str]], list[str]]


def torchserve(folder: Path) -> tuple[Path, list[str], Labels]:
    """An archive of TorchServe, texts, and the labels that torch gives."""
    module = cases.spread(cases.Classifier())
    members = {
        "model.pt": cases.script(module, folder / "model.pt").read_bytes(),
        "vocab.json": json.dumps(cases.rows()).encode(),
        "index_to_name.json": cases.names(),
    }

    def answer(texts: Sequence[str]) -> list[str]:
        found = []
        for text in texts:
            rows = torch.tensor([cases.rows().get(word, 0) for word in text.lower().split()])
            with torch.inference_mode():
                found.append(cases.LABELS[int(module(rows, torch.tensor([0])).argmax())])
        return found

    return cases.archive(folder / "old.mar", members), cases.texts(200, seed=3), answer


def pipeline(folder: Path) -> tuple[object, list[str], Labels]:
    """A fitted pipeline, texts, and the labels that scikit-learn gives."""
    fitted = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=5))
    fitted.fit(*scikit.labelled(400, 3))
    return fitted, scikit.texts(1000, seed=11), lambda texts: list(map(str, fitted.predict(texts)))


@pytest.mark.parametrize("variant", ["onnx-fp32", "torchscript-fp32"])
@pytest.mark.parametrize("kind", [torchserve, pipeline])
def test_a_server_answers_what_the_foreign_model_answered(
    kind: Callable[[Path], tuple[object, list[str], Labels]], variant: str, tmp_path: Path
) -> None:
    model, rows, labels = kind(tmp_path)
    data = cases.write_texts(tmp_path / "texts.jsonl", rows[:120])
    archive = lexport.import_model(
        model, texts=data, out=tmp_path / "old-1.0.mar", variant=variant, tokenizer="whitespace_lower"
    )
    assert isinstance(archive, Archive)
    assert archive.inspect().evidence["run"]["imported"]["proof"]["proven"]
    with lexport.serve(archive, engine="embedded", workers="cpu:1", port=0, state_dir=tmp_path / "state") as server:
        answers = [one for first in range(0, len(rows), 100) for one in server.predict(rows[first : first + 100])]
    assert scikit.labels_of(answers) == labels(rows)
