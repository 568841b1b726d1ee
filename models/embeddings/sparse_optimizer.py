"""Look-ups that remember what they read, and an optimizer that changes these rows of a table and no other.

torch forms the gradient of a pooled look-up as one vector for every token, a dense one moreover for every row that
there is. Here a look-up leaves its tokens and the gradient of its texts behind, and a step sorts the tokens by row
once (models/embeddings/sparse_gradients.py), so that its cost is that of the batch and does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor, nn

from .sparse_gradients import Read, RowGradient, add_rows, coalesced, gradient, set_rows

RULES = ("sgd", "adagrad", "rowwise", "adam")


def pooled(cells: Tensor, counts: Tensor, weight: Tensor) -> Tensor:
    """Sums of rows: int64 [cells], one text after the other, none PAD, and int64 [batch] → float32 [batch, dim]."""
    found: Tensor = _Pooled.apply(weight, cells, counts)  # type: ignore[no-untyped-call]
    return found


def vectors(ids: Tensor, weight: Tensor) -> Tensor:
    """Rows: int64 [batch, length], float32 [rows, dim] → float32 [batch, length, dim]; 0 is PAD, and zero."""
    found: Tensor = _Vectors.apply(weight, ids)  # type: ignore[no-untyped-call]
    return found


def bags(cells: Tensor, counts: Tensor, weight: Tensor) -> Tensor:
    """As `pooled`, without what makes its gradient a sparse one."""
    ends = counts.new_zeros(len(counts) + 1)
    torch.cumsum(counts, 0, out=ends[1:])
    # Told of a padding_idx, torch takes a path that is four times as slow or worse.
    found: Tensor = torch.embedding_bag(weight, cells, ends, include_last_offset=True)[0]
    return found


class _Context(Protocol):
    """What torch hands from the forward to the backward pass."""

    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, weight: Tensor, cells: Tensor, counts: Tensor) -> Tensor:
        ctx.save_for_backward(weight, cells, counts)
        return bags(cells, counts, weight)

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor | None, None, None]:
        weight, cells, counts = ctx.saved_tensors
        texts = np.repeat(np.arange(len(counts)), counts.cpu().numpy())
        return _leave(weight, Read(cells, torch.from_numpy(texts).to(cells.device), grads[0])), None, None


class _Vectors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, weight: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(weight, ids)
        return nn.functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor | None, None]:
        weight, ids = ctx.saved_tensors
        cells = ids.flatten()
        places = cells.nonzero().flatten()
        return _leave(weight, Read(cells[places], places, grads[0].reshape(len(cells), -1))), None


# The optimizer of each table that has one of ours, by the table's id.
_owners: WeakValueDictionary[int, RowOptimizer] = WeakValueDictionary()


def _leave(weight: Tensor, read: Read) -> Tensor | None:
    """Leave to the table's optimizer what was read; without one of ours, the gradient is as torch has it."""
    owner = _owners.get(id(weight))
    if owner is None:
        return gradient([read]).sparse(weight)
    owner.take(weight, read)
    return None


class RowOptimizer(torch.optim.Optimizer):
    """Changes the rows that have a gradient, in one pass, and leaves the others with all they remember.

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
        """`params`: float32 [rows, dim] each. `eps` None is torch's own: 1e-8 for "adam", else 1e-10.

        From now on this module's look-ups in `params` leave their gradients here and not in `grad`. Raises
        ValueError for a rule that is not there or numbers that train nothing.
        """
        if rule not in RULES:
            raise ValueError(f"The rule {rule!r} is not known; choose one of {', '.join(RULES)}.")
        if eps is None:
            eps = 1e-8 if rule == "adam" else 1e-10
        if not (lr > 0 and eps > 0 and all(0 <= beta < 1 for beta in betas)):
            raise ValueError(f"lr={lr} and eps={eps} must be above 0, betas={betas} from 0 to below 1.")
        super().__init__(params, {"lr": lr, "rule": rule, "betas": betas, "eps": eps})
        self._weights: list[Tensor] = [weight for group in self.param_groups for weight in group["params"]]
        self._reads: dict[int, list[Read]] = {id(weight): [] for weight in self._weights}
        self._gradients: dict[int, RowGradient] = {}
        for weight in self._weights:
            _owners[id(weight)] = self

    def take(self, weight: Tensor, read: Read) -> None:
        """Add what a look-up has left to the gradient of a table."""
        self._reads[id(weight)].append(read)
        self._gradients.pop(id(weight), None)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        super().zero_grad(set_to_none)
        self.forget()

    def forget(self) -> None:
        """Forget all that look-ups have left."""
        self._gradients.clear()
        for reads in self._reads.values():
            reads.clear()

    def gradient(self, weight: Tensor) -> RowGradient | None:
        """The gradient of a table, None if it has none. Raises TypeError for a dense one."""
        if weight.grad is not None:
            self._spell_out(weight)
            return RowGradient.of(weight.grad)
        if self._reads[id(weight)] and id(weight) not in self._gradients:
            self._gradients[id(weight)] = gradient(self._reads[id(weight)])
        return self._gradients.get(id(weight))

    def spell_out(self) -> None:
        """Put every gradient where torch has it, as a coalesced sparse tensor in `grad`. Raises as `gradient`."""
        for weight in self._weights:
            self._spell_out(weight)

    def _spell_out(self, weight: Tensor) -> None:
        if weight.grad is not None and not weight.grad.is_sparse:
            raise TypeError(
                f"A table of {list(weight.shape)} has a dense gradient; rows are changed by a sparse one, as "
                "of updates.pooled or updates.vectors. Take another optimizer for this parameter."
            )
        reads = self._reads[id(weight)]
        if reads:
            found = gradient(reads).sparse(weight)
            weight.grad = found if weight.grad is None else weight.grad + found
            reads.clear()
        if weight.grad is not None:
            weight.grad = coalesced(weight.grad)

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Apply the gradients that there are. Raises as `gradient`."""
        self.update()

    @torch.no_grad()
    def update(self) -> None:
        """The same without what torch puts around every `step`, which takes as long as a small one."""
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
