"""An average of a model's weights over the epochs. It varies less than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from ...models.compose import TextModel


class AveragedWeights:
    """The exponential moving average of a model's parameters, updated at the end of each epoch.

    After Polyak, Juditsky: Acceleration of Stochastic Approximation by Averaging, SIAM Journal on Control and
    Optimization 30, 1992, and Izmailov, Podoprikhin, Garipov, Vetrov, Wilson: Averaging Weights Leads to Wider Optima
    and Better Generalization, 2018, arXiv:1803.05407. It is updated once an epoch and not once a step, so that steps
    cost no more, however large a table is. The average takes as much memory as the weights.
    """

    def __init__(self, model: TextModel, share: float) -> None:
        """Average the weights of `model`. `share`: the decay per epoch, 0 to below 1; with 0 there is no average."""
        self._model = model
        self._share = share
        self._weights: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, epoch: int) -> None:
        """Add the weights at the end of `epoch`. Call this once for each epoch, from 1, in order."""
        if not self._share:
            return
        # Weights of 1 - share, share (1 - share), share² (1 - share) …, divided by their sum.
        new = (1 - self._share) / (1 - self._share**epoch)
        for name, value in self._model.named_parameters():
            if epoch == 1:
                self._weights[name] = value.detach().clone()
            else:
                self._weights[name].lerp_(value, new)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Context manager: run with the averaged weights swapped in, if there are any."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, weights in self._weights.items():
            parameter = self._model.get_parameter(name)
            self._weights[name], parameter.data = parameter.data, weights

    def state(self) -> dict[str, Tensor]:
        """Return the average by parameter name; empty if there is none."""
        return self._weights

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Continue from a `state` of the same model."""
        self._weights = {name: value.to(self._model.get_parameter(name).device) for name, value in weights.items()}
