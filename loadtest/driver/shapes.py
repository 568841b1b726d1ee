"""Arrival patterns as shapes of Locust, for locustfiles with users of their own.

    from lexport.loadtest.driver.shapes import SpikeShape

    class Shape(SpikeShape):
        users, seconds = 20, 120

The number of users follows the pattern here, in a closed loop. An open loop of one's own sends by a
`dispatcher.Dispatcher` at the times of `arrivals.schedule` or `arrivals.read_times`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from locust import LoadTestShape

if TYPE_CHECKING or __package__:
    from .arrivals import Open, Pattern, Ramp, Soak, Spike, Step
else:  # Locust loads a locustfile by its path, with its folder on the path of modules
    from arrivals import Open, Pattern, Ramp, Soak, Spike, Step


class PatternShape(LoadTestShape):
    """The number of users that a pattern has in place of its requests/s, at least one; then the end."""

    abstract = True
    pattern: ClassVar[type[Pattern]]
    users: ClassVar[int] = 10
    """The pattern's `rate`."""
    seconds: ClassVar[float] = 60.0
    """Its length."""

    def tick(self) -> tuple[int, float] | None:
        """Return the users of now and how many may start or stop in a second; None at the end."""
        now = time.perf_counter() - self.start_time
        if now >= self.seconds:
            return None
        users = max(1, round(self.pattern(self.users, self.seconds).rate_at(now)))
        return users, float(max(users, self.runner.user_count if self.runner else 0))


class SteadyShape(PatternShape):
    """`users` all the time."""

    abstract = True
    pattern = Open


class StepShape(PatternShape):
    """Users in equal steps up to `users`."""

    abstract = True
    pattern = Step


class RampShape(PatternShape):
    """Users that rise evenly to `users`."""

    abstract = True
    pattern = Ramp


class SpikeShape(PatternShape):
    """`users`, then ten times as many for a quarter of the time, then `users` again."""

    abstract = True
    pattern = Spike


class SoakShape(PatternShape):
    """`users` from the first tenth of the time to the end."""

    abstract = True
    pattern = Soak
