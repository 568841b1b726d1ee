"""A simulated server for the search: requests/s and p99 of any candidate, as a closed loop sees them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from lexport.export.archive.batching import Batches
from lexport.loadtest.tuning.space import Candidate, Served, server_of
from lexport.loadtest.tuning.trials import Task, Trial

REVIEWS = Served("reviews-1.0", Batches(64, 1), can_change=True, parallel=False, engines=("torchserve", "embedded"))
DEEP = Served("deep-1.0", Batches(64, 1), can_change=True, parallel=True, engines=("torchserve", "embedded"))


@dataclass
class Surface:
    """A server whose rate at most is a product of factors, and whose latencies follow from it.

    Of n users in a closed loop it answers n ÷ alone a second until it is saturated, and p99 is twice the mean.
    """

    factors: Mapping[tuple[str, object], float]
    """By (setting, value); 1 where none is given."""
    slo: float = 20.0
    """ms"""
    base: float = 1_000.0
    alone: float = 2.0
    """ms of a lone request."""
    noise: float = 0.0
    seed: int = 0
    start: float = 5.0
    """Seconds that a new server takes."""
    client: float = float("inf")
    """Requests/s beyond which the client is the limit."""
    spent: float = 0.0
    tasks: list[Task] = field(default_factory=list)

    def most(self, candidate: Candidate) -> float:
        """Return the requests/s of a saturated server."""
        rate = self.base
        for setting in ("engine", "archive", "workers", "threads", "batch_size", "batch_delay"):
            rate *= self.factors.get((setting, getattr(candidate, setting)), 1.0)
        return rate

    def figures(self, candidate: Candidate, users: float) -> tuple[float, float]:
        """Return the true requests/s and p99, in ms."""
        rate = min(self.most(candidate), users / self.alone * 1000, self.client)
        return rate, 2000 * users / rate

    def best(self, candidate: Candidate, levels: tuple[float, ...]) -> float:
        """Return the true requests/s within the objective."""
        found = (self.figures(candidate, level) for level in levels)
        return max((rate for rate, p99 in found if p99 <= self.slo), default=0.0)

    def __call__(self, task: Task) -> Trial:
        """Measure, with noise that is the same for the same task."""
        draw = random.Random(f"{self.seed} {task}")
        rate, p99 = self.figures(task.candidate, task.level)
        noise = self.noise / task.seconds**0.5
        rate, p99 = rate * draw.lognormvariate(0, noise), p99 * draw.lognormvariate(0, noise)
        before = [one for one in self.tasks if one.stage == "final"] if task.stage == "final" else self.tasks[-1:]
        restarted = server_of(task.candidate) not in [server_of(one.candidate) for one in before]
        took = task.seconds + 3 + self.start * restarted
        self.spent += took
        self.tasks.append(task)
        limited = self.client < self.most(task.candidate)
        met = p99 <= self.slo
        return Trial(
            task,
            rate,
            p99 / 2,
            p99,
            0.0,
            met,
            () if met else (f"p99 <= {self.slo:g} ms, was {p99:g} ms",),
            "Locust took 90% of a core" if limited else None,
            rate / self.most(task.candidate),
            100_000_000,
            took,
        )
