"""A model that is evaluated, whatever it was opened from: a run, an exported variant, an archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..data.dataset import Dataset
from ..handlers.text.encoder import TextEncoder
from .tasks import Outputs

Answer = Callable[[Dataset], Outputs]


@dataclass(frozen=True)
class Asked:
    """An opened model: how it `answer`s a part of the data (as evaluation/tasks.py says), and its text `encoder`."""

    answer: Answer
    encoder: TextEncoder
