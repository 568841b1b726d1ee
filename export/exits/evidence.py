"""What was found when an exit answered the goldens: `evidence.json` in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...handlers.model.goldens import Golden, differences
from .packed import Packed

FILE = "evidence.json"
LARGEST = {"fp32": 1e-5}
"""The largest difference of a score from the golden's, by precision."""
LARGEST_OF_OTHERS = 2e-2
_TOLD = 5  # differences at most


@dataclass(frozen=True)
class Proof:
    """What one program of an exit answered."""

    program: str
    """What was run, such as `mlserver start`."""
    proven: bool
    """Whether it answered the goldens as the archive does."""
    asked: int = 0
    """Number of answers that were compared: each golden's by itself and, of a server, in a batch."""
    left_out: int = 0
    """Number of goldens that it was not asked."""
    largest_difference: float | None = None
    """Largest difference of a score, or a component of a vector, from the golden's."""
    allowed: float | None = None
    """Largest difference that is allowed."""
    why: str = ""
    """Why it was not proven, or why goldens were left out."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of what ran it."""
    problems: tuple[str, ...] = ()
    """Differences from the goldens; an exit with any is not written."""


def unproven(program: str, why: str) -> Proof:
    """Return the record of a program that could not be run here."""
    return Proof(program, proven=False, why=why)


def judged(
    program: str,
    packed: Packed,
    goldens: Sequence[Golden],
    answers: Sequence[Mapping[str, Any]],
    *,
    why: str = "",
    versions: Mapping[str, str] | None = None,
) -> Proof:
    """Compare the answers to `goldens`, some of `packed.goldens`, with those that the archive recorded."""
    allowed = LARGEST.get(packed.model.precision, LARGEST_OF_OTHERS)
    problems: list[str] = []
    largest = 0.0
    given = {id(golden) for golden in goldens}
    if len(answers) != len(goldens):
        problems.append(f"{len(answers)} answers to {len(goldens)} goldens")
    for number, (golden, answer) in enumerate(zip(goldens, answers, strict=False), 1):
        try:
            found = differences(golden, dict(answer), packed.model.precision, packed.model.threshold)
            difference = _largest(golden.variant, answer)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            found, difference = [f"the answer cannot be compared ({type(error).__name__}: {error})"], 0.0
        largest = max(largest, difference)
        # Written so that a NaN fails.
        if not difference <= allowed:
            found = [*found, f"a score differs by {difference:.3g}, allowed is {allowed:g}"]
        problems += [f"golden {number}: {one}" for one in found]
    return Proof(
        program,
        proven=not problems,
        asked=len(answers),
        left_out=sum(id(golden) not in given for golden in packed.goldens),
        largest_difference=largest,
        allowed=allowed,
        why=why,
        versions=versions or {},
        problems=tuple(problems[:_TOLD]),
    )


def _largest(expected: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
    if "vector" in expected:
        pairs = zip(expected["vector"], answer["vector"], strict=True)
    else:
        pairs = zip(expected["scores"].values(), (answer["scores"][name] for name in expected["scores"]), strict=True)
    return max((abs(one - other) for one, other in pairs), default=0.0)
