"""A model is embedding → encoder → head: every combination that a recipe allows is built and answers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from lexport.errors import InputError
from lexport.handlers.text.encoder import TextEncoder, TextSpec
from lexport.handlers.text.spec import Layout
from lexport.models import recipes
from lexport.models.compose import PooledModel, TextModel, build
from lexport.models.embeddings.multilingual import offsets
from lexport.models.recipes import PARTS, Recipe
from lexport.models.vocabulary import build_encoder

from ..refusals import refused

TEXTS = ["the goal of the match", "", "rain", "a soup of rain and a goal 汤"]
LANGUAGES = ["en", "de", "de", "en"]
IMAGE_VALUES = 5


def recipe(embedding: str, encoder: str = "bag", head: str = "classifier", text: str = "") -> Recipe:
    word_length = "word_length = 8\n" if embedding == "char_cnn" else ""
    buckets = "buckets = 64\n" if embedding == "hashed" else ""
    return recipes.parse(
        "mine",
        f'[text]\nmin_count = 1\n{word_length}{text}\n[embedding]\nname = "{embedding}"\ndim = 8\n{buckets}'
        f'[encoder]\nname = "{encoder}"\n[head]\nname = "{head}"',
    )


def encoder_of(one: Recipe) -> TextEncoder:
    return build_encoder(TEXTS, one.text, inputs=one.inputs, languages=LANGUAGES)


def ids_of(encoder: TextEncoder) -> torch.Tensor:
    return torch.from_numpy(encoder.assemble(encoder.look_up(TEXTS, LANGUAGES if encoder.languages else None)))


# The head `linear` takes a sum of vectors as its logits.
COMBINATIONS = [parts for parts in product(*PARTS.values()) if parts[2] != "linear" or parts[1] == "bag"]


@pytest.mark.parametrize(("embedding", "encoder", "head"), COMBINATIONS)
def test_every_combination_answers_whatever_the_batch(embedding: str, encoder: str, head: str) -> None:
    one = recipe(embedding, encoder, head)
    if head == "linear":
        one = one.changed("embedding", dim=3)
    text = encoder_of(one)
    torch.manual_seed(0)
    model = build(one, text.spec, labels=3, image_values=IMAGE_VALUES).eval()
    ids = ids_of(text)
    with torch.inference_mode():
        together = model.head.answer(model(ids))
        assert together.shape[0] == len(TEXTS)
        assert together.isfinite().all()
        for row in range(len(TEXTS)):
            length = max(int(model.embedding.mask(ids[row : row + 1]).sum()), 1)
            alone = model.head.answer(model(ids[row : row + 1, :length]))
            assert (alone - together[row]).abs().max() < 1e-5


@pytest.mark.parametrize("embedding", ["table", "hashed", "multilingual", "dynamic_dim"])
@pytest.mark.parametrize("mode", ["mean", "sum"])
def test_a_bag_sums_without_forming_vectors_and_answers_the_same(embedding: str, mode: str) -> None:
    one = recipe(embedding, text="ngrams = 2\n" + ("" if embedding == "hashed" else "buckets = 32"))
    one = one.changed("encoder", mode=mode)
    text = encoder_of(one)
    pooled = build(one, text.spec, labels=3).eval()
    assert isinstance(pooled, PooledModel)
    plain = TextModel(pooled.embedding, pooled.encoder, pooled.head).eval()
    with torch.inference_mode():
        assert torch.allclose(pooled(ids_of(text)), plain(ids_of(text)), atol=1e-6)


@pytest.mark.parametrize(("embedding", "encoder", "mode"), [("char_cnn", "bag", "mean"), ("table", "bag", "max")])
def test_where_vectors_are_needed_one_by_one_they_are_formed(embedding: str, encoder: str, mode: str) -> None:
    one = recipe(embedding, encoder).changed("encoder", mode=mode)
    model = build(one, encoder_of(one).spec, labels=3)
    assert type(model) is TextModel
    assert model.PARALLEL
    assert not PooledModel.PARALLEL


def test_another_form_of_the_embedding_keeps_the_rest() -> None:
    one = recipe("table")
    text = encoder_of(one)
    model = build(one, text.spec, labels=3)
    other = build(one, text.spec, labels=3).embedding
    changed = model.with_embedding(other)
    assert (changed.embedding, changed.encoder, changed.head) == (other, model.encoder, model.head)
    assert isinstance(changed, PooledModel)
    assert not changed.training


def test_each_language_begins_where_the_former_ends_and_ngrams_after_all() -> None:
    spec = TextSpec(words=10, buckets=4, ngrams=2, inputs=Layout.LANGUAGES, languages={"de": 3, "en": 5, "zh": 1})
    assert offsets(spec) == [0, 3, 8, 9]


def test_rows_of_languages_never_meet() -> None:
    one = recipe("multilingual", text="ngrams = 2\nbuckets = 16")
    text = encoder_of(one)
    ids = text.assemble(text.look_up(TEXTS, LANGUAGES))
    places = np.array(offsets(text.spec))[ids[..., 1]] + ids[..., 0]
    rows = {
        lang: set(places[row][ids[row, :, 0] > 0].tolist()) for row, lang in enumerate(LANGUAGES) if row in (2, 3)
    }
    words = {lang: {row for row in found if row < text.spec.words} for lang, found in rows.items()}
    assert words["de"]
    assert not words["de"] & words["en"]
    assert max(max(found) for found in rows.values()) < text.spec.rows


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with refused(InputError, "LX-RECIPE-002", "heads=4 do not divide the embedding's dim=30"):
        recipe("table", "transformer").changed("embedding", dim=30)


@pytest.mark.parametrize("dim", [10**12, 2**62, 2**70])
def test_a_model_larger_than_memory_is_refused(dim: int) -> None:
    one = recipe("table").changed("embedding", dim=dim)
    with refused(InputError, "LX-MODEL-001", "machine's"):
        build(one, encoder_of(one).spec, labels=3)
