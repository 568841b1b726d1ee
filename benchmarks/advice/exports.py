"""Exported variants side by side: how fast they answer, how large they are, how many test texts they judge right."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lexport.benchmarks.figures import Values, say
from lexport.export.formats.variants import PLAIN as FP32
from lexport.export.formats.variants import VARIANTS as EXPORTED
from lexport.handlers.engine.engines import Engine, Scores, open_engine
from lexport.handlers.text.encoder import Ids, TextEncoder, TextSpec
from lexport.handlers.text.spec import Layout
from lexport.models.compose import TextModel, build

from .claim import Estimate
from .fits import Fitted, parts_of, points_between, words_alone
from .timing import alternated, block

PLAIN = "nn.EmbeddingBag"
INT8 = ("torchscript-int8", "onnx-int8")
VARIANTS = (*INT8, "torchscript-fp32", "onnx-fp32")
PAIRS = (
    ("torchscript-int8", PLAIN),
    ("torchscript-int8", "torchscript-fp32"),
    ("onnx-int8", "onnx-fp32"),
)
BATCHES, LENGTH, WORDS = (1, 64), 50, 100_000


def speeds_of(dim: int, rounds: int) -> list[dict[str, Any]]:
    """The time of a bag over a table of `dim`, by batch: every variant and torch's own, in turns."""
    model = build(words_alone().changed("embedding", dim=dim), TextSpec(words=WORDS), labels=2).eval()
    found = []
    with tempfile.TemporaryDirectory(prefix="lexport-int8-") as folder:
        opened = {PLAIN: _plain(dim)}
        sizes = {PLAIN: 4 * dim * WORDS}
        for name in VARIANTS:
            opened[name], sizes[name] = _written(model, name, Path(folder) / name)
        for batch in BATCHES:
            draw = np.random.default_rng(batch)
            ids = [np.floor(float(WORDS) ** draw.random((batch, LENGTH))).astype(np.int64) for _ in range(8)]
            seconds = alternated([block(_asking(run, ids)) for run in opened.values()], rounds)
            own = dict(zip(opened, seconds.T, strict=True))
            ratios = [{"of": of, "to": to, **Estimate.of_ratios(own[of] / own[to]).__dict__} for of, to in PAIRS]
            micro = {name: 1e6 * float(np.median(times)) for name, times in own.items()}
            found.append({"dim": dim, "batch": batch, "rounds": rounds, "microseconds": micro, "ratios": ratios})
            found[-1]["smaller"] = {of: 1 - sizes[of] / sizes[to] for of, to in PAIRS}
            say(f"{dim} wide, batch {batch}: " + ", ".join(f"{name} {time:.0f}" for name, time in micro.items()))
    return found


def _plain(dim: int) -> Engine:
    """What torch has for it in fp32, without a padding row, whose cost is a claim of its own."""
    bag, head = nn.EmbeddingBag(WORDS, dim, mode="mean"), nn.Linear(dim, 2)

    def run(ids: Ids) -> Scores:
        with torch.inference_mode():
            scores: Scores = head(bag(torch.from_numpy(ids))).softmax(dim=1).numpy()
        return scores

    return run


def _written(model: TextModel, name: str, folder: Path) -> tuple[Engine, int]:
    """A variant of `model`, opened as a worker opens it, on one thread; and the bytes of its files."""
    variant = EXPORTED[name]
    folder.mkdir()
    variant.write(model, Layout.INDICES, folder)
    engine = open_engine(variant.engine, folder / variant.file, threads=1, device="cpu")
    return engine, sum(file.stat().st_size for file in folder.iterdir())


def _asking(run: Engine, ids: Sequence[Ids]) -> Callable[[], object]:
    turns = cycle(ids)
    return lambda: run(next(turns))


def accuracies_of(fits: Sequence[Fitted], source: str) -> list[dict[str, Any]]:
    """The int8 variants of trained models against the models themselves, asked through their engines."""
    found = []
    theirs = np.stack([one.right for one in fits])
    for name in INT8:
        right, smaller = [], []
        for one in fits:
            with tempfile.TemporaryDirectory(prefix="lexport-int8-") as folder:
                run, size = _written(one.model, name, Path(folder) / "int8")
                plain = replace(EXPORTED[name], precision=FP32)
                _, full = _written(one.model, plain.name, Path(folder) / "fp32")
                right.append(judged_by(run, one.encoder, source))
                smaller.append(1 - size / full)
        ours = np.stack(right)
        found.append(
            {
                "variant": name,
                "dim": fits[0].model.embedding.dim,
                "seeds": len(fits),
                "trained": float(theirs.mean()),
                "accuracy": float(ours.mean()),
                "changed": int((ours != theirs).sum()),
                "answers": ours.size,
                "smaller": float(np.mean(smaller)),
                **points_between(ours, theirs).__dict__,
            }
        )
    return found


def judged_by(run: Engine, encoder: TextEncoder, name: str) -> Values:
    """1.0 where an engine judges a test text right, else 0.0: [texts]."""
    parts = parts_of(name)
    tokens = encoder.look_up(parts.test.texts)
    answers = [run(encoder.assemble(tokens.take(np.array([row])))).argmax() for row in range(len(parts.test))]
    labels = parts.train.classes
    return np.array([labels[top] == own for top, own in zip(answers, parts.test.labels, strict=True)], np.float64)
