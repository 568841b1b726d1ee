"""The gradient of a table by the rows that were read, and what changes these rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...handlers.text.encoder import Ids

# Numbers of a table that are changed at a time: they stay in a processor's second cache.
_BLOCK = 1 << 17


@dataclass(frozen=True)
class Read:
    """Tokens of one look-up. cells: int64 [tokens], the row of each. places: int64 [tokens], whose of the gradients.

    values: float32 [places, dim], the gradient of each place, which is a text, or a token. No cell is PAD.
    """

    cells: Tensor
    places: Tensor
    values: Tensor


@dataclass(frozen=True)
class RowGradient:
    """The gradient of row rows[n] is values[sources[n]]: most rows of a batch occur in one text, and share its own.

    rows: int64 [distinct], ascending. sources: int64 [distinct]. values: float32 [·, dim].
    """

    rows: Tensor
    sources: Tensor
    values: Tensor

    @classmethod
    def of(cls, grad: Tensor) -> RowGradient:
        """Of a coalesced sparse tensor [rows, dim]."""
        rows = grad.indices()[0]
        return cls(rows, torch.arange(len(rows), device=rows.device), grad.values())

    def sparse(self, weight: Tensor) -> Tensor:
        """As a coalesced sparse tensor like `weight`."""
        return _sparse(self.rows, self.values.index_select(0, self.sources), weight)

    def squares(self) -> Tensor:
        """The sum of the squares of each row's gradient: float32 [distinct]."""
        norms: Tensor = torch.linalg.vector_norm(self.values, dim=1)
        return norms.square_().index_select(0, self.sources)

    def blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows that are changed together, int64 [some], and copies of their gradients, float32 [some, dim]."""
        size = _block(self.values)
        for rows, sources in zip(torch.split(self.rows, size), torch.split(self.sources, size), strict=True):
            yield rows, self.values.index_select(0, sources)


def gradient(reads: Sequence[Read]) -> RowGradient:
    """The sums over all tokens of each row, of at least one look-up; in the order of the tokens, always the same."""
    if len(reads) > 1:
        before = np.cumsum([0, *(len(read.values) for read in reads)]).tolist()
        read = Read(
            torch.cat([read.cells for read in reads]),
            torch.cat([read.places + start for read, start in zip(reads, before, strict=False)]),
            torch.cat([read.values for read in reads]),
        )
    else:
        read = reads[0]
    # What follows is quicker in numpy, whose calls cost less.
    cells, places, device = read.cells.cpu().numpy(), read.places.cpu().numpy(), read.cells.device
    order = stable_order(cells)
    cells, places = cells.take(order), places.take(order)
    # Where another row begins, and the end.
    begins = np.empty(len(cells) + 1, np.bool_)
    np.not_equal(cells[1:], cells[:-1], out=begins[1:-1])
    begins[0] = begins[-1] = True
    bounds = np.flatnonzero(begins)
    starts, counts = bounds[:-1], bounds[1:] - bounds[:-1]
    rows, sources, several = cells.take(starts), places.take(starts), counts > 1
    totals = np.cumsum(counts[several])
    sources[several] = np.arange(len(read.values), len(read.values) + len(totals))
    among = torch.from_numpy(places[np.repeat(several, counts)]).to(device)
    ends = torch.from_numpy(totals).to(device)
    sums = torch.embedding_bag(read.values, among, ends - torch.from_numpy(counts[several]).to(device))[0]
    values = torch.cat((read.values, sums))
    return RowGradient(torch.from_numpy(rows).to(device), torch.from_numpy(sources).to(device), values)


def stable_order(numbers: Ids) -> Ids:
    """The places of `numbers`, int64 [n] from 0, in ascending order; equal numbers as they come.

    Sixteen bits at a time, which numpy sorts by counting, in a quarter of the time that it takes for all at once.
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
        # This look-up, whose answer nobody wants, reads ahead; the product waits for every row.
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
    # numpy copies a row in one piece, in a third of the time.
    whole, parts = table.detach().numpy(), values.numpy()
    row = np.dtype((np.void, whole[0].nbytes))
    whole.view(row)[:, 0][rows.numpy()] = parts.view(row)[:, 0]


def coalesced(grad: Tensor) -> Tensor:
    """A sparse gradient with every row once, rows ascending.

    torch marks what it hands to an optimizer as not coalesced, and would sort it once more.
    """
    rows = grad._indices()[0]
    if not grad.is_coalesced() and bool((rows[1:] > rows[:-1]).all()):
        return _sparse(rows, grad._values(), grad)
    return grad.coalesce()


def _sparse(rows: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """Ascending rows int64 [distinct] of a tensor like `weight`, unchecked."""
    return torch.sparse_coo_tensor(rows[None], values, weight.shape, is_coalesced=True, check_invariants=False)
