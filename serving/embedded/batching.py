"""Batches without a delay: what arrived while the engine was busy is the next batch, and nobody waits for company."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from ...errors import InputError
from ...handlers.request.refusals import Refusal
from .http import Later

log = logging.getLogger("lexport")

Item = TypeVar("Item")
Answer = TypeVar("Answer")

Engine = Callable[[Sequence[Item]], Sequence["Answer | Exception"]]
"""Answers a batch: as many answers, in their order; an Exception is the answer of an item that failed."""


@dataclass
class Counts:
    """What happened since the start."""

    batches: int = 0
    """Batches given to the engine."""
    items: int = 0
    """Items in them."""
    seconds: float = 0.0
    """Time that the engine took for them."""
    full: int = 0
    """Items refused because the queue was full."""
    late: int = 0
    """Items refused because they had waited too long."""
    gone: int = 0
    """Items left out because nobody waited for them any more."""


class _Waiting(NamedTuple, Generic[Item, Answer]):
    """An item in the queue."""

    item: Item
    answer: Later[Answer]
    by: float
    """Time of the loop until which it is worth an answer."""


class Batcher(Generic[Item, Answer]):
    """Collects items and has an engine answer them, batch by batch, in the loop itself.

    The engine runs once in a turn of the loop, after everything that has been received in it. It is called in the
    loop's thread, which for small models costs less than to wake another and to share the interpreter with it
    (`benchmarks/http_servers.py` measures both). While it runs, the system receives and queues.
    """

    def __init__(
        self, engine: Engine[Item, Answer], *, largest: int = 64, queue: int = 1_000, seconds: float = 30.0
    ) -> None:
        """Give `engine` batches of at most `largest` items.

        `queue`: items that may wait; `seconds` that each may. Raises InputError if one of them is not above 0.
        """
        for name, value in {"largest": largest, "queue": queue, "seconds": seconds}.items():
            if not value > 0:
                raise InputError(f"A batcher's {name} is {value}; expected more than 0.", code="LX-SERVE-102")
        self.counts = Counts()
        self._engine = engine
        self._largest = largest
        self.most = queue
        """Items that may wait."""
        self._seconds = seconds
        self._queue: deque[_Waiting[Item, Answer]] = deque()
        self._due = False
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        """Return how many items wait, those that nobody waits for any more included."""
        return len(self._queue)

    def submit(self, item: Item, *, turns: int = 0) -> Later[Answer]:
        """Queue an item; what is returned gets its answer, Refusal if it waits too long, or what its engine raises.

        `turns`: the batch begins after so many turns of the loop in which no further item has come; for items that
        the loop receives one in a turn, which would be batches of one otherwise. What is cancelled before its batch
        begins is left out of it. Raises Refusal if the queue is full.
        """
        if len(self._queue) >= self.most:
            self.counts.full += 1
            raise Refusal(
                429,
                f"The queue of this model is full: {self.most:,} requests wait.",
                "fewer requests; try again in a second",
                code="LX-HTTP-117",
            )
        answer: Later[Answer] = Later()
        self._queue.append(_Waiting(item, answer, self._loop.time() + self._seconds))
        if not self._due:
            self._due = True
            if turns:
                self._loop.call_soon(self._gather, turns, turns, 1)
            else:
                self._loop.call_soon(self._run)
        return answer

    def _gather(self, turns: int, left: int, seen: int) -> None:
        """Run after `left` turns of the loop, or after `turns` again if more items wait than were `seen`."""
        waiting = len(self._queue)
        left = turns if waiting != seen else left - 1
        if not left or waiting >= self._largest:
            self._run()
        else:
            self._loop.call_soon(self._gather, turns, left, waiting)

    def _run(self) -> None:
        """Answer one batch; the rest of the queue has its turn after what the loop receives meanwhile."""
        batch = self._take()
        if self._queue:
            self._loop.call_soon(self._run)
        else:
            self._due = False
        if not batch:
            return
        counts, began = self.counts, time.perf_counter()
        try:
            answers = self._engine([waiting.item for waiting in batch])
        except Exception as error:
            answers = [error] * len(batch)
        counts.batches += 1
        counts.items += len(batch)
        counts.seconds += time.perf_counter() - began
        if len(answers) != len(batch):
            problem = RuntimeError(f"the engine gave {len(answers)} answers to {len(batch)} items")
            answers = [problem] * len(batch)
        for waiting, answer in zip(batch, answers, strict=True):
            try:
                if isinstance(answer, Exception):
                    waiting.answer.set_exception(answer)
                else:
                    waiting.answer.set_result(answer)
            except Exception:  # of whoever waited for it; the others of the batch get theirs
                log.exception("An answer could not be handed on.")

    def _take(self) -> list[_Waiting[Item, Answer]]:
        """Take the next batch off the queue, without what is not worth an answer any more."""
        batch: list[_Waiting[Item, Answer]] = []
        queue, counts, now = self._queue, self.counts, self._loop.time()
        while queue and len(batch) < self._largest:
            waiting = queue.popleft()
            if waiting.answer.done():
                counts.gone += 1
            elif waiting.by < now:
                counts.late += 1
                waiting.answer.set_exception(self._too_late())
            else:
                batch.append(waiting)
        return batch

    def _too_late(self) -> Refusal:
        return Refusal(
            503,
            f"The request waited longer than {self._seconds:g} s for the model.",
            "fewer requests; try again in a second",
            code="LX-HTTP-118",
        )
