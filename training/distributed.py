"""Training in several processes: each takes its shard of every batch. torch's launcher starts them.

    torchrun --nproc-per-node 2 -m lexport train DATA --out RUN

Every process holds the whole model. Gradients are summed before each step, so all processes take the same step.
Only rank 0 writes files.
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
class ProcessGroup:
    """The processes that train together. With one process every method returns at once."""

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """Number of processes."""
    device: torch.device = torch.device("cpu")  # noqa: RUF009  (it is immutable)
    """Where this process has the model."""

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, the only process that writes files and prints."""
        return self.rank == 0

    def shard(self, rows: Ids) -> Ids:
        """Return this process's part of the rows of a batch, which is empty if there are too few."""
        return rows[self.rank :: self.size]

    def sum(self, value: float) -> float:
        """Return the sum of a number over all processes."""
        if self.size == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.item()

    def broadcast_flag(self, flag: bool) -> bool:
        """Return the flag of rank 0 in every process."""
        return self.sum(float(flag and self.is_main)) > 0

    def wait(self) -> None:
        """Wait until every process has reached this call."""
        if self.size > 1:
            dist.barrier()

    def broadcast_weights(self, model: nn.Module) -> None:
        """Copy the weights of rank 0 to every process."""
        if self.size > 1:
            for value in model.state_dict().values():
                dist.broadcast(value, src=0)

    def gather(self, state: bytes) -> list[bytes]:
        """Return the states of all processes in the order of their ranks. All states must have the same length."""
        if self.size == 1:
            return [state]
        local = torch.frombuffer(bytearray(state), dtype=torch.uint8).to(self.device)
        gathered = [torch.empty_like(local) for _ in range(self.size)]
        dist.all_gather(gathered, local)
        return [one.cpu().numpy().tobytes() for one in gathered]

    def sum_gradients(self, parameters: list[Tensor]) -> None:
        """Replace every gradient by the sum over all processes; a missing gradient counts as zero."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is not None and parameter.grad.is_sparse:
                local = parameter.grad.coalesce()
                rows, values = self._sum_rows(local.indices()[0], local.values())
                parameter.grad = torch.sparse_coo_tensor(rows.unsqueeze(0), values, local.shape, is_coalesced=True)
        dense = [one for one in parameters if one.grad is None or not one.grad.is_sparse]
        if not dense:
            return
        flat = torch.cat([(torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in dense])
        dist.all_reduce(flat)
        parts = torch.split(flat, [one.numel() for one in dense])
        for parameter, part in zip(dense, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def _sum_rows(self, rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum sparse gradients over all processes: rows int64 [n], ascending, and values [n, …].

        Processes have different numbers of rows. Every process gets the union of the rows.
        """
        counts = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.size)]
        dist.all_gather(counts, torch.tensor([len(rows)], device=self.device))
        most = max(int(count) for count in counts)
        every = [
            torch.cat([one[: int(count)] for one, count in zip(self._gathered(part, most), counts, strict=True)])
            for part in (rows, values)
        ]
        distinct, position = torch.unique(every[0], return_inverse=True)
        return distinct, values.new_zeros(len(distinct), *values.shape[1:]).index_add_(0, position, every[1])

    def _gathered(self, local: Tensor, most: int) -> list[Tensor]:
        """Return the tensors of all processes, each padded to length `most`."""
        gathered = [local.new_zeros(most, *local.shape[1:]) for _ in range(self.size)]
        dist.all_gather(gathered, torch.cat([local, local.new_zeros(most - len(local), *local.shape[1:])]))
        return gathered


def is_main_process() -> bool:
    """Return whether this process is rank 0; works without a process group too."""
    return os.environ.get("RANK", "0") == "0"


def processes() -> int:
    """Return how many processes torch's launcher started, this one included; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def process_group(device: torch.device) -> Iterator[ProcessGroup]:
    """Context manager: the process group that torch's launcher started this process for, or a group of one."""
    size = processes()
    if size == 1:
        yield ProcessGroup()
        return
    dist.init_process_group(_BACKENDS[device.type])
    try:
        yield ProcessGroup(dist.get_rank(), size, device)
    finally:
        dist.destroy_process_group()
