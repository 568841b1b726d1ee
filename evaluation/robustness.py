"""What new words cost: a model judged again on texts full of words that nobody has seen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..data.load import Dataset
from ..errors import InputError
from .bootstrap import ends, headline, headline_of, resampled
from .model import Asked
from .noise import Unseen
from .tasks import METRIC, Outputs

DRAWS = 5


def parse_rates(value: str) -> list[float]:
    """The shares of `--unknown-rate`, such as "0.1,0.3", in rising order. Raises InputError."""
    wanted = [one.strip() for one in value.split(",")]
    if not all(re.fullmatch(r"[0-9]*\.?[0-9]+", one) and 0 < float(one) <= 1 for one in wanted):
        raise InputError(
            f"--unknown-rate {value!r} is not understood. Expected shares of the tokens above 0 and up to 1, for "
            "example 0.1,0.3."
        )
    return sorted({float(one) for one in wanted})


def robustness(
    task: str,
    part: Dataset,
    outputs: Outputs,
    labels: Sequence[str],
    asked: Asked,
    rates: Sequence[float],
    threshold: float = 0.5,
) -> dict[str, Any]:
    """How much of the task's metric is lost where shares `rates` of the tokens are replaced by unseen words.

    `outputs` are those for the texts as they are. Each share is drawn DRAWS times (`noise.py`); of "vector" and
    "joint" the texts alone change, not what they search. Returns what JSON can hold: `metric`, `draws`, for the
    texts as they are `unknown_share` (of the tokens) and the metric by its name, and under `rates` the same with
    `rate`, `drop` and `drop_interval`, which pairs each text with its own noisy copies and so covers other texts.
    """
    unseen = Unseen(asked.encoder, part.texts)
    before = headline(task, part, outputs, labels, threshold)
    width = before.shape[1]
    found = []
    for rate in rates:
        copies = [replace(part, texts=unseen.replaced(part.texts, rate, draw)) for draw in range(DRAWS)]
        after = [headline(task, copy, asked.answer(copy), labels, threshold) for copy in copies]
        sums = np.hstack([before, *after])
        # [draws of texts, the texts as they are and their copies, what makes the metric]
        drawn = headline_of(task, resampled(sums).reshape(-1, 1 + DRAWS, width))
        clean, *noisy = headline_of(task, sums.mean(axis=0).reshape(1 + DRAWS, width)).tolist()
        value = float(np.mean(noisy))
        found.append(
            {
                "rate": rate,
                "unknown_share": float(np.mean([_unknown(asked, copy) for copy in copies])),
                METRIC[task]: value,
                "drop": clean - value,
                "drop_interval": ends(drawn[:, 0] - drawn[:, 1:].mean(axis=1)),
            }
        )
    return {
        "metric": METRIC[task],
        "draws": DRAWS,
        "unknown_share": _unknown(asked, part),
        METRIC[task]: float(headline_of(task, before.mean(axis=0))),
        "rates": found,
    }


def _unknown(asked: Asked, part: Dataset) -> float:
    tokens = asked.encoder.look_up(part.texts, part.languages)
    return float(tokens.unknown.sum() / max(1, tokens.lengths.sum()))
