"""Batches without a delay: what arrived while the engine was busy is the next batch, and nobody waits for company."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from ...errors import InputError
from ...handlers.request.refusals import Refusal
from .http import Later

log = logging.getLogger("lexport")

_TURN = 0.01  # seconds of a batch while others wait for their turns
_LATELY = 1.0  # seconds
_NEWEST = 0.5  # share of the latest batch in the pace

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


class Turns:
    """The turns of several batchers of a loop: in each the due ones answer a batch, those that take least time first.

    Where more than one was asked lately, none takes a long turn.
    """

    def __init__(self) -> None:
        """Take turns in the running loop."""
        self.members = 0
        """How many batchers take turns."""
        self._due: list[Batcher[Any, Any]] = []
        self._last: object = None
        self._last_time = self._other_time = -math.inf
        self._loop = asyncio.get_running_loop()

    def note(self, batcher: object, now: float) -> None:
        """Take note that a batcher is asked."""
        if self._last is not batcher:
            self._last, self._other_time = batcher, self._last_time
        self._last_time = now

    def are_shared(self, batcher: object, now: float) -> bool:
        """Return whether another batcher than this one was asked within the last second."""
        asked = self._other_time if self._last is batcher else self._last_time
        return now - asked < _LATELY

    def add(self, batcher: Batcher[Any, Any]) -> None:
        """Have a batcher answer a batch in the next turn of the loop."""
        if not self._due:
            self._loop.call_soon(self._run)
        self._due.append(batcher)

    def _run(self) -> None:
        due, self._due = self._due, []
        if len(due) > 1:
            due.sort(key=lambda batcher: batcher.expected)
        for batcher in due:
            batcher.run()


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

    Batchers of one loop take turns (`Turns`). While others are asked too, a batch is cut to what the engine does in
    10 ms, so that a slow model costs the others little more than that.
    """

    def __init__(
        self,
        engine: Engine[Item, Answer],
        *,
        largest: int = 64,
        queue: int = 1_000,
        seconds: float = 30.0,
        turns: Turns | None = None,
    ) -> None:
        """Give `engine` batches of at most `largest` items.

        `queue`: items that may wait; `seconds` that each may. `turns` are shared with the other batchers of the loop.
        Raises InputError for a number that is not above 0.
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
        self._turns = turns or Turns()
        self._turns.members += 1
        self._pace = 0.0  # seconds of an item in the latest batches
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
        now = self._loop.time()
        if self._turns.members > 1:
            self._turns.note(self, now)
        self._queue.append(_Waiting(item, answer, now + self._seconds))
        if not self._due:
            self._due = True
            if turns:
                self._loop.call_soon(self._gather, turns, turns, 1)
            else:
                self._come()
        return answer

    def _come(self) -> None:
        """Have the next turn of the loop answer a batch."""
        if self._turns.members > 1:
            self._turns.add(self)
        else:
            self._loop.call_soon(self.run)

    def _gather(self, turns: int, left: int, seen: int) -> None:
        """Run after `left` turns of the loop, or after `turns` again if more items wait than were `seen`."""
        waiting = len(self._queue)
        left = turns if waiting != seen else left - 1
        if not left or waiting >= self._largest:
            self.run()
        else:
            self._loop.call_soon(self._gather, turns, left, waiting)

    @property
    def expected(self) -> float:
        """Seconds that the next batch takes, as the latest ones did."""
        return self._pace * min(len(self._queue), self._largest)

    def run(self) -> None:
        """Answer one batch; the rest of the queue has its turn after what the loop receives meanwhile."""
        batch = self._take()
        if self._queue:
            self._come()
        else:
            self._due = False
        if not batch:
            return
        counts, began = self.counts, time.perf_counter()
        try:
            answers = self._engine([waiting.item for waiting in batch])
        except Exception as error:
            answers = [error] * len(batch)
        took = time.perf_counter() - began
        counts.batches += 1
        counts.items += len(batch)
        counts.seconds += took
        self._pace += (took / len(batch) - self._pace) * (_NEWEST if self._pace else 1.0)
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
        most = self._largest
        if self._pace * most > _TURN and self._turns.are_shared(self, now):
            most = max(1, int(_TURN / self._pace))
        while queue and len(batch) < most:
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
