"""What `lexport evaluate` finds out about a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError, RefusedError
from ..reports import notebook
from ..storage.compression import listed


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a model on labelled texts."""

    task: str
    """What the model answers, one of `evaluation.tasks.TASKS`."""
    metric: str
    """The name of the metric that gates read."""
    labels: Sequence[str]
    """The model's labels, in the order of its outputs."""
    data: str
    """The name of the data."""
    part: str
    """Which texts of it: "all", "train", "validation" or "test"."""
    count: int
    """Number of texts."""
    seen: int
    """How many of them the model was trained on, as far as the data are the run's own."""
    metrics: Mapping[str, Any]
    """The task's metrics, with `NAME_interval` [low, high], 95 %, after every one."""
    mistakes: Sequence[Mapping[str, Any]]
    """The worst mistakes, the worst first; `Task.mistakes` says what each has."""
    calibration: Mapping[str, Any] | None = None
    """Whether scores are too high or too low, as `calibration.calibration` returns it; None for vectors."""
    notes: Sequence[str] = ()
    """What was found out while the data were read, in sentences."""
    robustness: Mapping[str, Any] | None = None
    """The metric on texts with unknown words, as `robustness.robustness` returns it; None unless asked for."""

    minimum: Mapping[str, float] = field(default_factory=dict)
    """The least value that was asked for of metrics, by their names."""

    @property
    def passed(self) -> bool:
        """Whether every metric of `minimum` reaches its value."""
        return all(self.metrics[name] >= least for name, least in self.minimum.items())

    def require(self) -> None:
        """Raise RefusedError with every metric that is below its minimum."""
        if not self.passed:
            missed = [
                f"{name} is {self.metrics[name]:.6g}, and --min asks for {least:g}"
                for name, least in self.minimum.items()
                if self.metrics[name] < least
            ]
            raise RefusedError(
                f"{'; '.join(missed)} ({self.count:,} texts of {self.data}). Train longer or on more data, or lower "
                "the minimum.",
                code="LX-EXPORT-084",
            )

    @property
    def value(self) -> float:
        """The metric that gates read."""
        return float(self.metrics[self.metric])

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of its interval, 95 %."""
        low, high = self.metrics[f"{self.metric}_interval"]
        return float(low), float(high)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it, the metrics first and by their own names."""
        further = {"calibration": self.calibration, "mistakes": self.mistakes, "robustness": self.robustness}
        further |= {"minimum": self.minimum or None}
        return {
            **self.metrics,
            "task": self.task,
            "metric": self.metric,
            "labels": list(self.labels),
            "data": self.data,
            "part": self.part,
            "count": self.count,
            "seen": self.seen,
            **{name: value for name, value in further.items() if value is not None},
        }

    def _repr_html_(self) -> str:
        numbers = {name.replace("_", " "): value for name, value in self.metrics.items() if isinstance(value, float)}
        low, high = self.interval
        about: dict[str, object] = {
            "texts": f"{self.count:,}",
            "part": self.part,
            "of it trained on": f"{self.seen:,}",
        }
        spread: dict[str, object] = {f"{self.metric.replace('_', ' ')}, 95 %": f"{low:.4f} to {high:.4f}"}
        return notebook.facts(f"Evaluation on {self.data}", about | numbers | spread)


def parse_minimum(pairs: Sequence[str]) -> dict[str, float]:
    """Return the least values of metrics by name, from strings "METRIC=VALUE". Raises InputError for others."""
    found = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            least = float(value)
        except ValueError:
            least = -1.0
        if not name.strip() or not 0 <= least <= 1:
            raise InputError(
                f"--min {pair} is not understood; expected a metric and its least value, from 0 to 1. Give for "
                "example --min accuracy=0.9.",
                code="LX-EXPORT-082",
            )
        found[name.strip()] = least
    return found


def check_names(minimum: Mapping[str, float], metrics: Mapping[str, Any]) -> None:
    """Raise InputError if `minimum` names a metric that is not one of `metrics`, which `Task.with_intervals` made."""
    known = [name for name in metrics if f"{name}_interval" in metrics]
    unknown = [name for name in minimum if name not in known]
    if unknown:
        raise InputError(
            f"--min names {listed(unknown)}, which this model's task does not have; its metrics are: "
            f"{', '.join(known)}. Name one of these.",
            code="LX-EXPORT-083",
        )
