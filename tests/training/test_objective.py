"""Lessons: the loss on a part of the data, against formulas; the outputs of a part, however it is batched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lexport.data.load import Dataset, dataset_of
from lexport.handlers.text.encoder import UNK, TextEncoder
from lexport.models import recipes
from lexport.models.compose import TextModel, build
from lexport.models.embeddings import Table
from lexport.models.heads.losses import balanced_weights, contrastive_loss
from lexport.models.predict import image_outputs, outputs, text_outputs
from lexport.models.recipes import Recipe
from lexport.models.vocabulary import build_encoder
from lexport.training.objective import Dropout, Objective

TEXTS = ["goal match goal", "oven", "rain and wind", "", "match rain", "goal"]
PAIRS = ["team", "pan butter", "storm", "cup", "", "league goal"]
LABELS = ["sport", "kitchen", "weather", "kitchen", "sport", "sport"]
SETS = ["sport", "kitchen", "sport|weather", "", "sport|weather", "sport"]
NAMES = ["kitchen", "sport", "weather"]
ALL = np.arange(len(TEXTS))


def recipe(head: str = "classifier", embedding: str = "table", **options: Any) -> Recipe:
    plain = recipes.parse(
        "mine", f'[text]\nmin_count = 1\n[head]\nname = "{head}"\n[embedding]\nname = "{embedding}"'
    )
    return plain.changed("embedding", dim=4).changed("head", **options)


def part(**columns: Any) -> Dataset:
    return dataset_of(TEXTS, columns.pop("labels", [""] * len(TEXTS)), "mine.csv", **columns)


def made(one: Recipe, dataset: Dataset) -> tuple[TextModel, TextEncoder, Objective]:
    encoder = build_encoder([*TEXTS, *PAIRS], one.text)
    values = 0 if dataset.images is None else dataset.images.shape[1]
    torch.manual_seed(1)
    model = build(one, encoder.spec, labels=len(NAMES), image_values=values)
    model.embedding.get_parameter("weight").data[1:].normal_()
    return model, encoder, Objective(one, encoder, dataset, NAMES)


def classified(**options: Any) -> tuple[TextModel, Objective, torch.Tensor]:
    """A model, its objective, and its log scores of the texts, float64."""
    labels = SETS if options.get("multi_label") else LABELS
    model, encoder, objective = made(recipe(**options), part(labels=labels))
    with torch.inference_mode():
        logits = model(torch.from_numpy(encoder.assemble(encoder.look_up(TEXTS)))).double()
    return model, objective, logits


def test_of_one_label_the_loss_is_minus_its_mean_log_score() -> None:
    model, objective, logits = classified()
    truth = [NAMES.index(label) for label in LABELS]
    expected = -logits.log_softmax(dim=1)[ALL, truth].mean()
    assert objective.loss(model, ALL).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("name", "power"), [("balanced", 1.0), ("root", 0.5)])
def test_class_weights_weigh_each_text_by_its_label(name: str, power: float) -> None:
    model, objective, logits = classified(class_weights=name)
    objective.set_class_weights(model)
    truth = [NAMES.index(label) for label in LABELS]
    weights = balanced_weights(torch.tensor([2, 3, 1]), power)[truth].double()
    assert weights.mean().item() == pytest.approx(1)
    assert (weights[truth.index(2)] / weights[truth.index(0)]).item() == pytest.approx(2**power)
    expected = -(weights * logits.log_softmax(dim=1)[ALL, truth]).mean()
    assert objective.loss(model, ALL).item() == pytest.approx(expected.item(), rel=1e-5)
    assert objective.loss(model, ALL).item() != pytest.approx(classified()[1].loss(model, ALL).item(), rel=1e-3)


def test_of_probabilities_the_loss_is_the_mean_cross_entropy_and_a_texts_weight_the_mean_of_its_labels() -> None:
    model, _, logits = classified(class_weights="balanced")
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], len(TEXTS)).astype(np.float32)
    encoder = build_encoder([*TEXTS, *PAIRS], recipe().text)
    objective = Objective(recipe(class_weights="balanced"), encoder, part(labels=LABELS), NAMES, targets=shares)
    soft = torch.from_numpy(shares).double()
    each = -(soft * logits.log_softmax(dim=1)).sum(dim=1)
    assert objective.loss(model, ALL).item() == pytest.approx(each.mean().item(), rel=1e-5)
    objective.set_class_weights(model)
    weights = len(TEXTS) / 3 / soft.sum(dim=0).clamp(min=1)
    assert objective.loss(model, ALL).item() == pytest.approx((soft @ weights * each).mean().item(), rel=1e-5)


def test_the_share_that_smoothing_spreads_is_not_weighed_by_the_label_it_goes_to() -> None:
    model, objective, logits = classified(class_weights="balanced", label_smoothing=0.3)
    objective.set_class_weights(model)
    truth = [NAMES.index(label) for label in LABELS]
    weights = balanced_weights(torch.tensor([2, 3, 1]))[truth].double()
    target = torch.eye(3).double()[truth] * 0.7 + 0.3 / 3
    expected = -(weights * (target * logits.log_softmax(dim=1)).sum(dim=1)).mean()
    assert objective.loss(model.train(), ALL).item() == pytest.approx(expected.item(), rel=1e-5)


def test_smoothing_spreads_a_share_of_the_truth_in_training_alone() -> None:
    model, objective, logits = classified(label_smoothing=0.3)
    truth = torch.eye(3).double()[[NAMES.index(label) for label in LABELS]]
    scores = logits.log_softmax(dim=1)
    for mode, target in ((True, truth * 0.7 + 0.3 / 3), (False, truth)):
        expected = -(target * scores).sum(dim=1).mean()
        assert objective.loss(model.train(mode), ALL).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("class_weights", ["none", "auto", "root", "balanced"])
@pytest.mark.parametrize("training", [True, False])
def test_of_several_labels_each_is_a_question_of_its_own(class_weights: str, training: bool) -> None:
    model, objective, logits = classified(multi_label=True, class_weights=class_weights, label_smoothing=0.2)
    objective.set_class_weights(model)
    truth = torch.tensor([[float(name in own.split("|")) for name in NAMES] for own in SETS]).double()
    power = {"balanced": 1.0, "root": 0.5}.get(class_weights, 0.0)
    absent_by_present = torch.tensor([5 / 1, 2 / 4, 4 / 2]) ** power
    target = truth * 0.8 + 0.1 if training else truth
    yes, no = logits.sigmoid().log(), (-logits).sigmoid().log()
    weights = torch.where(truth == 1, absent_by_present, 1.0)
    expected = -(weights * (target * yes + (1 - target) * no)).mean()
    assert objective.loss(model.train(training), ALL).item() == pytest.approx(expected.item(), rel=1e-5)


def test_vectors_lose_by_how_hard_their_pairs_are_to_find() -> None:
    one = recipe("vector", temperature=0.2)
    model, encoder, objective = made(one, part(pairs=PAIRS))
    rows = np.array([4, 0, 2])
    own, pairs = (text_outputs(model, encoder, [texts[row] for row in rows]) for texts in (TEXTS, PAIRS))
    expected = contrastive_loss(torch.from_numpy(own), torch.from_numpy(pairs), torch.arange(3), 0.2)
    assert objective.loss(model, rows).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("labels", [LABELS, [""] * 6])
def test_texts_and_images_lose_likewise_and_share_those_of_their_label(labels: list[str]) -> None:
    images = np.random.default_rng(0).random((6, 5), np.float32)
    model, encoder, objective = made(recipe("joint", size=3), part(labels=labels, images=images))
    own, others = text_outputs(model, encoder, TEXTS), image_outputs(model.eval(), images)
    groups = torch.tensor([1, 0, 2, 0, 1, 1]) if any(labels) else torch.arange(6)
    expected = contrastive_loss(torch.from_numpy(own), torch.from_numpy(others), groups, 0.1)
    assert objective.loss(model, ALL).item() == pytest.approx(expected.item(), rel=1e-5)


def test_dimensions_in_use_cost_something_in_training_alone() -> None:
    model, _, objective = made(
        recipe(embedding="dynamic_dim").changed("embedding", penalty=10.0), part(labels=LABELS)
    )
    free = made(recipe(embedding="dynamic_dim").changed("embedding", penalty=0.0), part(labels=LABELS))[2]
    assert objective.loss(model.train(), ALL) > free.loss(model.eval(), ALL) + 1
    assert objective.loss(model.eval(), ALL) == free.loss(model.eval(), ALL)


def test_what_is_dropped_is_dropped_from_texts_and_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoder, objective = made(recipe("vector"), part(pairs=PAIRS))
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    look_up = Table.pooled_cells

    def watched(self: Table, cells: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        seen.append((cells, counts))
        return look_up(self, cells, counts)

    monkeypatch.setattr(Table, "pooled_cells", watched)
    objective.loss(model, ALL[:4], Dropout(0.999, 0.0, np.random.default_rng(0)))
    for texts, (cells, counts) in zip((TEXTS, PAIRS), seen, strict=True):
        assert counts.tolist() == encoder.look_up(texts[:4]).lengths.tolist()
        assert cells.tolist() == [UNK] * int(counts.sum())


@pytest.mark.parametrize("head", ["classifier", "vector"])
def test_outputs_do_not_depend_on_what_else_is_asked(head: str) -> None:
    model, encoder, _ = made(recipe(head), part(labels=LABELS))
    model.eval()
    together = text_outputs(model, encoder, TEXTS * 30)
    assert together.dtype == np.float32
    for row, text in enumerate(TEXTS):
        assert np.abs(together[row::6] - text_outputs(model, encoder, [text])).max() < 1e-6


def test_the_outputs_of_a_part_are_texts_then_pairs_or_images() -> None:
    images = np.random.default_rng(0).random((6, 5), np.float32)
    model, encoder, _ = made(recipe("vector"), part(pairs=PAIRS))
    found = outputs(model.eval(), encoder, part(pairs=PAIRS))
    assert np.array_equal(found, np.concatenate([text_outputs(model, encoder, texts) for texts in (TEXTS, PAIRS)]))
    model, encoder, _ = made(recipe("joint"), part(images=images))
    found = outputs(model.eval(), encoder, part(images=images))
    assert np.array_equal(found[6:], image_outputs(model, images))


def test_pooled_vectors_have_nothing_to_learn() -> None:
    assert not recipe("vector", objective="pooled").learns
    assert recipe("vector").learns
