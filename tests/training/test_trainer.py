"""Fitting: what each option changes, where fine-tuning begins, and what is refused before or while training."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lexport.data.load import Columns, Dataset, load
from lexport.data.splits import Splits, split
from lexport.errors import InputError
from lexport.handlers.text.encoder import TextEncoder
from lexport.models import recipes
from lexport.models.compose import build
from lexport.models.embeddings import Table
from lexport.models.predict import text_outputs
from lexport.models.recipes import Recipe
from lexport.models.run import Run
from lexport.models.vocabulary import build_encoder
from lexport.training.fit import Fit, fit
from lexport.training.objective import Objective

from ..refusals import refused

SMALL = recipes.load("bag").changed("text", buckets=256).changed("embedding", dim=8).changed("training", epochs=3)


@pytest.fixture(scope="module")
def parts(tiny_csv: Path) -> Splits:
    return split(load(str(tiny_csv)))


@pytest.fixture(scope="module")
def tongues(tasks_jsonl: Path) -> Splits:
    return split(load(str(tasks_jsonl), Columns(language="lang")))


def encoder_of(recipe: Recipe, parts: Splits) -> TextEncoder:
    return build_encoder(parts.train.texts, recipe.text, inputs=recipe.inputs, languages=parts.train.languages)


def fitted(recipe: Recipe, parts: Splits, **options: Any) -> Fit:
    labels = parts.train.classes if recipe.task == "classify" else []
    return fit(recipe, parts, labels, encoder_of(recipe, parts), **({"seed": 0} | options))


def of(embedding: str, text: str = "", encoder: str = "bag", **options: Any) -> Recipe:
    plain = (
        f'[text]\n{text}\n[embedding]\nname = "{embedding}"\n[encoder]\nname = "{encoder}"\n[training]\nepochs = 8'
    )
    recipe = recipes.parse("mine", plain).changed("training", learning_rate=0.02, patience=8, batch_size=32)
    return recipe.changed("embedding", dim=8, **options)


def recall(result: Fit, encoder: TextEncoder, part: Dataset, label: str) -> float:
    scores = text_outputs(result.model, encoder, part.texts)
    rows = [row for row, own in enumerate(part.labels) if own == label]
    return float(np.mean(scores[rows].argmax(axis=1) == part.classes.index(label)))


NGRAMS = "ngrams = 2\nbuckets = 256"


@pytest.mark.parametrize(
    "recipe",
    [
        of("table", NGRAMS, sparse=True),
        of("table", NGRAMS, sparse=True, padding_idx=1),
        of("table", encoder="cnn", sparse=True),
        of("dynamic_dim", NGRAMS, sparse=True),
        of("hashed", "subwords = [3, 4]", sparse=True, buckets=2048),
        of("multilingual", NGRAMS, sparse=True),
    ],
    ids=lambda recipe: f"{recipe.embedding.NAME}-{recipe.encoder.NAME}",
)
def test_tables_with_sparse_gradients_learn(recipe: Recipe, parts: Splits, tongues: Splits) -> None:
    result = fitted(recipe, tongues if recipe.inputs == "languages" else parts)
    assert min(result.losses) < 0.8 * np.log(3)


def test_sparse_gradients_leave_rows_alone_that_no_text_has(parts: Splits) -> None:
    recipe = of("table", sparse=True).changed("training", word_dropout=0.0, epochs=1)
    encoder = encoder_of(recipe, parts)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        start = build(recipe, encoder.spec, labels=3).embedding.get_parameter("weight")
    few = dataclasses.replace(parts, train=parts.train.take([0], "one text"))
    end = fit(recipe, few, parts.train.classes, encoder, seed=0).model.embedding.get_parameter("weight")
    met = np.unique(encoder.assemble(encoder.look_up(few.train.texts)))
    moved = (end != start).any(dim=1).nonzero().flatten().tolist()
    assert moved == [row for row in met.tolist() if row]


def test_scale_grad_by_freq_and_padding_of_unk_take_part_in_training(parts: Splits) -> None:
    plain, scaled, padded = (
        fitted(of("table", **options), parts).model.embedding.get_parameter("weight")
        for options in ({}, {"scale_grad_by_freq": True}, {"padding_idx": 1})
    )
    assert not torch.equal(plain, scaled)
    assert torch.count_nonzero(padded[1]) == 0 < torch.count_nonzero(plain[1])


@pytest.mark.parametrize("encoder", ["bag", "cnn"])
def test_max_norm_bounds_every_row_that_is_exported(parts: Splits, encoder: str) -> None:
    recipe = of("table", encoder=encoder)
    free, bounded = (fitted(recipe.changed("embedding", max_norm=limit), parts) for limit in (None, 0.2))
    rows = []
    for result in (free, bounded):
        assert isinstance(result.model.embedding, Table)
        rows.append(result.model.embedding.settled().norm(dim=1).max().item())
    assert rows[0] > 0.2 >= rows[1] - 1e-6
    assert bounded.losses[-1] < bounded.losses[0]


def test_balanced_weights_find_more_of_a_rare_label(parts: Splits) -> None:
    rows = [row for row, label in enumerate(parts.train.labels) if label != "kitchen" or row % 12 == 0]
    rare = dataclasses.replace(parts, train=parts.train.take(rows, "rare"))
    plain = SMALL.changed("training", epochs=10)
    encoder = encoder_of(plain, rare)
    found = [
        recall(fit(recipe, rare, parts.train.classes, encoder, seed=0), encoder, parts.test, "kitchen")
        for recipe in (plain, plain.changed("head", class_weights="balanced"))
    ]
    assert found[0] < 0.6 < found[1]


def test_label_smoothing_takes_part_in_training(parts: Splits) -> None:
    plain, smooth = (fitted(SMALL.changed("head", label_smoothing=share), parts) for share in (0.0, 0.2))
    assert not torch.equal(
        plain.model.head.get_parameter("linear.weight"), smooth.model.head.get_parameter("linear.weight")
    )


@pytest.mark.parametrize("encoder", ["bag", "cnn"])
def test_an_epoch_meets_every_text_once(parts: Splits, monkeypatch: pytest.MonkeyPatch, encoder: str) -> None:
    met: list[np.ndarray[Any, Any]] = []
    widths: list[int] = []
    loss = Objective.loss

    def watched(self: Objective, model: Any, rows: Any, *drop: Any) -> torch.Tensor:
        if model.training:
            met.append(rows)
            widths.append(int(np.ptp(self.lengths[rows])))
        return loss(self, model, rows, *drop)

    monkeypatch.setattr(Objective, "loss", watched)
    fitted(of("table", encoder=encoder).changed("training", epochs=2), parts)
    first, second = (np.concatenate(met[half * len(met) // 2 :][: len(met) // 2]) for half in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(len(parts.train)))
    assert first.tolist() != second.tolist()
    # Where padding costs, texts of a batch are of similar length.
    assert (np.mean(widths) < 3) == (encoder == "cnn")


def test_fine_tuning_begins_where_the_run_ended_and_leaves_it_as_it_was(trained_run: Run, parts: Splits) -> None:
    before = copy.deepcopy(trained_run.model.state_dict())
    recipe = trained_run.recipe.changed("training", epochs=1, learning_rate=1e-12)
    still = fit(recipe, parts, trained_run.labels, trained_run.encoder, seed=3, start=trained_run)
    moved = fit(
        recipe.changed("training", learning_rate=0.01),
        parts,
        trained_run.labels,
        trained_run.encoder,
        seed=3,
        start=trained_run,
    )
    for name, value in before.items():
        assert torch.equal(trained_run.model.state_dict()[name], value)
        assert torch.allclose(still.model.state_dict()[name], value, atol=1e-9)
    assert not torch.allclose(moved.model.state_dict()["embedding.weight"], before["embedding.weight"], atol=1e-3)


def test_pooled_vectors_stay_as_they_were_given(tasks_jsonl: Path, tmp_path: Path) -> None:
    (tmp_path / "words.vec").write_text("goal 1 0 0\nsoup 0 1 0\nrain 0 0 1\n")
    pairs = split(load(str(tasks_jsonl), Columns(label=None, pair="pair")), None)
    recipe = recipes.parse("mine", '[text]\nmin_count = 1\n[head]\nname = "vector"\nobjective = "pooled"')
    said: list[str] = []
    recipe = recipe.changed("embedding", dim=3, vectors=str(tmp_path / "words.vec"))
    result = fitted(recipe, pairs, say=said.append)
    assert (result.losses, result.best_epoch) == ([], 0)
    assert "3 of" in said[0]
    encoder = encoder_of(recipe, pairs)
    answers = text_outputs(result.model, encoder, ["goal", "soup rain soup rain"])
    assert np.abs(answers - [[1, 0, 0], [0, 0.5**0.5, 0.5**0.5]]).max() < 1e-6


def test_progress_is_told_to_the_end_and_threads_stay_as_they_were(parts: Splits) -> None:
    told: list[tuple[int, int, str]] = []
    before = torch.get_num_threads()
    fitted(SMALL, parts, progress=lambda *news: told.append(news))
    assert torch.get_num_threads() == before
    assert all(0 <= done <= total for done, total, _ in told)
    assert told[0][2].startswith("epoch 1, loss ")
    assert told[-1] == (1, 1, "best epoch 3 of 3")


def test_training_that_diverges_says_so(parts: Splits) -> None:
    with refused(InputError, "LX-TRAIN-027", "1", "training diverged", "1e+30"):
        fitted(SMALL.changed("training", learning_rate=1e30), parts)


@pytest.mark.parametrize("missing", ["kitchen", "sport", "weather"])
def test_labels_are_balanced_although_the_new_texts_lack_one_of_the_runs(
    missing: str, trained_run: Run, parts: Splits
) -> None:
    recipe = trained_run.recipe.changed("head", class_weights="balanced").changed("training", epochs=1)
    kept = [row for row, label in enumerate(parts.train.labels) if label != missing]
    fewer = dataclasses.replace(parts, train=parts.train.take(kept, "fewer"))
    result = fit(recipe, fewer, trained_run.labels, trained_run.encoder, seed=0, start=trained_run)
    assert np.isfinite(result.losses).all()


def test_further_training_that_only_harms_leaves_the_weights_it_started_from(trained_run: Run, parts: Splits) -> None:
    recipe = trained_run.recipe.changed("training", learning_rate=0.01, epochs=2)
    wrong = dataclasses.replace(parts.train, labels=[*parts.train.labels[1:], parts.train.labels[0]])
    harmful = dataclasses.replace(parts, train=wrong)
    said: list[str] = []
    result = fit(recipe, harmful, trained_run.labels, trained_run.encoder, seed=0, start=trained_run, say=said.append)
    assert (result.best_epoch, len(result.losses)) == (0, 2)
    assert said == ["none of 2 epochs lowered the validation loss; the weights are those from before training"]
    for name, before in trained_run.model.state_dict().items():
        assert torch.equal(result.model.state_dict()[name], before)
