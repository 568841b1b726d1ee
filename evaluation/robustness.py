"""Robustness to new words: evaluate a model again on texts with a share of unseen words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..data.load import Dataset
from ..errors import InputError
from .bootstrap import bootstrap_means, percentile_interval
from .metrics import Outputs
from .model import OpenedModel
from .noise import UnseenWords
from .tasks import Task

DRAWS = 5


def parse_rates(value: str) -> list[float]:
    """Return the shares of `--unknown-rate`, such as "0.1,0.3", in ascending order. Raises InputError."""
    wanted = [one.strip() for one in value.split(",")]
    if not all(re.fullmatch(r"[0-9]*\.?[0-9]+", one) and 0 < float(one) <= 1 for one in wanted):
        raise InputError(
            f"--unknown-rate {value!r} is not valid. Expected shares of the tokens above 0 and up to 1, for "
            "example 0.1,0.3.",
            code="LX-EVAL-003",
        )
    return sorted({float(one) for one in wanted})


def robustness(
    task: Task, part: Dataset, outputs: Outputs, model: OpenedModel, rates: Sequence[float]
) -> dict[str, Any]:
    """Return how much the task's metric drops if shares `rates` of the tokens are replaced by unseen words.

    `outputs` are those for the original texts. Each share is drawn DRAWS times (`noise.py`). Of vectors only those
    of the texts change, not the search targets. Returns what JSON can hold: `metric`, `draws`, for the original
    texts `unknown_share` (of the tokens) and the metric by its name, and under `rates` the same with `rate`, `drop`
    and `drop_interval`, which pairs each text with its own noisy copies and so allows for other texts.
    """
    unseen = UnseenWords(model.encoder, part.texts)
    before = task.terms(part, outputs)
    width = before.shape[1]
    found = []
    for rate in rates:
        copies = [replace(part, texts=unseen.replace(part.texts, rate, draw)) for draw in range(DRAWS)]
        after = [task.terms(copy, model.predict(copy)) for copy in copies]
        sums = np.hstack([before, *after])
        # [draws of texts, the original texts and their copies, terms of the metric]
        drawn = task.metric(bootstrap_means(sums).reshape(-1, 1 + DRAWS, width))
        clean, *noisy = task.metric(sums.mean(axis=0).reshape(1 + DRAWS, width)).tolist()
        value = float(np.mean(noisy))
        found.append(
            {
                "rate": rate,
                "unknown_share": float(np.mean([_unknown(model, copy) for copy in copies])),
                task.METRIC: value,
                "drop": clean - value,
                "drop_interval": percentile_interval(drawn[:, 0] - drawn[:, 1:].mean(axis=1)),
            }
        )
    return {
        "metric": task.METRIC,
        "draws": DRAWS,
        "unknown_share": _unknown(model, part),
        task.METRIC: float(task.metric(before.mean(axis=0))),
        "rates": found,
    }


def _unknown(model: OpenedModel, part: Dataset) -> float:
    tokens = model.encoder.look_up(part.texts, part.languages)
    return float(tokens.unknown.sum() / max(1, tokens.lengths.sum()))
