"""Whether two versions give the same answer: the same labels, or close vectors; scores differ between trainings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

CLOSE = 0.99
"""The least cosine of two vectors that count as the same."""
_LONGEST = 40  # characters of a label that is shown


def compare(stable: bytes, canary: bytes) -> tuple[bool, str]:
    """Return whether two bodies have the same answer, and how the first that differs has changed, "" if that has no
    short form.

    Answers to several texts agree if all do. Of a body that has neither labels nor a vector every byte counts.
    """
    if stable == canary:
        return True, ""
    try:
        before, after = json.loads(stable), json.loads(canary)
    except (ValueError, RecursionError):
        return False, ""
    ones, others = _answers(before), _answers(after)
    if ones is None or others is None or len(ones) != len(others):
        return False, ""
    for one, other in zip(ones, others, strict=True):
        agrees, change = _agree(one, other)
        if not agrees:
            return False, change
    return True, ""


def _answers(body: Any) -> list[Any] | None:
    """Return the answers in a body: of one text, of several, or in the shape of the Open Inference Protocol."""
    if isinstance(body, dict) and isinstance(body.get("outputs"), list):
        outputs = {str(one.get("name")): one.get("data") for one in body["outputs"] if isinstance(one, dict)}
        named = {name: outputs[name] for name in ("label", "labels", "vector") if name in outputs}
        return [named] if named else None
    answers = body if isinstance(body, list) else [body]
    known = all(isinstance(one, dict) and {"label", "labels", "vector"} & one.keys() for one in answers)
    return answers if known else None


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[bool, str]:
    if "vector" in one or "vector" in other:
        return _cosine(one.get("vector"), other.get("vector")) >= CLOSE, ""
    before, after = _labels(one), _labels(other)
    return before == after, f"{_shown(before)} → {_shown(after)}" if before != after else ""


def _labels(answer: Mapping[str, Any]) -> list[str]:
    if "labels" in answer:
        found = answer["labels"]
        named = (
            [one.get("label") if isinstance(one, dict) else one for one in found] if isinstance(found, list) else []
        )
        return sorted(map(str, named))
    label = answer.get("label")
    return list(map(str, label)) if isinstance(label, list) else [str(label)]


def _shown(labels: list[str]) -> str:
    return ", ".join(label[:_LONGEST] for label in labels[:3]) or "no label"


def _cosine(one: Any, other: Any) -> float:
    """Return the cosine of two lists of numbers; two that are all 0 are the same, anything else is -1."""
    try:
        left, right = [float(value) for value in one], [float(value) for value in other]
        lengths = math.hypot(*left) * math.hypot(*right)
        if len(left) != len(right):
            return -1.0
        if not lengths:
            return 1.0 if left == right else -1.0
        return math.fsum(a * b for a, b in zip(left, right, strict=True)) / lengths
    except (TypeError, ValueError):
        return -1.0
