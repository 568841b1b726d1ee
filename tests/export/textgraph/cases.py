"""A small model for each layout of ids and its text-in form, and how the two are compared on texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from lexport.export.formats.variants import IDS_IN
from lexport.export.textgraph import make_text_in
from lexport.handlers.engine.engines import Engine, TextEngine, open_engine, open_text_engine
from lexport.handlers.text.encoder import TextEncoder
from lexport.handlers.text.spec import Layout
from lexport.models.compose import build
from lexport.models.embeddings import EMBEDDINGS
from lexport.models.heads import ClassifierOptions
from lexport.models.recipes import PARTS, Recipe, TextOptions, TrainingOptions
from lexport.models.vocabulary import build_encoder

LABELS = ["positive", "négatif", "中"]
TEXTS = ["The film was not good, and 電影 ΟΔΥΣΣΕΥΣ! 42", "a very bad film ... café", "好 的 电影 is good", "no"]
SHORT = TextOptions(max_tokens=12, min_count=1)
GRAMS = replace(SHORT, ngrams=3, subwords=(2, 4), buckets=300)
# By layout: the embedding, and the options of its texts.
LAYOUTS: dict[str, tuple[str, TextOptions]] = {
    "words": ("table", SHORT),
    "pairs": ("table", replace(SHORT, ngrams=2, buckets=300)),
    "words and grams": ("table", GRAMS),
    "subwords": ("table", replace(SHORT, subwords=(3, 3), buckets=300)),
    "hashes": ("hashed", SHORT),
    "hashes of grams": ("hashed", replace(GRAMS, buckets=0)),
    "characters": ("char_cnn", replace(SHORT, word_length=5)),
    "languages": ("multilingual", SHORT),
    "languages and grams": ("multilingual", GRAMS),
}


@dataclass(frozen=True)
class Both:
    """One model as it takes ids and as it takes texts, fp32."""

    encoder: TextEncoder
    ids_in: Engine
    text_in: TextEngine

    def languages(self, texts: Sequence[str]) -> list[str] | None:
        """Languages in turn, where the model has some."""
        names = self.encoder.languages
        return [names[place % len(names)] for place in range(len(texts))] if names else None

    def check(self, texts: Sequence[str], languages: Sequence[str] | None = None) -> None:
        """The graph counts and scores the texts as the Python text code before the ids-in model does."""
        languages = languages or self.languages(texts)
        tokens = self.encoder.look_up(texts, languages)
        counts, scores = self.text_in(texts, languages)
        assert counts.lengths.tolist() == tokens.lengths.tolist()
        assert counts.unknown.tolist() == tokens.unknown.tolist()
        assert counts.truncated.tolist() == list(tokens.truncated)
        np.testing.assert_allclose(scores, self.ids_in(self.encoder.assemble(tokens)), rtol=0, atol=1e-5)


def encoder_of(layout: str, texts: Sequence[str] = TEXTS) -> TextEncoder:
    embedding, options = LAYOUTS[layout]
    inputs = EMBEDDINGS[embedding].INPUTS
    languages = ["en", "zh"] * (len(texts) // 2) if inputs is Layout.LANGUAGES else None
    return build_encoder(texts, options, inputs=inputs, languages=languages)


@cache
def both(layout: str) -> Both:
    """The model of a layout; rows far enough apart that a wrong one is another answer."""
    encoder = encoder_of(layout)
    embedding, options = LAYOUTS[layout]
    more = {"buckets": 1 << 16} if embedding == "hashed" else {}
    parts = PARTS["embedding"][embedding](dim=8, spread=1.0, **more), PARTS["encoder"]["bag"](mode="sum")
    recipe = Recipe("small", "", options, *parts, ClassifierOptions(), TrainingOptions())
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = build(recipe, encoder.spec, labels=len(LABELS)).eval()
        # Rows of n-grams start at zero, and would hide what stands there.
        for weight in model.embedding.parameters():
            torch.nn.init.normal_(weight)
    with TemporaryDirectory() as folder:
        variant = IDS_IN["onnx-fp32"]
        variant.write(model, encoder.spec.inputs, Path(folder))
        file = Path(folder) / variant.file
        ids_in = open_engine("onnx", file, threads=1, device="cpu")
        make_text_in(file, encoder, "classify", LABELS, 0.5)
        return Both(encoder, ids_in, open_text_engine(file, threads=1, device="cpu"))
