"""Options that no shipped recipe sets, from training to an archive's answers: each in a recipe of one's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.pack import archive
from lexport.export.evidence.evidence import Evidence
from lexport.export.export import export
from lexport.export.formats.variants import DYNAMIC, VARIANTS, choose
from lexport.models import recipes
from lexport.models.predict import text_outputs
from lexport.models.run import Run, open_run
from lexport.training.train import train

from ..conftest import write_rows

BOUND = {"fp32": 1e-5, "fp16": 2e-3, "int8": 0.02, "int4": 0.2}
# Tokens known and unknown, none at all, fewer than a filter's window, and more than a recipe keeps.
TEXTS = ["the goal of the season", "", "soup", "qxzvkj wqpfzx", "rain and wind today " * 20, "butter\tQXZVKJ, sugar!"]

GRAMS = "[text]\nmin_count = 1\nmax_tokens = 30\nngrams = 2\nbuckets = 64\n"
WORDS = "[text]\nmin_count = 1\nmax_tokens = 30\n"
TRAINING = "[training]\nepochs = 3\nbatch_size = 32\nlearning_rate = 0.05\n"
CHAINS = {
    "dynamic_dim": GRAMS + '[embedding]\nname = "dynamic_dim"\ndim = 8\nramp = 2\npenalty = 1.0\n',
    "dynamic_dim sparse": WORDS
    + '[embedding]\nname = "dynamic_dim"\ndim = 8\nramp = 3\nsparse = true\n[encoder]\nname = "cnn"\nfilters = 8\n',
    "bag of sums": GRAMS + '[embedding]\ndim = 8\n[encoder]\nmode = "sum"\n',
    "bag of maxima": GRAMS + '[embedding]\ndim = 8\n[encoder]\nmode = "max"\n',
    "hashed side by side": "[text]\nngrams = 2\nmax_tokens = 30\n"
    '[embedding]\nname = "hashed"\ndim = 8\nbuckets = 200\nhashes = 4\ncombine = "concat"\n',
    "table sparse": GRAMS + "[embedding]\ndim = 8\nsparse = true\n",
    "table with max_norm": GRAMS + "[embedding]\ndim = 8\nspread = 1.0\nmax_norm = 2.0\nnorm_type = 1\n",
    "table with unknown words as padding": "[text]\nmax_tokens = 30\n[embedding]\ndim = 8\npadding_idx = 1\n",
    "table by frequency": WORDS
    + '[embedding]\ndim = 8\nscale_grad_by_freq = true\nout_of_range = "unk"\n[encoder]\nname = "bag"\n',
    "lstm packed, forwards": WORDS
    + '[embedding]\ndim = 8\n[encoder]\nname = "lstm"\nhidden = 12\ndirections = 1\nlayers = 2\npacked = true\n',
    "cnn of other widths": WORDS
    + '[embedding]\ndim = 8\n[encoder]\nname = "cnn"\nwidths = [1, 5, 7]\nfilters = 8\ndropout = 0.1\n',
    # No row is longer than 1, so that none takes the scale of all that comes into a layer.
    "cnn of wide layers": WORDS + '[embedding]\ndim = 48\nmax_norm = 1.0\n[encoder]\nname = "cnn"\n',
}
# Every variant of some of them; tests/chain/test_combinations.py exports all parts to all.
TURNS = [
    "torchscript-fp32,onnx-int8",
    "onnx-fp32,torchscript-int8",
    "pt2-fp32,onnx-fp16",
    "torchscript-fp16,onnx-fp32-text",
    "onnx-int4,torchscript-int4",
    "onnx-int8-text,pt2-fp32",
    "onnx-fp16-text,onnx-int4-text",
]
VARIANTS_OF = dict(zip(CHAINS, cycle(TURNS), strict=False)) | {"cnn of wide layers": ",".join(DYNAMIC)}
# The first of every kind of part; the others are minutes long together.
_LONG = {
    "bag of sums",
    "bag of maxima",
    "table sparse",
    "table with max_norm",
    "table by frequency",
    "hashed side by side",
    "cnn of other widths",
    "dynamic_dim sparse",
    "lstm packed, forwards",
    "table with unknown words as padding",
    "cnn of wide layers",
}


@dataclass(frozen=True)
class Chain:
    """A recipe's run, the evidence of its export, and an archive of each variant."""

    run: Run
    evidence: Evidence
    archives: dict[str, Path]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("chains") / "topics.csv", rows=2500)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.long] if name in _LONG else []) for name in CHAINS],
)
def chain(request: pytest.FixtureRequest, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Train, export and pack, from a recipe in a file."""
    folder = tmp_path_factory.mktemp("chain")
    (folder / "mine.toml").write_text(CHAINS[request.param] + TRAINING, encoding="utf-8")
    train(str(rows), folder / "run", recipe=recipes.load(str(folder / "mine.toml")))
    run = open_run(folder / "run")
    evidence = export(run, choose(VARIANTS_OF[request.param]))
    return Chain(
        run,
        evidence,
        {
            one.name: archive(run.folder, version="1.0", variant=one.name, out=folder / one.name)
            for one in evidence.variants
        },
    )


def scores(run: Run, answers: list[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([[one["scores"][label] for label in run.labels] for one in answers], np.float32)


def test_it_learns_and_every_variant_passes_the_gate(chain: Chain) -> None:
    assert chain.run.metrics["test"]["accuracy"] > 0.8
    assert len(chain.evidence.variants) >= 2
    for one in chain.evidence.variants:
        assert one.refused is None
        assert one.validation["largest_difference"] <= BOUND[one.precision]


def test_its_archives_answer_as_the_trained_model_does(chain: Chain) -> None:
    texts = [*TEXTS, *chain.run.held_out("test").texts[:50]]
    trained = text_outputs(chain.run.model, chain.run.encoder, texts)
    for variant, path in chain.archives.items():
        lines = (chain.run.folder / "export" / variant / "golden.jsonl").read_text(encoding="utf-8").splitlines()
        goldens = [json.loads(line) for line in lines]
        with load_archive(path) as archived:
            found = archived.predict(texts)
            golden = archived.predict([golden["text"] for golden in goldens])
        bound = BOUND[VARIANTS[variant].precision]
        np.testing.assert_allclose(scores(chain.run, found), trained, rtol=0, atol=bound)
        assert len(goldens) >= 16
        # In this batch as alone, but for layers whose inputs are quantized.
        alike = BOUND["int8" if VARIANTS[variant].dense else "fp32"]
        for own, bound_to in (("variant", alike), ("trained", bound)):
            expected = scores(chain.run, [golden[own] for golden in goldens])
            np.testing.assert_allclose(scores(chain.run, golden), expected, rtol=0, atol=bound_to)
        assert [one["truncated"] for one in found[: len(TEXTS)]] == [False] * 4 + [True, False]


def test_every_variant_is_exported_in_its_turn() -> None:
    assert {name for names in VARIANTS_OF.values() for name in names.split(",")} == set(VARIANTS)
