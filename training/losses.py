"""What training lowers, per task."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive(queries: Tensor, targets: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """How hard it is to tell each query's own targets from the others of the batch, both ways; a scalar.

    queries, targets: unit vectors float32 [batch, dim], the i-th belonging together; groups: int64 [batch], pairs
    of one group are right for one another too, such as images of one digit. temperature divides the cosines.
    With every group its own this is InfoNCE (van den Oord, Li, Vinyals: Representation Learning with Contrastive
    Predictive Coding, 2018, arXiv:1807.03748), otherwise its form for several positives (Khosla et al.:
    Supervised Contrastive Learning, 2020, arXiv:2004.11362).
    """
    cosines = queries @ targets.T / temperature
    right = (groups.unsqueeze(0) == groups.unsqueeze(1)).to(cosines.dtype)
    right = right / right.sum(dim=1, keepdim=True)
    return (F.cross_entropy(cosines, right) + F.cross_entropy(cosines.T, right)) / 2


def classified(
    outputs: Tensor, truth: Tensor, multi_label: bool, smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """The mean cross-entropy of logits float32 [batch, labels], a scalar.

    truth: int64 [batch], or with `multi_label` float32 [batch, labels] of 0 and 1. smoothing: share of the truth that
    is spread over all labels. weights: float32 [labels]; what a text counts by its label, or with `multi_label` a
    label that is present. They apply after smoothing: torch's own `weight` and `pos_weight` weigh the spread share by
    the label it goes to, so that the rarest label receives most of it from every text.
    """
    if multi_label:
        smoothed = truth * (1 - smoothing) + smoothing / 2
        losses = F.binary_cross_entropy_with_logits(outputs, smoothed, reduction="none")
        return (losses if weights is None else losses * (1 + (weights - 1) * truth)).mean()
    losses = F.cross_entropy(outputs, truth, reduction="none", label_smoothing=smoothing)
    return (losses if weights is None else losses * weights[truth]).mean()


def balanced(counts: Tensor) -> Tensor:
    """A weight per label, float32 [labels], by the inverse of its count; texts weigh one on average.

    King, Zeng: Logistic Regression in Rare Events Data, 2001.
    """
    return (counts.sum() / (len(counts) * counts.clamp(min=1))).to(torch.float32)
