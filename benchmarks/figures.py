"""What every benchmark prints: Markdown tables, intervals, and where and when it was run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from lexport.loadtest import environment

Values = npt.NDArray[np.float64]

_DRAWS = 4000
_EXTRA = ("scikit-learn",)


def say(line: str) -> None:
    """Progress goes to stderr, so that stdout holds nothing but Markdown."""
    print(line, file=sys.stderr, flush=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    rule = ["--"] + ["--:"] * (len(columns) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in (columns, rule, *rows)) + "\n"


def interval(values: Values, statistic: Callable[..., Values] = np.median) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of `statistic` over one axis of values."""
    draw = np.random.default_rng(0).integers(0, len(values), (_DRAWS, len(values)))
    low, high = np.percentile(statistic(values[draw], axis=1), (2.5, 97.5))
    return float(low), float(high)


def crossed_interval(values: Values) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean of values [seeds, texts], seeds and texts both drawn again.

    So it covers another training run as well as another sample of texts.
    """
    generator = np.random.default_rng(0)
    seeds, texts = values.shape
    means = [
        values[generator.integers(0, seeds, seeds)].mean(axis=0)[generator.integers(0, texts, texts)].mean()
        for _ in range(_DRAWS)
    ]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def paired_interval(differences: Values) -> tuple[float, float]:
    """The 95 % t interval of the mean of paired differences, one a seed; at least two."""
    count = len(differences)
    reach = stats.t.ppf(0.975, count - 1) * differences.std(ddof=1) / count**0.5
    return float(differences.mean() - reach), float(differences.mean() + reach)


def where() -> str:
    """Return the machine and the versions of what took part, in a line."""
    return told(*place())


def place() -> tuple[dict[str, Any], dict[str, str]]:
    """Return the machine and the versions of what took part."""
    return environment.machine(), environment.versions() | {package: metadata.version(package) for package in _EXTRA}


def told(machine: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """Return a machine and versions in a line."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}; "
        + ", ".join(f"{package} {version}" for package, version in versions.items())
    )
