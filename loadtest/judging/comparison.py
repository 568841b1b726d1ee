"""The result of comparing a load test with an earlier one."""

from __future__ import annotations

from dataclasses import dataclass

from ...export.evidence.load_results import load_in_words

NAMES = {"requests_per_second": "requests/s", "p50_ms": "p50", "p99_ms": "p99", "failures": "failures"}
WORSE, BETTER, SAME, NOT_JUDGED = "worse", "better", "same", "not judged"


@dataclass(frozen=True)
class Change:
    """One figure of a cell, before and now: the medians of the runs, and whether their difference is more than noise.

    Requests/s and milliseconds, as the metric's name says, or the share of failed requests.
    """

    archive: str
    workers: str
    users: int
    arrivals: str
    rate: float
    metric: str
    """`requests_per_second`, `p50_ms`, `p99_ms` or `failures`."""
    before: float | None
    """None where nothing was answered."""
    after: float | None
    change: float | None
    """By what share of `before` it changed; of failures the difference. None where it cannot be said."""
    chance: float | None
    """How likely ranks as one-sided as these are by chance (Mann–Whitney); None where it was not judged."""
    runs: tuple[int, int]
    """Runs before and now."""
    outcome: str
    """`worse`, `better`, `same` (within noise, or too little to count), or `not judged`."""
    reason: str
    """Why it was not judged; else ""."""

    @property
    def cell(self) -> str:
        """The worker set and load in words."""
        return f"{self.archive} {self.workers} at {load_in_words(self.arrivals, self.users or self.rate)}"

    @property
    def name(self) -> str:
        """The metric's name in words."""
        return NAMES[self.metric]

    @property
    def by(self) -> str:
        """The change in percent; "" where it cannot be said."""
        return "" if self.change is None else f"{self.change:+.1%}"

    @property
    def judgement(self) -> str:
        """The outcome, with the reason why there is none."""
        return f"{self.outcome}: {self.reason}" if self.reason else self.outcome

    def __str__(self) -> str:
        """Return the cell, the metric and both values in words."""
        return f"{self.cell}: {self.name} {self.words(self.before)} → {self.words(self.after)}{self._said()}"

    def words(self, value: float | None) -> str:
        """Return a value of this metric with its unit."""
        if value is None:
            return "no answer"
        if self.metric == "failures":
            return f"{value:.3%}"
        return f"{value:,.4g} requests/s" if self.metric == "requests_per_second" else f"{value:,.4g} ms"

    def _said(self) -> str:
        by = "" if self.metric == "failures" else self.by
        chance = "" if self.chance is None else f"chance {self.chance:.2g}"
        said = ", ".join(one for one in (by, chance) if one)
        return f" ({said})" if said else ""


@dataclass(frozen=True)
class Comparison:
    """A load test compared with an earlier one."""

    source: str
    """Name of the earlier file."""
    started: str
    """When that test was started."""
    least: float
    """The share by which a figure must be worse to count."""
    changes: tuple[Change, ...]
    left_out: tuple[str, ...]
    """Cells of one of the two alone, in words."""
    note: str
    """Why nothing was judged, or in what the two tests differ; "" for nothing."""

    @property
    def worse(self) -> tuple[Change, ...]:
        """What is worse than before, by more than noise."""
        return tuple(change for change in self.changes if change.outcome == WORSE)

    @property
    def why(self) -> str:
        """Why nothing was judged, where nothing was."""
        reasons = dict.fromkeys(change.reason for change in self.changes if change.reason)
        return self.note or "; ".join(reasons) or "they have no cell in common"

    @property
    def judged(self) -> int:
        """How many figures were judged."""
        return sum(change.outcome != NOT_JUDGED for change in self.changes)

    @property
    def passed(self) -> bool:
        """Whether something was judged and nothing is worse."""
        return self.judged > 0 and not self.worse
