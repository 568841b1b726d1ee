"""A training step in a process of its own, so that what it needs of memory is its own too.

The step: 64 texts of 50 words, drawn by Zipf's law, looked up in a table 300 wide, read by an encoder, classified,
and every weight moved once. One thread.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexport.benchmarks.figures import Values
from lexport.models.embeddings import Table, TableOptions
from lexport.models.embeddings.sparse_optimizer import RowOptimizer

from .timing import alternated, block

DIM, BATCH, LENGTH = 300, 64, 50
_RATE = 1e-3
_BATCHES = 8
# Every process begins as a copy of one that has imported all and done nothing yet.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["lexport.benchmarks.advice"])


@dataclass(frozen=True)
class Case:
    """optimizer: "Adam", "Adam, fused", "SparseAdam" or "row by row". encoder: "bag" or "convolution".

    precision: "fp32", "bf16 autocast" or "bf16 weights".
    """

    words: int
    optimizer: str
    encoder: str = "bag"
    precision: str = "fp32"


class Model(nn.Module):
    """A text classifier around one table."""

    def __init__(self, case: Case) -> None:
        """The weights of a case, fp32 unless it says otherwise."""
        super().__init__()
        self.by_row = case.optimizer == "row by row"
        self.table: nn.Module
        if self.by_row:
            self.table = Table(case.words, case.words, TableOptions(DIM, sparse=True))
        else:
            self.table = nn.Embedding(case.words, DIM, sparse=case.optimizer == "SparseAdam")
        self.convolution = nn.Conv1d(DIM, 100, 3) if case.encoder == "convolution" else None
        self.head = nn.Linear(100 if self.convolution else DIM, 2)
        if case.precision == "bf16 weights":
            self.to(torch.bfloat16)

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → [batch, length, DIM]."""
        found: Tensor = self.table.vectors(ids) if isinstance(self.table, Table) else self.table(ids)
        return found

    def forward(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → [batch, 2]."""
        vectors = self.vectors(ids)
        if self.convolution is None:
            text = vectors.mean(dim=1)
        else:
            text = self.convolution(vectors.transpose(1, 2)).relu().amax(dim=2)
        outputs: Tensor = self.head(text)
        return outputs


def batches(words: int) -> list[tuple[Tensor, Tensor]]:
    """Ids int64 [BATCH, LENGTH] in which the word of rank r is drawn in proportion to 1/r, and labels [BATCH]."""
    draw = np.random.default_rng(0)
    ids = np.floor(float(words) ** draw.random((_BATCHES, BATCH, LENGTH))).astype(np.int64)
    labels = draw.integers(0, 2, (_BATCHES, BATCH))
    return list(zip(torch.from_numpy(ids), torch.from_numpy(labels), strict=True))


def optimizers(case: Case, model: Model) -> list[torch.optim.Optimizer | RowOptimizer]:
    """What moves the weights; what is made for tables alone leaves the rest to a fused Adam."""
    if case.optimizer in ("Adam", "Adam, fused"):
        return [torch.optim.Adam(model.parameters(), _RATE, fused=case.optimizer == "Adam, fused")]
    table = list(model.table.parameters())
    rest = [one for name, one in model.named_parameters() if not name.startswith("table.")]
    rows = RowOptimizer(table, _RATE, "adam") if model.by_row else torch.optim.SparseAdam(table, _RATE)
    return [rows, torch.optim.Adam(rest, _RATE, fused=True)]


def stepping(case: Case, model: Model) -> Callable[[], None]:
    """What takes one step, on the next of a few batches."""
    given, movers = batches(case.words), optimizers(case, model)
    turn = 0

    def step() -> None:
        nonlocal turn
        ids, labels = given[turn % len(given)]
        turn += 1
        for mover in movers:
            mover.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=case.precision == "bf16 autocast"):
            loss = F.cross_entropy(model(ids).float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        for mover in movers:
            mover.step()

    return step


class Child:
    """A case at work in a process of its own. peak_mib: what it needed at most beyond what it began with.

    Raises MemoryError where the process ends before it has answered.
    """

    def __init__(self, case: Case) -> None:
        """Start the process and take some steps."""
        self._case = case
        self._pipe, theirs = _PROCESSES.Pipe()
        self._process = _PROCESSES.Process(target=_serve, args=(theirs, case), daemon=True)
        self._process.start()
        theirs.close()
        self.peak_mib = self._answer()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join()

    def seconds(self, count: int) -> float:
        """The seconds of so many steps."""
        with suppress(BrokenPipeError):  # asked for its answer, a process that has ended says so
            self._pipe.send(count)
        return self._answer()

    def _answer(self) -> float:
        try:
            answer: float = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise MemoryError(f"The process of {self._case} was ended, most likely for want of memory.") from None
        return answer


def _serve(pipe: Connection, case: Case) -> None:
    torch.set_num_threads(1)
    small = replace(case, words=100)
    stepping(small, Model(small))()  # so that torch's own beginnings are not counted
    _forget_peak()
    before = _status("VmRSS")
    step = stepping(case, Model(case))
    run = block(step)
    run(4)
    pipe.send((_status("VmHWM") - before) / 1024)
    while True:
        try:
            pipe.send(run(pipe.recv()))
        except (EOFError, ConnectionResetError):
            return


def _forget_peak() -> None:
    """Let the largest size of this process so far be its size now: man 5 proc, clear_refs."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> int:
    """A line of /proc/self/status, KiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no line {name}; Linux is needed to measure memory.")


def compared(cases: list[Case], rounds: int) -> tuple[list[float], Values]:
    """The peak memory of each case, MiB, and seconds a step in turns, [rounds, cases]."""
    with ExitStack() as stack:
        children = [stack.enter_context(Child(case)) for case in cases]
        return [child.peak_mib for child in children], alternated([child.seconds for child in children], rounds)
