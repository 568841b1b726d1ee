"""Small models of every combination of parts, the texts they are asked, and how an export of one is checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import torch

from lexport.evaluation.metrics import Outputs
from lexport.export.formats.variants import VARIANTS, Variant
from lexport.export.textgraph import make_text_in
from lexport.handlers.engine.engines import Engine, open_engine, open_text_engine
from lexport.handlers.text.encoder import Ids, TextEncoder
from lexport.models.compose import TextModel, build
from lexport.models.embeddings import DynamicDim, Table
from lexport.models.heads import (
    Classifier,
    ClassifierOptions,
    HeadOptions,
    Joint,
    JointOptions,
    Linear,
    LinearOptions,
    VectorOptions,
)
from lexport.models.recipes import PARTS, Recipe, TextOptions, TrainingOptions
from lexport.models.vocabulary import build_encoder
from lexport.storage.validation import problems_of

EMBEDDINGS, ENCODERS = list(PARTS["embedding"]), list(PARTS["encoder"])
HEADS: dict[str, HeadOptions] = {
    "classify": ClassifierOptions(),
    "multilabel": ClassifierOptions(multi_label=True),
    "linear": LinearOptions(),
    "vector": VectorOptions(),
    "joint": JointOptions(size=6, hidden=8),
}
LABELS, IMAGE_VALUES, MAX_TOKENS = 3, 10, 64
BOUND = {"fp32": 1e-5, "fp16": 2e-3, "int8": 0.02, "int4": 0.2}

WORDS = "a the film was not very good bad long and best of year 很 好 的 电 影 café ΟΔΥΣΣΕΥΣ 42 , !".split()
UNKNOWN = "qxzvkj wqpfzx 汉 ☃"
# The empty and the unknown alone and among others, one token, no two of a length, and more than is kept.
BATCHES: dict[str, list[str]] = {
    "one": ["a good film , and not the best of the year !"],
    "of one token": ["film"],
    "empty": [""],
    "all empty": ["", "", ""],
    "unknown": [UNKNOWN],
    "ragged": ["good", "", " ".join(WORDS), UNKNOWN, "电影 很 好", "a very long film", "a"],
    "longest": [" ".join(WORDS * 5), " ".join(reversed(WORDS * 3)), "bad"],
}


@dataclass(frozen=True)
class Combination:
    """The parts of a small model; grams: with n-grams and subwords beside the words; dim: of a token's vector."""

    embedding: str
    encoder: str
    task: str = "classify"
    grams: bool = False
    dim: int = 8

    def __str__(self) -> str:
        return "-".join(
            [self.embedding, self.encoder, self.task, *["grams"] * self.grams, *[str(self.dim)] * (self.dim != 8)]
        )

    def recipe(self) -> Recipe:
        """Rows far enough apart for answers to differ. Raises ValueError for parts that do not fit."""
        options: dict[str, object] = {"dim": LABELS if self.task == "linear" else self.dim, "spread": 1.0}
        hashed, characters = self.embedding == "hashed", self.embedding == "char_cnn"
        if hashed:
            options["buckets"] = 50
        text = TextOptions(
            ngrams=2 if self.grams else 1,
            subwords=(2, 3) if self.grams else None,
            buckets=40 if self.grams and not hashed else 0,
            max_tokens=MAX_TOKENS,
            word_length=5 if characters else 0,
            min_count=1,
        )
        embedding, encoder = PARTS["embedding"][self.embedding](**options), PARTS["encoder"][self.encoder]()
        return Recipe("small", "", text, embedding, encoder, HEADS[self.task], TrainingOptions())


@cache
def made(combination: Combination) -> tuple[TextModel, TextEncoder]:
    """The model, the same at every call, and the text code before it."""
    recipe = combination.recipe()
    texts = [" ".join(WORDS), " ".join(WORDS[:9])]
    encoder = build_encoder(texts, recipe.text, inputs=recipe.inputs, languages=languages(recipe, texts))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build(recipe, encoder.spec, labels=LABELS, image_values=IMAGE_VALUES).eval()
    if isinstance(model.embedding, DynamicDim):
        with torch.no_grad():
            sizes = model.embedding.size
            sizes[1:] = torch.linspace(-3, 3, len(sizes) - 1).unsqueeze(1)
    if isinstance(model.head, Classifier | Linear):
        # As sure of itself as a trained model, so that a wrong export does not pass for a right one.
        texts = BATCHES["ragged"]
        ids = torch.from_numpy(encoder.assemble(encoder.look_up(texts, languages(recipe, texts))))
        tables = [part.weight for part in model.embedding.modules() if isinstance(part, Table)]
        with torch.no_grad():
            factor = 2 / model(ids).std(dim=0).mean()
            for weight in [model.head.linear.weight] if isinstance(model.head, Classifier) else tables:
                weight *= factor
    return model, encoder


def languages(recipe: Recipe, texts: Sequence[str]) -> list[str] | None:
    """A language for each text, one after the other, where the model has some."""
    return (
        ["en" if position % 2 else "zh" for position in range(len(texts))] if recipe.inputs == "languages" else None
    )


def assembled(combination: Combination, texts: Sequence[str]) -> Ids:
    _, encoder = made(combination)
    return encoder.assemble(encoder.look_up(texts, languages(combination.recipe(), texts)))


def eager(combination: Combination, ids: Ids) -> Outputs:
    """What an export must answer."""
    model, _ = made(combination)
    with torch.inference_mode():
        answers: Outputs = model.head.answer(model(torch.from_numpy(ids))).numpy()
    return answers


def check_symbolic(file: Path, axes: int) -> None:
    graph = onnx.load(str(file), load_external_data=False).graph
    names = [dim.dim_param for dim in graph.input[0].type.tensor_type.shape.dim[:axes]]
    assert all(names), names
    assert len(set(names)) == axes
    assert graph.output[0].type.tensor_type.shape.dim[0].dim_param == names[0]


@cache
def _exports() -> tempfile.TemporaryDirectory[str]:
    """A folder that lasts as long as the process."""
    return tempfile.TemporaryDirectory()


@cache
def written(combination: Combination, variant: str) -> Path:
    """The folder with the combination's files of a variant, exported once; tests only read them."""
    model, encoder = made(combination)
    folder = Path(tempfile.mkdtemp(dir=_exports().name))
    VARIANTS[variant].write(model, encoder.spec.inputs, folder)
    return folder


def check(combination: Combination, variant: Variant, folder: Path) -> None:
    """Open a copy of the export as a worker does, and compare every batch with the eager model."""
    model, encoder = made(combination)
    bound = BOUND[variant.precision]
    shutil.copytree(written(combination, variant.name), folder, dirs_exist_ok=True)
    run: Engine = open_engine(variant.engine, folder / variant.file, threads=1, device="cpu")
    found: list[Outputs] = []
    for name, texts in BATCHES.items():
        ids = assembled(combination, texts)
        expected = eager(combination, ids)
        found.append(run(ids))
        assert found[-1].shape == expected.shape, name
        assert found[-1].dtype == np.float32, name
        assert np.isfinite(found[-1]).all(), name
        np.testing.assert_allclose(found[-1], expected, rtol=0, atol=bound, err_msg=name)
    # Answers all alike would agree whatever was exported.
    assert np.ptp(np.concatenate(found), axis=0).max() > 10 * BOUND["int8"]
    if variant.engine == "onnx":
        check_symbolic(folder / variant.file, 3 if encoder.spec.inputs == "characters" else 2)
        check_text_in(combination, folder / variant.file, found)
    if isinstance(model.head, Joint):
        check_tower(model.head, variant, folder / variant.image_file)


def check_text_in(combination: Combination, file: Path, answers: Sequence[Outputs]) -> None:
    """Give the exported model its text code, and ask it for the texts themselves."""
    _, encoder = made(combination)
    make_text_in(file, encoder, combination.recipe().task, [f"label {number}" for number in range(LABELS)], 0.5)
    run = open_text_engine(file, threads=1, device="cpu")
    for (name, texts), expected in zip(BATCHES.items(), answers, strict=True):
        own = languages(combination.recipe(), texts)
        counts, found = run(texts, own)
        np.testing.assert_allclose(found, expected, rtol=0, atol=BOUND["fp32"], err_msg=name)
        tokens = encoder.look_up(texts, own)
        for counted, looked_up in (
            (counts.lengths, tokens.lengths),
            (counts.unknown, tokens.unknown),
            (counts.truncated, tokens.truncated),
        ):
            np.testing.assert_array_equal(counted, looked_up, err_msg=name)


def check_tower(head: Joint, variant: Variant, file: Path) -> None:
    tower = open_engine(variant.engine, file, threads=1, device="cpu", feed="image")
    for count in (1, 7):
        images = np.random.default_rng(count).random((count, IMAGE_VALUES), np.float32)
        with torch.inference_mode():
            expected = head.image(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(tower(images), expected, rtol=0, atol=BOUND["fp32"])
    if variant.engine == "onnx":
        check_symbolic(file, 1)


@cache
def outcome(combination: Combination, variant: str) -> str:
    """Nothing if the combination runs in the variant, else why not."""
    try:
        combination.recipe()
    except ValueError as refusal:
        return problems_of(refusal)[0]
    with tempfile.TemporaryDirectory() as folder:
        try:
            check(combination, VARIANTS[variant], Path(folder))
        except Exception as failure:
            return f"{type(failure).__name__}: {' '.join(str(failure).split())[:500]}"
    return ""
