"""Minimise the L2-regularised logistic loss of a linear model: a truncated Newton method."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

# Steps of conjugate gradients within one Newton step, and halvings of a step that does not descend.
_MOST_INNER, _MOST_HALVINGS = 200, 30
# Armijo's condition: a step must win this share of what the gradient promises.
_SUFFICIENT = 1e-4
# Of logits, between which the one of the least loss is looked for.
_LEAST_FACTOR, _MOST_FACTOR, _HALVINGS = 1 / 64, 1024.0, 14


class Design(Protocol):
    """A matrix of features, [texts, features], by its products."""

    def forward(self, weights: Tensor) -> Tensor:
        """Map float64 [features, outputs] → float64 [texts, outputs]."""

    def transposed(self, values: Tensor) -> Tensor:
        """Map float64 [texts, outputs] → float64 [features, outputs]."""


@dataclass(frozen=True)
class Weights:
    """A linear model: logits are features · weight + bias."""

    weight: Tensor
    """float64 [features, outputs]."""
    bias: Tensor
    """float64 [outputs]."""

    @classmethod
    def zeros(cls, features: int, outputs: int) -> Weights:
        """Return a model that answers 0 for everything."""
        return cls(torch.zeros(features, outputs, dtype=torch.float64), torch.zeros(outputs, dtype=torch.float64))

    def plus(self, other: Weights, times: float) -> Weights:
        """Return self + times · other."""
        return Weights(torch.add(self.weight, other.weight, alpha=times), self.bias + times * other.bias)

    def dot(self, other: Weights) -> float:
        """Return the inner product with another model."""
        return float(torch.dot(self.weight.flatten(), other.weight.flatten()) + self.bias @ other.bias)


@dataclass(frozen=True)
class LogisticLoss:
    """The sum over texts of their weighted cross-entropies, of a softmax or of a sigmoid for each output."""

    truth: Tensor
    """The targets, float64 [texts, outputs]: shares of the labels that sum to 1, or each from 0 to 1."""
    weights: Tensor
    """The weight of each term: float64 [texts, 1], or for sigmoids also [texts, outputs]."""
    softmax: bool
    """Whether the outputs of a text compete (softmax)."""
    offset: Tensor
    """What is added to the logits of the linear model, float64 [texts, outputs]."""

    def value(self, logits: Tensor) -> float:
        """Return the loss of logits float64 [texts, outputs]."""
        if self.softmax:
            each = -(self.truth * F.log_softmax(logits, dim=1)).sum(dim=1, keepdim=True)
        else:
            each = F.binary_cross_entropy_with_logits(logits, self.truth, reduction="none")
        return float((self.weights * each).sum())

    def calibrated(self, logits: Tensor) -> float:
        """Return the least loss of logits times one factor for all texts.

        Temperature scaling: Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017.
        """
        low, high = _LEAST_FACTOR, _MOST_FACTOR
        for _ in range(_HALVINGS):
            middle = math.sqrt(low * high)
            rising = float((self.gradient(self.scores(middle * logits)) * logits).sum()) > 0
            low, high = (low, middle) if rising else (middle, high)
        return self.value(math.sqrt(low * high) * logits)

    def scores(self, logits: Tensor) -> Tensor:
        """Return the probabilities, float64 [texts, outputs]."""
        return logits.softmax(dim=1) if self.softmax else logits.sigmoid()

    def gradient(self, scores: Tensor) -> Tensor:
        """Return the derivative by the logits, float64 [texts, outputs]."""
        return self.weights * (scores - self.truth)

    def curvature(self, scores: Tensor, change: Tensor) -> Tensor:
        """Return the second derivative by the logits times a change of them, float64 [texts, outputs]."""
        bent = scores * change
        bent = bent - scores * bent.sum(dim=1, keepdim=True) if self.softmax else bent * (1 - scores)
        return self.weights * bent


@dataclass(frozen=True)
class Minimum:
    """What `minimise` returns."""

    model: Weights
    """The best model."""
    steps: int
    """Newton steps that were taken."""
    converged: bool
    """Whether the gradient became small enough."""


def minimise(
    design: Design,
    loss: LogisticLoss,
    strength: float,
    start: Weights,
    tolerance: float,
    steps: int,
    report: Callable[[int], None] = lambda step: None,
) -> Minimum:
    """Return the minimum of ½ ‖weight‖² + strength · loss, beginning at `start`; the bias has no penalty.

    It ends once the gradient's norm is below `tolerance` times that of the model without weights, or after `steps`
    Newton steps; `report` is called with the number of each. Each step solves for the Newton direction by conjugate
    gradients, the more exactly the closer the minimum (Dembo, Steihaug: Truncated-Newton Algorithms for Large-Scale
    Unconstrained Optimization, 1983; for logistic regression: Lin, Weng, Keerthi: Trust Region Newton Method for
    Large-Scale Logistic Regression, Journal of Machine Learning Research 9, 2008).
    """

    def bring_back(changed: Tensor, penalty: Tensor) -> Weights:
        return Weights(penalty + strength * design.transposed(changed), strength * changed.sum(dim=0))

    def objective(weight: Tensor, logits: Tensor) -> float:
        return 0.5 * float(weight.square().sum()) + strength * loss.value(logits)

    model = start
    logits = loss.offset + design.forward(model.weight) + model.bias
    value = objective(model.weight, logits)
    zeros = bring_back(loss.gradient(loss.scores(loss.offset)), torch.zeros_like(model.weight))
    first = max(math.sqrt(zeros.dot(zeros)), 1e-12)
    enough = tolerance * first
    for step in range(1, steps + 1):
        scores = loss.scores(logits)
        gradient = bring_back(loss.gradient(scores), model.weight)
        norm = math.sqrt(gradient.dot(gradient))
        if norm <= enough:
            return Minimum(model, step - 1, True)
        report(step)

        def curve(change: Weights, scores: Tensor = scores) -> Weights:
            return bring_back(loss.curvature(scores, design.forward(change.weight) + change.bias), change.weight)

        direction = _solve(curve, gradient, max(min(0.5, math.sqrt(norm / first)) * norm, 0.1 * enough))
        slope = gradient.dot(direction)
        moved = design.forward(direction.weight) + direction.bias
        length = 1.0
        for _ in range(_MOST_HALVINGS):
            next_weight = torch.add(model.weight, direction.weight, alpha=length)
            lower = objective(next_weight, logits + length * moved)
            if lower <= value + _SUFFICIENT * length * slope:
                break
            length /= 2
        else:
            return Minimum(model, step, False)  # as exact as these numbers can be
        model = Weights(next_weight, model.bias + length * direction.bias)
        logits = logits + length * moved
        value = lower
    return Minimum(model, steps, False)


def _solve(curve: Callable[[Weights], Weights], gradient: Weights, enough: float) -> Weights:
    """Return a direction with curve(direction) = −gradient, but for a remainder of norm `enough`."""
    direction = Weights(torch.zeros_like(gradient.weight), torch.zeros_like(gradient.bias))
    rest = Weights(-gradient.weight, -gradient.bias)
    way, square = rest, rest.dot(rest)
    for _ in range(_MOST_INNER):
        bent = curve(way)
        along = way.dot(bent)
        if along <= 0:
            break
        length = square / along
        direction = direction.plus(way, length)
        rest = rest.plus(bent, -length)
        before, square = square, rest.dot(rest)
        if math.sqrt(square) <= enough:
            break
        way = rest.plus(way, square / before)
    return direction
