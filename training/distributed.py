"""Several processes that train one model, each with its share of every batch; torch's launcher starts them.

    torchrun --nproc-per-node 2 -m lexport train DATA --out RUN

Every process holds the whole model. Gradients are summed before a step, so that all make the same one; the first
process alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..handlers.text.encoder import Ids

_BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


@dataclass(frozen=True)
class Team:
    """rank: the number of this process, from 0. size: how many there are. Alone, a team does next to nothing."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009  (it is immutable)

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.rank == 0

    def share(self, rows: Ids) -> Ids:
        """The part of this process in the rows of a batch: none where there are too few."""
        return rows[self.rank :: self.size]

    def sum(self, value: float) -> float:
        """The sum of a number over all processes."""
        if self.size == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.item()

    def agreed(self, flag: bool) -> bool:
        """What the first process says."""
        return self.sum(float(flag and self.leads)) > 0

    def wait(self) -> None:
        """Go on when every process has come so far."""
        if self.size > 1:
            dist.barrier()

    def spread(self, model: nn.Module) -> None:
        """Give every process the weights of the first."""
        if self.size > 1:
            for value in model.state_dict().values():
                dist.broadcast(value, src=0)

    def gather(self, state: bytes) -> list[bytes]:
        """The states of all processes, which are equally long, in the order of their numbers."""
        if self.size == 1:
            return [state]
        own = torch.frombuffer(bytearray(state), dtype=torch.uint8).to(self.device)
        found = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(found, own)
        return [one.cpu().numpy().tobytes() for one in found]

    def sum_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Replace every gradient by the sum over all processes; one that is missing counts as zero."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is not None and parameter.grad.is_sparse:
                own = parameter.grad.coalesce()
                rows, values = self._sum_rows(own.indices()[0], own.values())
                parameter.grad = torch.sparse_coo_tensor(rows.unsqueeze(0), values, own.shape, is_coalesced=True)
        dense = [one for one in parameters if one.grad is None or not one.grad.is_sparse]
        if not dense:
            return
        flat = torch.cat([(torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in dense])
        dist.all_reduce(flat)
        parts = torch.split(flat, [one.numel() for one in dense])
        for parameter, part in zip(dense, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def _sum_rows(self, rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of gradients that are given by row: rows int64 [own], ascending, and values [own, …].

        Processes have different numbers of rows; all get those that any has.
        """
        counts = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.size)]
        dist.all_gather(counts, torch.tensor([len(rows)], device=self.device))
        most = max(int(count) for count in counts)
        every = [
            torch.cat([one[: int(count)] for one, count in zip(self._gathered(part, most), counts, strict=True)])
            for part in (rows, values)
        ]
        distinct, place = torch.unique(every[0], return_inverse=True)
        return distinct, values.new_zeros(len(distinct), *values.shape[1:]).index_add_(0, place, every[1])

    def _gathered(self, own: Tensor, most: int) -> list[Tensor]:
        """The tensors of all processes, made `most` long."""
        found = [own.new_zeros(most, *own.shape[1:]) for _ in range(self.size)]
        dist.all_gather(found, torch.cat([own, own.new_zeros(most - len(own), *own.shape[1:])]))
        return found


def leads() -> bool:
    """Whether this process is the one that writes and tells, also before and after there is a team."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def team(device: torch.device) -> Iterator[Team]:
    """The team that torch's launcher has started this process for, or a team of one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team()
        return
    dist.init_process_group(_BACKENDS[device.type])
    try:
        yield Team(dist.get_rank(), size, device)
    finally:
        dist.destroy_process_group()
