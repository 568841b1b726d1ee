"""The gates of a recipe: limits that a variant must keep to be archived."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...storage.validation import raise_any


@dataclass(frozen=True)
class GateOptions:
    """Section [gates]: limits for an exported variant, measured on the validation texts."""

    max_metric_drop: float = 0.005
    """How far the task's metric may be below that of the trained model."""
    max_flips: float = 0.03
    """Share of texts with another prediction than the trained model's."""
    max_batch_flips: float = 0.02
    """Share of texts whose prediction depends on their batch."""
    min_cosine_p1: float = 0.98
    """The cosine of the encoder's outputs with the trained model's must reach this on 99 of 100 texts."""
    max_size_ratio: float = 1.5
    """Size of the variant's files divided by that of the trained weights (at least 1 MB)."""
    min_speedup: float = 0.8
    """Speed on 8 texts compared with the fp32 variant of the same engine. A slower variant gets a warning."""
    slow_refused: bool = False
    """Whether a slower variant is refused instead."""

    def __post_init__(self) -> None:
        """Raise ValueError for limits out of range."""
        problems: list[str] = []
        for option in ("max_metric_drop", "max_flips", "max_batch_flips"):
            if not 0 <= getattr(self, option) <= 1:
                problems.append(f"gates: {option}={getattr(self, option)} must be a share from 0 to 1.")
        if not -1 <= self.min_cosine_p1 <= 1:
            problems.append(f"gates: min_cosine_p1={self.min_cosine_p1} must be a cosine, from -1 to 1.")
        if not (0 < self.max_size_ratio < math.inf and 0 <= self.min_speedup < math.inf):
            problems.append(
                f"gates: max_size_ratio={self.max_size_ratio} must be a number above 0, "
                f"min_speedup={self.min_speedup} one of at least 0."
            )
        raise_any(problems)
