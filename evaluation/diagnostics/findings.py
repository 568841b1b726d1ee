"""What `lexport diagnose` says: findings of a fixed list of checks, each with figures, a reason and what fixes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ...errors import InputError, RefusedError

SERIOUS, WARNING, NOTE, FINE, SKIPPED = "serious", "warning", "note", "ok", "not checked"
SEVERITIES = (SERIOUS, WARNING, NOTE, FINE, SKIPPED)
"""From the worst down: answers or figures are wrong; the model is worse than it could be; good to know; nothing was
found; it could not be checked."""
FAILING = (SERIOUS, WARNING, NOTE)
"""What `--fail-on` takes."""

CHECKS = {
    "padding": "padding",
    "norms": "sizes of the vectors",
    "untrained": "vectors that were never trained",
    "duplicates": "words with the same vector",
    "dimension": "dimensions",
    "vocabulary": "size of the vocabulary",
    "unknown": "unknown words",
    "labels": "labels",
    "leakage": "texts in more than one part",
    "drift": "other texts than in training",
    "training": "warnings of the training",
}
"""What is checked, in this order; what each is about."""

Figures = Mapping[str, int | float | str]


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    check: str
    """One of CHECKS."""
    severity: str
    """One of SEVERITIES."""
    found: str
    """What was found, with the figures, in a sentence."""
    why: str = ""
    """Why it matters; empty where nothing was found."""
    fix: str = ""
    """The option or command that fixes it, or what to do."""
    figures: Figures = field(default_factory=dict)
    """The figures by name."""


@dataclass(frozen=True)
class LabelError:
    """A text whose label is likely wrong."""

    text: str
    given: str
    """Its label, or its labels, joined as in the data."""
    suggested: str
    """What the classifier would give it."""
    score: float
    """How well the given label fits, 0 to 1: the lower, the more likely it is wrong."""
    part: str
    """"train", "validation" or "test"; "" for texts that belong to no part of the run."""
    row: int
    """The place of the text among those that were looked at, from 0."""


@dataclass(frozen=True)
class SharedText:
    """A text that is, or nearly is, in two parts of the data."""

    text: str
    part: str
    other: str
    """The text of the other part."""
    other_part: str
    likeness: float
    """Words that both have among the words of either, 0 to 1 (Jaccard); 1 where they are the same to the model."""


@dataclass(frozen=True)
class Diagnosis:
    """What `lexport diagnose` found out about a model and its data."""

    target: str
    """The run or the archive."""
    data: str
    """The data, in words."""
    texts: int
    """How many texts were looked at."""
    findings: Sequence[Finding]
    """One or more of every check that was not left out, the worst first."""
    label_errors: Sequence[LabelError] = ()
    """Texts whose label is likely wrong, the likeliest first."""
    words: Sequence[tuple[str, int]] = ()
    """Unknown words with the number of their occurrences, the most frequent first."""
    shared: Sequence[SharedText] = ()
    """Texts in more than one part, the most alike first."""
    notes: Sequence[str] = ()
    """What was found out while the data were read, in sentences."""

    def of(self, check: str) -> list[Finding]:
        """Return what a check found."""
        return [one for one in self.findings if one.check == check]

    def counts(self) -> dict[str, int]:
        """Return how many findings there are of each severity."""
        return {severity: sum(one.severity == severity for one in self.findings) for severity in SEVERITIES}

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "target": self.target,
            "data": self.data,
            "texts": self.texts,
            "counts": self.counts(),
            "findings": [asdict(one) for one in self.findings],
            "label_errors": [asdict(one) for one in self.label_errors],
            "words": [{"word": word, "count": count} for word, count in self.words],
            "shared": [asdict(one) for one in self.shared],
        }

    def require(self, least: str = SERIOUS) -> None:
        """Raise RefusedError for a finding of the severity `least` or a worse one; InputError for another word."""
        check_severity(least)
        failing = SEVERITIES[: SEVERITIES.index(least) + 1]
        bad = [one for one in self.findings if one.severity in failing]
        if bad:
            named = ", ".join(dict.fromkeys(CHECKS[one.check] for one in bad))
            raise RefusedError(
                f"{self.target}: {len(bad)} of the findings are {least} or worse: {named}. "
                "Each says what fixes it; --fail-on sets another limit.",
                code="LX-EVAL-050",
            )


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings from the worst down, those alike in the order of CHECKS."""
    order = list(CHECKS)
    return sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), order.index(one.check)))


def check_severity(name: str) -> None:
    """Raise InputError unless `name` is what `--fail-on` takes."""
    if name not in FAILING:
        raise InputError(f"--fail-on {name} is not known. Choose one of: {', '.join(FAILING)}.", code="LX-EVAL-051")


def check_names(names: Sequence[str]) -> None:
    """Raise InputError unless all `names` are checks."""
    unknown = sorted(set(names) - CHECKS.keys())
    if unknown:
        raise InputError(f"--skip {unknown[0]} is not a check. Choose of: {', '.join(CHECKS)}.", code="LX-EVAL-052")
