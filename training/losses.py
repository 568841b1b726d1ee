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


def balanced(counts: Tensor) -> Tensor:
    """A weight per label, float32 [labels], by the inverse of its count; texts weigh one on average.

    King, Zeng: Logistic Regression in Rare Events Data, 2001.
    """
    return (counts.sum() / (len(counts) * counts.clamp(min=1))).to(torch.float32)
