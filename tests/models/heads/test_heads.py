"""Heads: what each makes of a text's vector, and what none can be made of."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lexport.models.heads import (
    Classifier,
    ClassifierOptions,
    Head,
    ImageTower,
    Joint,
    JointOptions,
    Vector,
    VectorOptions,
)

WIDTH = 6


def vectors(rows: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed))


def answered(head: Head, given: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return head.eval().answer(head(given))


def test_one_label_of_several_gets_scores_that_sum_to_one() -> None:
    scores = answered(Classifier(WIDTH, 3, ClassifierOptions()), vectors())
    assert scores.shape == (5, 3)
    assert torch.allclose(scores.sum(dim=1), torch.ones(5))
    assert (scores > 0).all()


def test_several_labels_get_a_sigmoid_each_that_no_other_moves() -> None:
    head = Classifier(WIDTH, 3, ClassifierOptions(multi_label=True))
    logits = torch.tensor([[0.0, 2.0, -3.0], [9.0, 2.0, 9.0]])
    scores = head.answer(logits)
    assert torch.allclose(scores, 1 / (1 + torch.exp(-logits)))
    assert scores[0, 1] == scores[1, 1]
    assert scores[1].sum() > 1


@pytest.mark.parametrize("multi_label", [False, True])
def test_an_empty_text_starts_between_all_labels(multi_label: bool) -> None:
    scores = answered(Classifier(WIDTH, 4, ClassifierOptions(multi_label=multi_label)), torch.zeros(1, WIDTH))
    assert torch.equal(scores, torch.full((1, 4), 0.5 if multi_label else 0.25))


@pytest.mark.parametrize("size", [0, 1, 4])
def test_vectors_have_length_one_and_the_width_asked_for(size: int) -> None:
    head = Vector(WIDTH, VectorOptions(size=size))
    found = answered(head, vectors())
    assert found.shape == (5, size or WIDTH)
    assert head.size == found.shape[1]
    assert torch.allclose(found.norm(dim=1), torch.ones(5))


def test_without_a_projection_the_direction_stays() -> None:
    given = vectors()
    found = answered(Vector(WIDTH, VectorOptions()), given)
    assert torch.allclose(found * given.norm(dim=1, keepdim=True), given, atol=1e-6)


@pytest.mark.parametrize(
    "head", [Vector(WIDTH, VectorOptions()), Vector(WIDTH, VectorOptions(size=3)), Joint(WIDTH, JointOptions(3), 8)]
)
def test_an_empty_text_is_the_zero_vector(head: Head) -> None:
    found = answered(head, torch.zeros(2, WIDTH))
    assert torch.equal(found, torch.zeros_like(found))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_length_of_the_text_vector_plays_no_part(scale: float) -> None:
    torch.manual_seed(0)
    head = Vector(WIDTH, VectorOptions(size=4))
    assert torch.allclose(answered(head, vectors() * scale), answered(head, vectors()), atol=1e-5)


def test_texts_and_images_lie_in_one_space() -> None:
    torch.manual_seed(0)
    head = Joint(WIDTH, JointOptions(size=4, hidden=7), 9).eval()
    images = torch.rand(3, 9)
    found = head.image(images)
    assert found.shape == (3, 4)
    assert answered(head, vectors()).shape == (5, 4)
    assert torch.allclose(found.norm(dim=1), torch.ones(3))
    assert head.image.values == 9


def test_a_blank_image_has_a_finite_vector() -> None:
    tower = ImageTower(9, JointOptions()).eval()
    with torch.no_grad():
        tower.hidden.bias.zero_()
    assert torch.equal(tower(torch.zeros(1, 9)), torch.zeros(1, 32))


@pytest.mark.parametrize(
    "head",
    [
        Classifier(WIDTH, 3, ClassifierOptions(dropout=0.5)),
        Vector(WIDTH, VectorOptions(dropout=0.5)),
        Joint(WIDTH, JointOptions(dropout=0.5), 4),
    ],
)
def test_dropout_is_for_training_alone(head: Head) -> None:
    torch.manual_seed(0)
    given = vectors(64)
    assert torch.equal(head.eval()(given), head(given))
    assert not torch.equal(head.train()(given), head(given))


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        (ClassifierOptions, {"dropout": 1.0}, r"dropout=1\.0"),
        (ClassifierOptions, {"dropout": float("nan")}, "dropout=nan"),
        (ClassifierOptions, {"label_smoothing": -0.1}, r"label_smoothing=-0\.1"),
        (
            ClassifierOptions,
            {"class_weights": "equal"},
            'is "equal", known are "auto", "none", "root", "balanced"',
        ),
        (ClassifierOptions, {"threshold": 0.0}, r"threshold=0\.0 must lie between 0 and 1"),
        (ClassifierOptions, {"threshold": 1.0}, r"threshold=1\.0 must lie between 0 and 1"),
        (VectorOptions, {"size": -1}, "size=-1 must be at least 0"),
        (VectorOptions, {"temperature": 0.0}, r"temperature=0\.0 above 0"),
        (VectorOptions, {"temperature": float("nan")}, "temperature=nan above 0"),
        (VectorOptions, {"objective": "triplet"}, 'objective is "triplet", known are "contrastive" and "pooled"'),
        (VectorOptions, {"objective": "pooled", "size": 3}, "learns no projection; size=3 must be 0"),
        (JointOptions, {"size": 0}, "size=0"),
        (JointOptions, {"hidden": 0}, "hidden=0"),
        (JointOptions, {"dropout": 1.5}, r"dropout=1\.5"),
        (JointOptions, {"temperature": float("inf")}, "temperature=inf above 0"),
        (JointOptions, {"temperature": -1.0}, r"temperature=-1\.0 above 0"),
    ],
)
def test_what_no_head_can_be_is_refused(kind: type[Any], options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        kind(**options)
