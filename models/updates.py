"""Look-ups whose backward pass names each row of a table once, and an optimizer that changes these rows alone.

torch forms the gradient of a pooled look-up as one vector for every token, a dense one moreover for every row that
there is. Here the tokens of a batch are sorted by row, and a row's gradient is a segment sum over the texts that it
occurs in: a sparse tensor in order, which torch's own optimizers take as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

RULES = ("adagrad", "rowwise", "adam")


def pooled(ids: Tensor, weight: Tensor) -> Tensor:
    """Sums of rows: int64 [batch, length], float32 [rows, dim] → float32 [batch, dim]; 0 is PAD, and zero."""
    found: Tensor = _Pooled.apply(weight, ids)  # type: ignore[no-untyped-call]
    return found


def vectors(ids: Tensor, weight: Tensor) -> Tensor:
    """Rows: int64 [batch, length], float32 [rows, dim] → float32 [batch, length, dim]; 0 is PAD, and zero."""
    found: Tensor = _Vectors.apply(weight, ids)  # type: ignore[no-untyped-call]
    return found


@dataclass(frozen=True)
class Occurrences:
    """Where the rows of a batch occur, PAD left out.

    rows: int64 [distinct], ascending. places: int64 [tokens], of one row after the other: the texts, or the cells
    [batch × length], it occurs in. starts: int64 [distinct + 1], where each row's places begin, and their number.
    """

    rows: Tensor
    places: Tensor
    starts: Tensor

    def sums(self, values: Tensor) -> Tensor:
        """The sum of each row's values: float32 [places, dim] → [distinct, dim]."""
        summed: Tensor = torch.embedding_bag(values, self.places, self.starts, include_last_offset=True)[0]
        return summed


def occurrences(ids: Tensor, *, of_texts: bool) -> Occurrences:
    """Sort ids int64 [batch, length] by row; places are texts (`of_texts`) or cells. 0 is PAD."""
    # Stable, so that the order of every sum is that of the batch.
    rows, cells = torch.sort(ids.reshape(-1), stable=True)
    padding = int((ids == 0).sum())
    rows, cells = rows[padding:], cells[padding:]
    distinct, counts = torch.unique_consecutive(rows, return_counts=True)
    starts = counts.new_zeros(len(distinct) + 1)
    starts[1:] = counts.cumsum(0)
    return Occurrences(distinct, cells.div(ids.size(1), rounding_mode="floor") if of_texts else cells, starts)


def _gradient(weight: Tensor, ids: Tensor, grad: Tensor) -> Tensor:
    found = occurrences(ids, of_texts=grad.dim() == 2)
    if not len(found.rows):
        return _sparse(found.rows, grad.new_zeros(0, weight.size(1)), weight)
    return _sparse(found.rows, found.sums(grad.reshape(-1, weight.size(1))), weight)


def _sparse(rows: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """Ascending rows int64 [distinct] of a tensor like `weight`, unchecked."""
    return torch.sparse_coo_tensor(rows[None], values, weight.shape, is_coalesced=True, check_invariants=False)


def coalesced(grad: Tensor) -> Tensor:
    """A sparse gradient with every row once, rows ascending.

    torch marks what it hands to an optimizer as not coalesced, and would sort it once more.
    """
    rows = grad._indices()[0]
    if not grad.is_coalesced() and bool((rows[1:] > rows[:-1]).all()):
        return _sparse(rows, grad._values(), grad)
    return grad.coalesce()


class _Context(Protocol):
    """What torch hands from the forward to the backward pass."""

    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, weight: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(weight, ids)
        # PAD's row is zero; told of a padding_idx, torch takes a path that is four times as slow or worse.
        return nn.functional.embedding_bag(ids, weight, mode="sum")

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor, None]:
        weight, ids = ctx.saved_tensors
        return _gradient(weight, ids, grads[0]), None


class _Vectors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, weight: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(weight, ids)
        return nn.functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor, None]:
        weight, ids = ctx.saved_tensors
        return _gradient(weight, ids, grads[0]), None


class RowOptimizer(torch.optim.Optimizer):
    """Changes the rows that have a gradient, in one pass, and leaves the others with all they remember.

    "adagrad": Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online Learning and Stochastic Optimization,
    Journal of Machine Learning Research 12, 2011. "rowwise": with one sum of squares a row, the mean over its
    components, as in Mudigere et al.: Software-Hardware Co-design for Fast and Scalable Training of Deep Learning
    Recommendation Models, 2021, arXiv:2104.05158. "adam": Kingma, Ba: Adam: A Method for Stochastic Optimization,
    2014, arXiv:1412.6980, lazily, as torch.optim.SparseAdam.
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

        Raises ValueError for a rule that is not there or numbers that train nothing.
        """
        if rule not in RULES:
            raise ValueError(f"The rule {rule!r} is not known; choose one of {', '.join(RULES)}.")
        if eps is None:
            eps = 1e-8 if rule == "adam" else 1e-10
        if not (lr > 0 and eps > 0 and all(0 <= beta < 1 for beta in betas)):
            raise ValueError(f"lr={lr} and eps={eps} must be above 0, betas={betas} from 0 to below 1.")
        super().__init__(params, {"lr": lr, "rule": rule, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Apply the sparse gradients that there are. Raises TypeError for a dense one."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                if not weight.grad.is_sparse:
                    raise TypeError(
                        f"A table of {list(weight.shape)} has a dense gradient; rows are changed by a sparse one, as "
                        "of updates.pooled or updates.vectors. Take another optimizer for this parameter."
                    )
                grad = coalesced(weight.grad)
                rows, values = grad.indices()[0], grad.values()
                size, change = self._change(weight, group, rows, values)
                # torch adds the rows of a coalesced tensor in a loop of its own, in half the time of index_add_.
                weight.add_(_sparse(rows, change, weight), alpha=-group["lr"] * size)

    def _change(self, weight: Tensor, group: dict[str, Any], rows: Tensor, grad: Tensor) -> tuple[float, Tensor]:
        """What a rate of 1 takes from `rows`: a factor and float32 [distinct, dim]."""
        state = self.state[weight]
        if not state:
            state["step"] = 0
            state["squares"] = torch.zeros_like(weight[:, 0] if group["rule"] == "rowwise" else weight)
            if group["rule"] == "adam":
                state["means"] = torch.zeros_like(weight)
        state["step"] += 1
        squares = state["squares"].index_select(0, rows)
        if group["rule"] == "adam":
            first, second = group["betas"]
            means = state["means"].index_select(0, rows).lerp_(grad, 1 - first)
            state["means"].index_copy_(0, rows, means)
            squares.mul_(second).addcmul_(grad, grad, value=1 - second)
            state["squares"].index_copy_(0, rows, squares)
            size = (1 - second ** state["step"]) ** 0.5 / (1 - first ** state["step"])
            return size, means.div_(squares.sqrt_().add_(group["eps"]))
        if group["rule"] == "rowwise":
            squares += torch.linalg.vector_norm(grad, dim=1).square_().div_(grad.size(1))
        else:
            squares.addcmul_(grad, grad)
        state["squares"].index_copy_(0, rows, squares)
        root = squares.sqrt_().add_(group["eps"])
        return 1.0, grad * root.reciprocal_()[:, None] if group["rule"] == "rowwise" else grad / root
