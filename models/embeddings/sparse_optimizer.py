"""Lookups that record which rows they read, and an optimizer that updates only these rows of a table.

torch makes the gradient of a pooled lookup as one vector per token, and a dense one as one vector per row of the
table. Here a lookup records its tokens and the gradient of its texts, and a step sorts the tokens by row once
 (models/embeddings/sparse_gradients.py), so that its cost is that of the batch and does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor, nn

from .optimizer import Optimizer
from .sparse_gradients import Lookup, RowGradient, add_rows, coalesced, gradient, set_rows

RULES = ("sgd", "adagrad", "rowwise", "adam")


def pooled(ids: Tensor, counts: Tensor, weight: Tensor) -> Tensor:
    """Return sums of rows: flat ids int64 [ids], none PAD, and counts int64 [batch] → float32 [batch, dim]."""
    found: Tensor = _Pooled.apply(weight, ids, counts)  # type: ignore[no-untyped-call]
    return found


def vectors(ids: Tensor, weight: Tensor) -> Tensor:
    """Return rows: int64 [batch, length], float32 [rows, dim] → float32 [batch, length, dim]; PAD (0) gives zeros."""
    found: Tensor = _Vectors.apply(weight, ids)  # type: ignore[no-untyped-call]
    return found


def bags(ids: Tensor, counts: Tensor, weight: Tensor) -> Tensor:
    """Return the same as `pooled`, with torch's own gradient."""
    ends = counts.new_zeros(len(counts) + 1)
    torch.cumsum(counts, 0, out=ends[1:])
    # With a padding_idx torch takes a code path that is at least four times slower.
    found: Tensor = torch.embedding_bag(weight, ids, ends, include_last_offset=True)[0]
    return found


class _Context(Protocol):
    """The object that torch passes from the forward to the backward pass."""

    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, weight: Tensor, ids: Tensor, counts: Tensor) -> Tensor:
        ctx.save_for_backward(weight, ids, counts)
        return bags(ids, counts, weight)

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor | None, None, None]:
        weight, ids, counts = ctx.saved_tensors
        texts = np.repeat(np.arange(len(counts)), counts.cpu().numpy())
        return _record(weight, Lookup(ids, torch.from_numpy(texts).to(ids.device), grads[0])), None, None


class _Vectors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, weight: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(weight, ids)
        return nn.functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor | None, None]:
        weight, ids = ctx.saved_tensors
        ids = ids.flatten()
        places = ids.nonzero().flatten()
        return _record(weight, Lookup(ids[places], places, grads[0].reshape(len(ids), -1))), None


# The RowOptimizer of each table that has one, by the id of the table.
_owners: WeakValueDictionary[int, RowOptimizer] = WeakValueDictionary()


def _record(weight: Tensor, lookup: Lookup) -> Tensor | None:
    """Record a lookup with the table's RowOptimizer and return None; without one, return torch's sparse gradient."""
    owner = _owners.get(id(weight))
    if owner is None:
        return gradient([lookup]).sparse(weight)
    owner.add_lookup(weight, lookup)
    return None


class RowOptimizer(Optimizer):
    """Update the rows that have a gradient, in one pass. Other rows and their optimizer state do not change.

    "sgd": the rate times the gradient. "adagrad": Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online
    Learning and Stochastic Optimization, Journal of Machine Learning Research 12, 2011. "rowwise": with one sum of
    squares a row, the mean over its components, as in Mudigere et al.: Software-Hardware Co-design for Fast and
    Scalable Training of Deep Learning Recommendation Models, 2021, arXiv:2104.05158. "adam": Kingma, Ba: Adam: A
    Method for Stochastic Optimization, 2014, arXiv:1412.6980, lazily, as torch.optim.SparseAdam.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        rule: str = "rowwise",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float | None = None,
    ) -> None:
        """`params`: float32 [rows, dim] each. `eps` None is torch's default: 1e-8 for "adam", else 1e-10.

        From now on the lookups of this module in `params` record their gradients here and not in `grad`. Raises
        ValueError for an unknown rule or numbers out of range.
        """
        if rule not in RULES:
            raise ValueError(f"The rule {rule!r} is not known; choose one of {', '.join(RULES)}.")
        if eps is None:
            eps = 1e-8 if rule == "adam" else 1e-10
        if not (lr > 0 and eps > 0 and all(0 <= beta < 1 for beta in betas)):
            raise ValueError(f"lr={lr} and eps={eps} must be above 0, betas={betas} from 0 to below 1.")
        super().__init__(params, {"lr": lr, "rule": rule, "betas": betas, "eps": eps})
        self._weights = self.parameters
        self._lookups: dict[int, list[Lookup]] = {id(weight): [] for weight in self._weights}
        self._gradients: dict[int, RowGradient] = {}
        for weight in self._weights:
            _owners[id(weight)] = self

    def add_lookup(self, weight: Tensor, lookup: Lookup) -> None:
        """Add a recorded lookup to the gradient of a table."""
        self._lookups[id(weight)].append(lookup)
        self._gradients.pop(id(weight), None)

    def zero_grad(self) -> None:
        """Clear all gradients."""
        super().zero_grad()
        self.clear()

    def clear(self) -> None:
        """Clear all recorded lookups."""
        self._gradients.clear()
        for lookups in self._lookups.values():
            lookups.clear()

    def gradient(self, weight: Tensor) -> RowGradient | None:
        """Return the gradient of a table, None if it has none. Raises TypeError for a dense gradient."""
        if weight.grad is not None:
            self._materialize(weight)
            return RowGradient.of(weight.grad)
        if self._lookups[id(weight)] and id(weight) not in self._gradients:
            self._gradients[id(weight)] = gradient(self._lookups[id(weight)])
        return self._gradients.get(id(weight))

    def materialize_grads(self) -> None:
        """Write every gradient to `grad` as a coalesced sparse tensor, as torch does. Raises as `gradient`."""
        for weight in self._weights:
            self._materialize(weight)

    def _materialize(self, weight: Tensor) -> None:
        if weight.grad is not None and not weight.grad.is_sparse:
            raise TypeError(
                f"A table of {list(weight.shape)} has a dense gradient; this optimizer needs a sparse one, as "
                "sparse_optimizer.pooled and vectors make. Use another optimizer for this parameter."
            )
        lookups = self._lookups[id(weight)]
        if lookups:
            found = gradient(lookups).sparse(weight)
            weight.grad = found if weight.grad is None else weight.grad + found
            lookups.clear()
        if weight.grad is not None:
            weight.grad = coalesced(weight.grad)

    @torch.no_grad()
    def step(self) -> None:
        """Apply the gradients. Raises as `gradient`."""
        for group in self.param_groups:
            for weight in group["params"]:
                found = self.gradient(weight)
                if found is not None:
                    self._apply(weight, found, group)

    def _apply(self, weight: Tensor, found: RowGradient, group: dict[str, Any]) -> None:
        state, rate, eps = self.state[weight], group["lr"], group["eps"]
        if not state and group["rule"] != "sgd":
            state["step"] = 0
            state["squares"] = torch.zeros_like(weight[:, 0] if group["rule"] == "rowwise" else weight)
            if group["rule"] == "adam":
                state["means"] = torch.zeros_like(weight)
        match group["rule"]:
            case "sgd":
                add_rows(weight, found, torch.ones_like(found.rows, dtype=weight.dtype), -rate)
                return
            case "rowwise":
                squares = state["squares"].index_select(0, found.rows)
                squares.add_(found.squares(), alpha=1 / weight.size(1))
                state["squares"].index_copy_(0, found.rows, squares)
                add_rows(weight, found, squares.sqrt_().add_(eps).reciprocal_(), -rate)
            case "adagrad":
                for rows, grad in found.blocks():
                    squares = state["squares"].index_select(0, rows).addcmul_(grad, grad)
                    set_rows(state["squares"], rows, squares)
                    change = grad.div_(squares.sqrt_().add_(eps))
                    set_rows(weight, rows, weight.index_select(0, rows).add_(change, alpha=-rate))
            case "adam":
                first, second = group["betas"]
                step = state["step"] + 1
                size = rate * (1 - second**step) ** 0.5 / (1 - first**step)
                for rows, grad in found.blocks():
                    means = state["means"].index_select(0, rows).lerp_(grad, 1 - first)
                    set_rows(state["means"], rows, means)
                    squares = state["squares"].index_select(0, rows).mul_(second)
                    squares.addcmul_(grad, grad, value=1 - second)
                    set_rows(state["squares"], rows, squares)
                    change = means.div_(squares.sqrt_().add_(eps))
                    set_rows(weight, rows, weight.index_select(0, rows).add_(change, alpha=-size))
        state["step"] += 1
