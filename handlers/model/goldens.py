"""Golden requests: real texts with the answers of this variant when it was exported.

A worker answers them before it reports ready. This warms it up, and it detects a damaged table, a shuffled vocabulary
or a machine with different arithmetic before any user gets a wrong answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .predictor import Predictor

# Largest score difference between machines: fp32 differs in summation order only.
TOLERANCE = {"fp32": 1e-4}
LOWER_PRECISION_TOLERANCE = 2e-2


@dataclass(frozen=True)
class Golden:
    """One request with two recorded answers."""

    text: str
    """The text; "" for an image."""
    trained: dict[str, Any]
    """The trained model's answer."""
    variant: dict[str, Any]
    """The variant's answer."""
    lang: str | None = None
    """The text's language, for models with languages."""
    image: list[float] | None = None
    """The numbers of an image; None for a text."""


def read_goldens(path: Path) -> list[Golden]:
    """Read `golden.jsonl`; an image's line needs no text. Raises ValueError naming the line."""
    lines = path.read_text(encoding="utf-8").split("\n")
    goldens = []
    for number, line in enumerate(lines if lines[-1] else lines[:-1], 1):
        try:
            value = json.loads(line)
            golden = Golden(**({"text": ""} | value if "image" in value else value))
            if not isinstance(golden.text, str) or not isinstance(golden.variant, dict):
                raise TypeError("the text is not a string or the variant's answer not an object")
            goldens.append(golden)
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"golden.jsonl, line {number}: {error}") from None
    return goldens


def differences(golden: Golden, answer: dict[str, Any], precision: str, threshold: float = 0.5) -> list[str]:
    """Return the differences between a golden's recorded answer and `answer`; empty if there are none.

    Token counts must be equal. Scores and components of vectors must be within the precision's tolerance. The label
    must be equal if the two best scores differ by more than twice the tolerance. Of several labels, each must be
    equal whose score differs from `threshold` by more than that.
    """
    tolerance = TOLERANCE.get(precision, LOWER_PRECISION_TOLERANCE)
    expected = golden.variant
    if answer.keys() != expected.keys():
        return [f"the answer has {', '.join(answer)}, recorded {', '.join(map(repr, expected))}"]
    found = [
        f"{key} is {answer[key]}, recorded {expected[key]!r}"
        for key in ("tokens", "unknown", "truncated")
        if key in expected and answer[key] != expected[key]
    ]
    if "vector" in expected:
        return found + _of_vectors(answer["vector"], expected["vector"], tolerance)
    if set(answer["scores"]) != set(expected["scores"]):
        return [*found, f"labels are {sorted(answer['scores'])}, recorded {sorted(expected['scores'])}"]
    now, then = answer["scores"], expected["scores"]
    # Written so that a NaN fails.
    far = [label for label in then if not abs(now[label] - then[label]) <= tolerance]
    if far:
        worst = max(far, key=lambda label: abs(now[label] - then[label]))
        found.append(f"score of {worst!r} is {now[worst]:.6f}, recorded {then[worst]:.6f} (tolerance {tolerance:g})")
    if "labels" in expected:
        return found + _of_labels(answer, expected, threshold, 2 * tolerance)
    ranked = sorted(expected["scores"].values(), reverse=True)
    margin = ranked[0] - ranked[1] if len(ranked) > 1 else 1.0
    if answer["label"] != expected["label"] and margin > 2 * tolerance:
        found.append(f"label is {answer['label']!r}, recorded {expected['label']!r}")
    return found


def _of_vectors(now: Sequence[float], then: Sequence[float], tolerance: float) -> list[str]:
    if len(now) != len(then):
        return [f"the vector has {len(now)} components, recorded {len(then)}"]
    far = [
        place for place, (one, other) in enumerate(zip(now, then, strict=True)) if not abs(one - other) <= tolerance
    ]
    if not far:
        return []
    place = max(far, key=lambda place: abs(now[place] - then[place]))
    return [
        f"{len(far)} of {len(then)} components differ, component {place} is {now[place]:.6f}, recorded "
        f"{then[place]:.6f} (tolerance {tolerance:g})"
    ]


def _of_labels(answer: dict[str, Any], expected: dict[str, Any], threshold: float, margin: float) -> list[str]:
    now, then = ({one["label"] for one in of["labels"]} for of in (answer, expected))
    clear = {label for label, score in expected["scores"].items() if abs(score - threshold) > margin}
    if (now ^ then) & clear:
        return [f"the labels are {sorted(now)}, recorded {sorted(then)}"]
    return []


def check_goldens(predictor: Predictor, goldens: Sequence[Golden]) -> int:
    """Answer every golden as one batch and one by one. Return the number of goldens.

    Raises ValueError with the first answers that differ, and if there are no goldens.
    """
    if not goldens:
        raise ValueError("golden.jsonl has no golden request, so the model cannot be checked. Export the run again.")
    model, problems = predictor.model, golden_problems(predictor, goldens)
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise ValueError(
            f"{len(problems)} of {2 * len(goldens)} golden answers of {model.name} {model.version} ({model.variant}) "
            f"differ: {' | '.join(problems[:3])}{more}. The archive is damaged or this machine computes differently; "
            "export it again here."
        )
    return len(goldens)


def golden_problems(predictor: Predictor, goldens: Sequence[Golden]) -> list[str]:
    """Return the differences if every golden is answered as one batch and one by one; empty if there are none."""
    problems: list[str] = []
    for way, answers in (
        ("in a batch", _answers(predictor, goldens)),
        ("by itself", [_answers(predictor, [golden])[0] for golden in goldens]),
    ):
        for number, (golden, answer) in enumerate(zip(goldens, answers, strict=True), 1):
            try:
                found = differences(golden, answer, predictor.model.precision, predictor.model.threshold)
            except (TypeError, KeyError, AttributeError) as error:
                found = [f"the recorded answer is damaged ({type(error).__name__}: {error})"]
            if found:
                problems.append(f"golden {number} {way}: {'; '.join(found)}")
    return problems


def _answers(predictor: Predictor, goldens: Sequence[Golden]) -> list[dict[str, Any]]:
    """Return the answers in the goldens' order, from one batch of texts and one of images."""
    texts = [golden for golden in goldens if golden.image is None]
    images = [golden.image for golden in goldens if golden.image is not None]
    languages = [golden.lang or "" for golden in texts] if any(golden.lang is not None for golden in texts) else None
    of_texts = iter(predictor.predict([golden.text for golden in texts], languages) if texts else [])
    of_images = iter(predictor.predict_images(np.array(images, np.float32)) if images else [])
    return [next(of_texts if golden.image is None else of_images) for golden in goldens]
