"""What a variant must keep to be let into an archive."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class GateOptions:
    """Limits for an exported variant, all judged on the validation texts and against the trained model.

    max_metric_drop: how far the task's metric may fall. max_flips: share of the texts that may be answered otherwise.
    max_batch_flips: share of the texts whose answer may depend on their batch. min_cosine_p1: what the cosine of the
    encoder's outputs must reach on 99 of 100 texts. max_size_ratio: of the variant's files to the trained weights, or
    to 1 MB where these are smaller. min_speedup: of the time of 8 texts against the same engine's fp32 variant; a
    variant that is slower is warned of, or with slow_refused refused.
    """

    max_metric_drop: float = 0.005
    max_flips: float = 0.03
    max_batch_flips: float = 0.02
    min_cosine_p1: float = 0.98
    max_size_ratio: float = 1.5
    min_speedup: float = 0.8
    slow_refused: bool = False

    def __post_init__(self) -> None:
        """Refuse limits that no variant can be judged by."""
        for option in ("max_metric_drop", "max_flips", "max_batch_flips"):
            if not 0 <= getattr(self, option) <= 1:
                raise ValueError(f"gates: {option}={getattr(self, option)} must be a share from 0 to 1.")
        if not -1 <= self.min_cosine_p1 <= 1:
            raise ValueError(f"gates: min_cosine_p1={self.min_cosine_p1} must be a cosine, from -1 to 1.")
        if not (0 < self.max_size_ratio < math.inf and 0 <= self.min_speedup < math.inf):
            raise ValueError(
                f"gates: max_size_ratio={self.max_size_ratio} must be a number above 0, "
                f"min_speedup={self.min_speedup} one of at least 0."
            )
