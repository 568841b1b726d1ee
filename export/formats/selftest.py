"""Whether this machine's torch and onnxruntime make and run each kind of variant: by making and running one."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ...evaluation.tasks import TASKS
from ...handlers.engine.engines import open_engine, open_text_engine
from ...handlers.text.encoder import TextEncoder
from ...models.compose import TextModel, build
from ...models.recipes import Recipe, load
from ...models.vocabulary import build_encoder
from ..textgraph import make_text_in
from .variants import VARIANTS

KINDS = ("torchscript-int8", "onnx-int8", "onnx-int8-text", "pt2-fp32")
"""A variant of every kind: of each engine, ids-in and text-in."""

_TEXTS = ["A good film", "not good !", "", "很好 Ünknown"]
_FAR = 0.02


def try_variant(name: str) -> str | None:
    """Export a model of a few words in this variant and ask it; why that does not work here, or None."""
    recipe, encoder, model = _tiny()
    variant = VARIANTS[name]
    ids = encoder.assemble(encoder.look_up(_TEXTS))
    with torch.inference_mode():
        expected = model.head.answer(model(torch.from_numpy(ids))).numpy()
    try:
        with tempfile.TemporaryDirectory(prefix="lexport-doctor-") as folder:
            variant.write(model, encoder.spec.inputs, Path(folder))
            file = Path(folder, variant.file)
            if variant.takes == "text":
                make_text_in(file, encoder, TASKS[recipe.task].ANSWERS, ["bad", "good"], 0.5)
                _, found = open_text_engine(file, threads=1, device="cpu")(_TEXTS, None)
            else:
                found = open_engine(variant.engine, file, threads=1, device="cpu")(ids)
    except Exception as error:  # whatever an engine of another version raises is what is to be told
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    difference = float(np.abs(found - expected).max())
    # Written so that a NaN is found.
    return None if difference <= _FAR else f"its scores are {difference:.3g} from the trained model's"


@cache
def _tiny() -> tuple[Recipe, TextEncoder, TextModel]:
    recipe = load("bag").changed("text", min_count=1, buckets=64).changed("embedding", dim=8, spread=1.0)
    encoder = build_encoder(_TEXTS, recipe.text, inputs=recipe.inputs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(recipe, encoder.spec, labels=2).eval()
    return recipe, encoder, model
