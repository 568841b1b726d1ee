"""Adam, AdamW, Adagrad and plain gradient descent for parameters that have dense gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.adamw import adamw

from ...models.embeddings.optimizer import Optimizer

_BETAS, _ADAM_EPS, _ADAGRAD_EPS = (0.9, 0.999), 1e-8, 1e-10


class DenseOptimizer(Optimizer):
    """Update every parameter that has a gradient, by the rules and with the numbers of torch's own optimizers.

    Adam: Kingma, Ba: Adam: A Method for Stochastic Optimization, 2014, arXiv:1412.6980. AdamW: Loshchilov, Hutter:
    Decoupled Weight Decay Regularization, 2017, arXiv:1711.05101. Adagrad: see models/embeddings/sparse_optimizer.py.
    """

    def __init__(self, params: Iterable[Any], lr: float, rule: str) -> None:
        """`rule`: "adam", "adamw", "adagrad" or "sgd". A group may have a `weight_decay`, which AdamW applies."""
        super().__init__(params, {"lr": lr, "weight_decay": 0.0})
        self._rule = rule

    @torch.no_grad()
    def step(self) -> None:
        """Apply the gradients."""
        for group in self.param_groups:
            with_gradient = [one for one in group["params"] if one.grad is not None]
            if not with_gradient:
                continue
            match self._rule:
                case "adagrad":
                    self._adagrad(with_gradient, group["lr"])
                case "sgd":
                    for one in with_gradient:
                        one.add_(one.grad, alpha=-group["lr"])
                case _:
                    self._adam(with_gradient, group)

    def _adagrad(self, parameters: list[Tensor], rate: float) -> None:
        for one in parameters:
            assert one.grad is not None
            state = self.state[one]
            if not state:
                state["sum"] = torch.zeros_like(one)
            state["sum"].addcmul_(one.grad, one.grad)
            one.addcdiv_(one.grad, state["sum"].sqrt().add_(_ADAGRAD_EPS), value=-rate)

    def _adam(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        states = [self.state[one] for one in parameters]
        for one, state in zip(parameters, states, strict=True):
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=one.device)
                state["exp_avg"] = torch.zeros_like(one)
                state["exp_avg_sq"] = torch.zeros_like(one)
        (adamw if self._rule == "adamw" else adam)(
            parameters,
            [one.grad for one in parameters if one.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=group["lr"],
            weight_decay=group["weight_decay"] if self._rule == "adamw" else 0.0,
            eps=_ADAM_EPS,
            maximize=False,
        )
