"""Sparse gradients of a table, by row, and functions that update these rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...handlers.text.encoder import Ids

# Numbers of a table that are updated at a time: they fit the second-level CPU cache.
_BLOCK = 1 << 17


@dataclass(frozen=True)
class Lookup:
    """The tokens of one lookup and their gradients."""

    ids: Tensor
    """int64 [tokens], the row of each token; none is PAD."""
    places: Tensor
    """int64 [tokens], the index of each token's gradient in `values`."""
    values: Tensor
    """float32 [places, dim], the gradient of each place, which is a text or a token."""


@dataclass(frozen=True)
class RowGradient:
    """The gradient of row rows[n] is values[sources[n]]: most rows occur in one text and share its gradient."""

    rows: Tensor
    """int64 [distinct], ascending."""
    sources: Tensor
    """int64 [distinct], indices into `values`."""
    values: Tensor
    """float32 [·, dim]."""

    @classmethod
    def of(cls, grad: Tensor) -> RowGradient:
        """Make it from a coalesced sparse tensor [rows, dim]."""
        rows = grad.indices()[0]
        return cls(rows, torch.arange(len(rows), device=rows.device), grad.values())

    def sparse(self, weight: Tensor) -> Tensor:
        """Return it as a coalesced sparse tensor with the shape of `weight`."""
        return _sparse(self.rows, self.values.index_select(0, self.sources), weight)

    def squares(self) -> Tensor:
        """Return the sum of the squares of each row's gradient, float32 [distinct]."""
        norms: Tensor = torch.linalg.vector_norm(self.values, dim=1)
        return norms.square_().index_select(0, self.sources)

    def blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield blocks of rows, int64 [n], and copies of their gradients, float32 [n, dim]."""
        size = _block(self.values)
        for rows, sources in zip(torch.split(self.rows, size), torch.split(self.sources, size), strict=True):
            yield rows, self.values.index_select(0, sources)


def gradient(lookups: Sequence[Lookup]) -> RowGradient:
    """Return the gradient of each row, summed over its tokens in their order; at least one lookup is needed."""
    if len(lookups) > 1:
        before = np.cumsum([0, *(len(lookup.values) for lookup in lookups)]).tolist()
        lookup = Lookup(
            torch.cat([lookup.ids for lookup in lookups]),
            torch.cat([lookup.places + start for lookup, start in zip(lookups, before, strict=False)]),
            torch.cat([lookup.values for lookup in lookups]),
        )
    else:
        lookup = lookups[0]
    # numpy is faster for the rest: its calls have less overhead.
    ids, places, device = lookup.ids.cpu().numpy(), lookup.places.cpu().numpy(), lookup.ids.device
    order = stable_order(ids)
    ids, places = ids.take(order), places.take(order)
    # Where another row begins, and the end.
    begins = np.empty(len(ids) + 1, np.bool_)
    np.not_equal(ids[1:], ids[:-1], out=begins[1:-1])
    begins[0] = begins[-1] = True
    bounds = np.flatnonzero(begins)
    starts, counts = bounds[:-1], bounds[1:] - bounds[:-1]
    rows, sources, several = ids.take(starts), places.take(starts), counts > 1
    totals = np.cumsum(counts[several])
    sources[several] = np.arange(len(lookup.values), len(lookup.values) + len(totals))
    among = torch.from_numpy(places[np.repeat(several, counts)]).to(device)
    ends = torch.from_numpy(totals).to(device)
    sums = torch.embedding_bag(lookup.values, among, ends - torch.from_numpy(counts[several]).to(device))[0]
    values = torch.cat((lookup.values, sums))
    return RowGradient(torch.from_numpy(rows).to(device), torch.from_numpy(sources).to(device), values)


def stable_order(numbers: Ids) -> Ids:
    """Return the stable argsort of `numbers`, int64 [n], at least 0.

    It sorts sixteen bits at a time: numpy uses a counting sort for these, which takes a quarter of the time.
    """
    order = numbers.astype(np.uint16).argsort(kind="stable")
    for shift in range(16, int(numbers.max(initial=0)).bit_length(), 16):
        order = order.take((numbers >> shift).astype(np.uint16).take(order).argsort(kind="stable"))
    return order


def add_rows(weight: Tensor, gradient: RowGradient, factors: Tensor, rate: float) -> None:
    """weight[rows[n]] += rate × factors[n] × values[sources[n]], in place; `factors`: float32 [distinct]."""
    if weight.device.type != "cpu":
        added = gradient.values.index_select(0, gradient.sources).mul_(factors[:, None])
        weight.index_add_(0, gradient.rows, added, alpha=rate)
        return
    nowhere = gradient.rows.new_zeros(1)
    where = torch.stack((gradient.rows, gradient.sources))
    if not len(gradient.rows):
        return
    size, shape = _block(weight), (len(weight), len(gradient.values))
    for part, factor in zip(torch.split(where, size, dim=1), torch.split(factors, size), strict=True):
        # Prefetch the rows; the result is discarded. Otherwise the product waits for every row.
        torch.embedding_bag(weight, part[0], nowhere)
        placed = torch.sparse_coo_tensor(part, factor, shape, is_coalesced=True, check_invariants=False)
        weight.addmm_(placed, gradient.values, alpha=rate)


def _block(table: Tensor) -> int:
    return max(_BLOCK // table.size(1), 1)


def set_rows(table: Tensor, rows: Tensor, values: Tensor) -> None:
    """table[rows] = values, in place; float32 [rows, …], int64 [distinct], float32 [distinct, …]."""
    if table.device.type != "cpu":
        table.index_copy_(0, rows, values)
        return
    # numpy copies a row as one item, in a third of the time.
    whole, parts = table.detach().numpy(), values.numpy()
    row = np.dtype((np.void, whole[0].nbytes))
    whole.view(row)[:, 0][rows.numpy()] = parts.view(row)[:, 0]


def coalesced(grad: Tensor) -> Tensor:
    """Return a sparse gradient with every row once, rows ascending.

    torch marks the gradients that it passes to an optimizer as not coalesced, and would sort them again.
    """
    rows = grad._indices()[0]
    if not grad.is_coalesced() and bool((rows[1:] > rows[:-1]).all()):
        return _sparse(rows, grad._values(), grad)
    return grad.coalesce()


def _sparse(rows: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """Return a sparse tensor with the shape of `weight` from ascending rows int64 [distinct], without checks."""
    return torch.sparse_coo_tensor(rows[None], values, weight.shape, is_coalesced=True, check_invariants=False)
