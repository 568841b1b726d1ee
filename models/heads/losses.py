"""The losses of heads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive_loss(queries: Tensor, targets: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """Return the contrastive loss, a scalar: the mean of both directions, queries to targets and targets to queries.

    queries, targets: unit vectors float32 [batch, dim]; row i of both is a pair. groups: int64 [batch]; pairs of the
    same group are positives for each other too, such as images of the same digit. temperature divides the cosines.
    If every pair has a group of its own this is InfoNCE (van den Oord, Li, Vinyals: Representation Learning with
    Contrastive Predictive Coding, 2018, arXiv:1807.03748), otherwise its form for several positives (Khosla et al.:
    Supervised Contrastive Learning, 2020, arXiv:2004.11362).
    """
    cosines = queries @ targets.T / temperature
    positives = (groups.unsqueeze(0) == groups.unsqueeze(1)).to(cosines.dtype)
    positives = positives / positives.sum(dim=1, keepdim=True)
    return (F.cross_entropy(cosines, positives) + F.cross_entropy(cosines.T, positives)) / 2


def classification_loss(
    outputs: Tensor, truth: Tensor, multi_label: bool, smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """Return the mean cross-entropy of logits float32 [batch, labels], a scalar.

    truth: int64 [batch], or the probability of each label, float32 [batch, labels]; with `multi_label` always the
    latter. smoothing: label smoothing, the share of the truth that is spread over all labels. weights: class weights
    float32 [labels]; each text is weighted by its label (by its labels' mean weight, where they have probabilities),
    or with `multi_label` each label that is present. The weights apply after smoothing: torch's own `weight` and
    `pos_weight` also weight the spread share, so that the rarest label gets most of it from every text.
    """
    if multi_label:
        smoothed = truth * (1 - smoothing) + smoothing / 2
        losses = F.binary_cross_entropy_with_logits(outputs, smoothed, reduction="none")
        return (losses if weights is None else losses * (1 + (weights - 1) * truth)).mean()
    losses = F.cross_entropy(outputs, truth, reduction="none", label_smoothing=smoothing)
    if weights is None:
        return losses.mean()
    return (losses * ((truth * weights).sum(dim=1) if truth.is_floating_point() else weights[truth])).mean()


def balanced_weights(counts: Tensor, power: float = 1.0) -> Tensor:
    """Return a class weight for each label, float32 [labels]: the inverse of its count to the `power`.

    The mean over texts is 1. King, Zeng: Logistic Regression in Rare Events Data, 2001.
    """
    inverse = counts.clamp(min=1).to(torch.float64) ** -power
    return (counts.sum() / (counts * inverse).sum() * inverse).to(torch.float32)
