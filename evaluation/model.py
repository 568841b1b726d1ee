"""A model to evaluate. It may come from a run, an exported variant or an archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..data.dataset import Dataset
from ..handlers.text.encoder import TextEncoder
from .metrics import Outputs

Predict = Callable[[Dataset], Outputs]


@dataclass(frozen=True)
class OpenedModel:
    """An opened model."""

    predict: Predict
    """Return the outputs for a part of the data, in the layout of evaluation/tasks/base.py."""
    encoder: TextEncoder
    """How the model reads text."""
