"""An average of a model's weights over its epochs, which wanders less than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from ..models.compose import TextModel


class Averaged:
    """The exponential average of a model's parameters as they stand at the end of each epoch.

    After Polyak, Juditsky: Acceleration of Stochastic Approximation by Averaging, SIAM Journal on Control and
    Optimization 30, 1992, and Izmailov, Podoprikhin, Garipov, Vetrov, Wilson: Averaging Weights Leads to Wider Optima
    and Better Generalization, 2018, arXiv:1803.05407. Once an epoch and not once a step, so that a step costs what it
    did however large a table is; the average takes the memory of the weights once more.
    """

    def __init__(self, model: TextModel, share: float) -> None:
        """`share`: what an epoch's weights count of the next epoch's; 0: no average, and no memory for one."""
        self._model = model
        self._share = share
        self._weights: dict[str, Tensor] = {}

    @torch.no_grad()
    def take(self, epoch: int) -> None:
        """Let the weights at the end of `epoch` count; every epoch, from 1, once and in order."""
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
    def worn(self) -> Iterator[None]:
        """The model has the averaged weights meanwhile, if there are any."""
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
        """The average by parameter; empty where there is none."""
        return self._weights

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from a `state` of the same model."""
        self._weights = {name: value.to(self._model.get_parameter(name).device) for name, value in weights.items()}
