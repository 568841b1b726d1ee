"""Every shipped recipe's model in every variant, whatever the shape of the batch: the trained model's answers."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from lexport.export.formats.variants import IDS_IN
from lexport.handlers.engine.engines import open_engine
from lexport.handlers.text.encoder import Ids, TextEncoder
from lexport.models import recipes
from lexport.models.compose import TextModel, build
from lexport.models.vocabulary import build_encoder

# Of scores and components of unit vectors, in models of random weights.
BOUND = {"fp32": 1e-5, "fp16": 2e-3, "int8": 0.02, "int4": 0.2}
# Of a text alone and in any batch: no variant here quantizes what comes into a layer.
ALIKE = 1e-5
LABELS = 3
WORDS = [f"word{number}" for number in range(40)] + ["café", "很", "好", ",", "!"]
# What `make test` asks: of each recipe what is served most, of one recipe with a bag and one without all in fp32.
QUICK = {(name, variant) for name in recipes.names() for variant in ("onnx-fp32", "torchscript-fp32")}
QUICK |= {(name, "pt2-fp32") for name in ("bag", "cnn")}


@cache
def made(name: str) -> tuple[TextModel, TextEncoder]:
    """A recipe's model with random weights, narrow, over a small vocabulary, and its text code."""
    dim = LABELS if name == "linear" else 12
    recipe = recipes.load(name).changed("embedding", dim=dim, spread=1.0)
    if recipe.text.grams and recipe.embedding.NAME != "hashed":
        recipe = recipe.changed("text", buckets=200)
    if recipe.embedding.NAME == "hashed":
        recipe = recipe.changed("embedding", buckets=200)
    if hasattr(recipe.embedding, "vectors"):
        recipe = recipe.changed("embedding", vectors=None)
    texts = [" ".join(WORDS)] * 2
    languages = ["en", "zh"] if recipe.inputs == "languages" else None
    encoder = build_encoder(texts, recipe.text, inputs=recipe.inputs, languages=languages)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = build(recipe, encoder.spec, labels=LABELS, image_values=5).eval()
    return model, encoder


def batches(encoder: TextEncoder) -> dict[str, Ids]:
    """Ids of every shape that a server may be asked."""
    longest = " ".join(WORDS * (-(-encoder.spec.max_tokens // len(WORDS))))
    texts = {
        "batch 1": [" ".join(WORDS[:9])],
        "length 1": ["word3"],
        "longest": [longest, "word4"],
        "ragged": ["word1 word2", "", " ".join(WORDS), "很好 !", "word7 unheard", "word1", "café"],
        "all unknown": ["qxzvkj wqpfzx", "unheard"],
        "empty": [""],
        "all empty": ["", ""],
    }
    return {
        name: encoder.assemble(
            encoder.look_up(asked, ["en"] * len(asked) if encoder.spec.inputs == "languages" else None)
        )
        for name, asked in texts.items()
    }


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        pytest.param(*one, marks=[] if one in QUICK else [pytest.mark.long])
        for one in product(recipes.names(), IDS_IN)
    ],
)
def test_it_answers_as_the_trained_model_whatever_the_batch(recipe: str, name: str, tmp_path: Path) -> None:
    variant, (model, encoder) = IDS_IN[name], made(recipe)
    assert variant.unsupported_reason(model) is None
    variant.write(model, encoder.spec.inputs, tmp_path)
    run = open_engine(variant.engine, tmp_path / variant.file, threads=1, device="cpu")
    found = {}
    for what, ids in batches(encoder).items():
        with torch.inference_mode():
            expected = model.head.answer(model(torch.from_numpy(ids))).numpy()
        found[what] = run(ids)
        assert found[what].dtype == np.float32
        np.testing.assert_allclose(found[what], expected, rtol=0, atol=BOUND[variant.precision], err_msg=what)
    asked = batches(encoder)["ragged"]
    for chosen in ([0], [1], [2], [6], [2, 1], [5, 4, 3, 2, 1, 0], [*range(7)] * 5):
        alike = run(np.ascontiguousarray(asked[chosen]))
        np.testing.assert_allclose(alike, found["ragged"][chosen], rtol=0, atol=ALIKE, err_msg=str(chosen))
    assert np.ptp(found["ragged"], axis=0).max() > 1e-3  # answers all alike would agree whatever was exported
    axes = 3 if encoder.spec.inputs == "characters" else 2
    assert all(symbolic(variant.engine, tmp_path / variant.file, axes))


def symbolic(engine: str, file: Path, axes: int) -> list[bool]:
    """Whether each of the first axes of the input is left open; TorchScript fixes none."""
    if engine == "onnx":
        graph = onnx.load(str(file), load_external_data=False).graph
        return [bool(dim.dim_param) for dim in graph.input[0].type.tensor_type.shape.dim[:axes]]
    if engine == "pt2":
        program = torch.export.load(str(file))
        [name] = program.graph_signature.user_inputs
        [shape] = [node.meta["val"].shape for node in program.graph.nodes if node.name == name]
        return [isinstance(size, torch.SymInt) for size in shape[:axes]]
    return [True]
