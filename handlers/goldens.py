"""Golden requests: real texts with the answers this very variant gave when it was exported.

A worker answers them before it reports ready. That warms it up, and a damaged table, a shuffled vocabulary or a
machine whose arithmetic differs is noticed before the first user is answered wrongly.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .predictor import Predictor

# Largest score difference between machines: fp32 differs in summation order only.
TOLERANCE = {"fp32": 1e-4}
LOWER_PRECISION_TOLERANCE = 2e-2


@dataclass(frozen=True)
class Golden:
    """One request with the trained model's answer and the variant's own."""

    text: str
    trained: dict[str, Any]
    variant: dict[str, Any]


def read_goldens(path: Path) -> list[Golden]:
    """Read `golden.jsonl`. Raises ValueError naming the line."""
    goldens = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], 1):
        try:
            goldens.append(Golden(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"golden.jsonl, line {number}: {error}") from None
    return goldens


def differences(golden: Golden, answer: dict[str, Any], precision: str) -> list[str]:
    """What differs between a golden's recorded answer and the one given now; empty if nothing does.

    Token counts must be equal; scores within the precision's tolerance; the label equal wherever the margin
    between the two best scores exceeds twice the tolerance (a nearer call may fall either way).
    """
    tolerance = TOLERANCE.get(precision, LOWER_PRECISION_TOLERANCE)
    expected, found = golden.variant, []
    for key in ("tokens", "unknown", "truncated"):
        if answer[key] != expected[key]:
            found.append(f"{key} is {answer[key]}, recorded {expected[key]}")
    if set(answer["scores"]) != set(expected["scores"]):
        return [*found, f"labels are {sorted(answer['scores'])}, recorded {sorted(expected['scores'])}"]
    worst = max(expected["scores"], key=lambda label: abs(answer["scores"][label] - expected["scores"][label]))
    now, then = answer["scores"][worst], expected["scores"][worst]
    # Written so that a NaN fails.
    if not abs(now - then) <= tolerance:
        found.append(f"score of {worst!r} is {now:.6f}, recorded {then:.6f} (tolerance {tolerance:g})")
    ranked = sorted(expected["scores"].values(), reverse=True)
    margin = ranked[0] - ranked[1] if len(ranked) > 1 else 1.0
    if answer["label"] != expected["label"] and margin > 2 * tolerance:
        found.append(f"label is {answer['label']!r}, recorded {expected['label']!r}")
    return found


def check_goldens(predictor: Predictor, goldens: Sequence[Golden]) -> int:
    """Answer every golden as one batch and one by one; the number checked.

    Raises ValueError listing the first answers that differ.
    """
    precision = predictor.model.precision
    texts = [golden.text for golden in goldens]
    problems: list[str] = []
    for way, answers in (
        ("in a batch", predictor.predict(texts)),
        ("alone", [predictor.predict([text])[0] for text in texts]),
    ):
        for number, (golden, answer) in enumerate(zip(goldens, answers, strict=True), 1):
            found = differences(golden, answer, precision)
            if found:
                problems.append(f"golden {number} {way}: {'; '.join(found)}")
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise ValueError(
            f"{len(problems)} of {2 * len(goldens)} golden answers of {predictor.model.name} "
            f"{predictor.model.version} ({predictor.model.variant}) differ: {' | '.join(problems[:3])}{more}. "
            "The archive is damaged or this machine computes differently; export it again here."
        )
    return len(goldens)
