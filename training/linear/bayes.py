"""Naive Bayes over the features of the recipe `linear`: a linear model that is counted and not searched for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data.splits import Splits
from ...evaluation.diagnostics.tokenized import TokenizedSplits
from ...evaluation.tasks import task_of
from ...handlers.text.encoder import TextEncoder
from ...models.compose import build
from ...models.embeddings import Table
from ...models.heads import Linear, LinearOptions
from ...models.recipes import Recipe
from ..fit import Fit
from .features import Counts, Design, Scales
from .fit import weighings

_SMOOTHING = 1.0
_MOST_FEATURES = 1 << 22
# Of a bag of the mode "sqrtn", which the recipe has.
_POWER = 0.5


def fit_bayes(
    recipe: Recipe,
    parts: Splits,
    labels: Sequence[str],
    encoder: TextEncoder,
    *,
    tokens: TokenizedSplits,
    **_: Any,
) -> Fit:
    """Return multinomial naive Bayes of the training texts as a model of the recipe `linear`.

    The counts of features are weighted as by TF-IDF, which makes up for words of a text coming together, and for
    texts of different lengths (Rennie, Shih, Teevan, Karger: Tackling the Poor Assumptions of Naive Bayes Text
    Classifiers, ICML 2003). Of several labels each is a model of its own. Further arguments of a fitter are of no use
    to it.
    """
    assert isinstance(recipe.head, LinearOptions)
    began = time.monotonic()
    counts = Counts.of(encoder, tokens.train.take(np.arange(len(tokens.train.lengths))))
    scales = Scales.of(counts, encoder, _POWER, weighings(recipe.head)[0], _MOST_FEATURES // len(labels))
    design = Design(counts, scales, _POWER)
    truth = torch.from_numpy(task_of(recipe.task, labels).truth(parts.train))
    several = recipe.head.multi_label
    present = (truth if several else torch.nn.functional.one_hot(truth, len(labels))).to(torch.float64)
    shares, bias = _logarithms(design, present)
    if several:
        absent_shares, absent_bias = _logarithms(design, 1 - present)
        shares, bias = shares - absent_shares, bias - absent_bias
    model = build(recipe, encoder.spec, labels=len(labels))
    assert isinstance(model.embedding, Table)
    assert isinstance(model.head, Linear)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.embedding.weight[torch.from_numpy(scales.rows)] = (scales.factors * shares).to(torch.float32)
        model.head.bias.copy_(bias.to(torch.float32))
    model.eval()
    return Fit(model, [], 1, time.monotonic() - began)


def _logarithms(design: Design, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logarithms of each feature's share in the texts of a label, [features, labels], and of the label's.

    chosen: which texts a label has, float64 [texts, labels].
    """
    sums = design.transposed(chosen) + _SMOOTHING
    shares = (chosen.sum(dim=0) + _SMOOTHING) / (len(chosen) + _SMOOTHING * chosen.shape[1])
    return (sums / sums.sum(dim=0)).log(), shares.log()
