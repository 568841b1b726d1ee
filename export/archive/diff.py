"""Compare two archives: their measurements, vocabularies, answers and members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...handlers.model.digests import DIGESTS, MANIFEST, SIGNATURE, read_digests
from ...handlers.model.goldens import Golden, read_goldens
from ...handlers.text.files import load_encoder
from ..evidence.load import LoadEvidence, read_load
from .format.reader import EVIDENCE
from .inprocess import LoadedArchive, load_archive
from .trust.keys import PublicKey
from .trust.rule import configured

# A vector counts as another answer below this cosine.
_SAME_DIRECTION = 0.99


@dataclass(frozen=True)
class Side:
    """One of the two archives."""

    name: str
    """Name of the model."""
    version: str
    """Version of the model."""
    variant: str
    """Name of the variant."""
    task: str
    """The model's task."""
    metric: str
    """Name of the metric."""
    value: float
    """The metric on its own test texts."""
    data: str
    """Digest of the rows it was trained on."""
    size: int
    """Bytes of the model files."""
    latency: dict[str, float]
    """Milliseconds by batch size."""
    load: LoadEvidence | None = None
    """The load test in its evidence; None without one."""


@dataclass(frozen=True)
class Flip:
    """A golden request with different answers."""

    text: str
    """The text of the request."""
    before: str
    """Answer of the first archive."""
    after: str
    """Answer of the second archive."""
    difference: float
    """The largest difference of the scores, or 1 - cosine of the vectors."""


@dataclass(frozen=True)
class Comparison:
    """The differences between two archives."""

    before: Side
    """The first archive."""
    after: Side
    """The second archive."""
    members: dict[str, str]
    """Members that differ or that only one archive has: `differs`, `only before` or `only after` by name."""
    words_added: list[str]
    """Words of the second vocabulary only, sorted."""
    words_gone: list[str]
    """Words of the first vocabulary only, sorted."""
    asked: int
    """Number of golden requests, of both archives, that both answered."""
    flips: list[Flip]
    """Requests with different answers, the largest difference first."""
    largest_difference: float
    """The largest difference over all requests."""
    answers: str | None
    """Why no answers were compared; None if they were."""

    @property
    def same(self) -> bool:
        """Whether the archives have the same members."""
        return not self.members


def compare(before: Path, after: Path, *, trusted: Sequence[PublicKey] | None = None) -> Comparison:
    """Compare two archives. Each answers the goldens of both.

    With `trusted` keys (None: those that LEXPORT_KEYS names) one of them must have signed each. Raises InputError for
    a file that is not an archive or from a newer lexport; RefusedError for one that was not made by lexport; both and
    SystemProblem as `inprocess.load_archive` does.
    """
    trusted = configured(trusted)
    with load_archive(before, trusted=trusted) as one, load_archive(after, trusted=trusted) as other:
        members = _members(one, other)
        words = [set(load_encoder(archived.folder).vocabulary) for archived in (one, other)]
        sides = _side(before, one), _side(after, other)
        asked: Sequence[Golden] = []
        reason = _reason_not_comparable(*sides)
        flips: list[Flip] = []
        largest = 0.0
        if reason is None:
            asked = _common_goldens(one, other)
            flips, largest = _flips(asked, _answers(one, asked), _answers(other, asked))
    return Comparison(
        before=sides[0],
        after=sides[1],
        members=members,
        words_added=sorted(words[1] - words[0]),
        words_gone=sorted(words[0] - words[1]),
        asked=len(asked),
        flips=flips,
        largest_difference=largest,
        answers=reason,
    )


def _members(*archives: LoadedArchive) -> dict[str, str]:
    one, other = (_digests(archived.folder) for archived in archives)
    found = {}
    for name in sorted(one.keys() | other.keys()):
        if name not in other:
            found[name] = "only before"
        elif name not in one:
            found[name] = "only after"
        elif one[name] != other[name]:
            found[name] = "differs"
    return found


def _digests(folder: Path) -> dict[str, str]:
    """Return the digests of an extracted archive, and its signature, which they cannot include."""
    own = read_digests((folder / DIGESTS).read_text(encoding="utf-8"))
    signed = folder / SIGNATURE
    return own | ({SIGNATURE: signed.read_bytes().hex()} if signed.is_file() else {})


def _side(path: Path, archived: LoadedArchive) -> Side:
    evidence, manifest = archived.read(EVIDENCE), archived.read(MANIFEST)
    try:
        run, variant = evidence["run"], str(evidence["variant"])
        [own] = [one for one in evidence["variants"] if one["name"] == variant]
        return Side(
            name=str(manifest["model"]["modelName"]),
            version=str(manifest["model"]["modelVersion"]),
            variant=variant,
            task=str(run["task"]),
            metric=str(run["metric"]),
            value=float(own["test"][run["metric"]]),
            data=str(run["data"]["digest"]),
            size=int(own["size"]),
            latency={size: float(times["median_ms"]) for size, times in own["latency"]["1"].items()},
            load=read_load(evidence["load"]) if "load" in evidence else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(
            f"{path}: {EVIDENCE} does not have the measurements. Make the archive again.", code="LX-ARCHIVE-005"
        ) from None


def _reason_not_comparable(before: Side, after: Side) -> str | None:
    if before.task != after.task:
        return f"their tasks differ, {before.task} and {after.task}"
    return None


def _common_goldens(one: LoadedArchive, other: LoadedArchive) -> list[Golden]:
    """Return the goldens of both archives, each request once, only in languages that both know."""
    chosen: dict[Any, Golden] = {}
    known = [set(load_encoder(archived.folder).languages) for archived in (one, other)]
    for archived in (one, other):
        for golden in read_goldens(archived.folder / "golden.jsonl"):
            speaks = golden.lang is None if not any(known) else all(golden.lang in own for own in known)
            if golden.image is None and speaks:
                chosen.setdefault((golden.text, golden.lang), golden)
    return list(chosen.values())


def _answers(archived: LoadedArchive, asked: Sequence[Golden]) -> list[dict[str, Any]]:
    if not asked:
        return []
    languages = [golden.lang or "" for golden in asked] if asked[0].lang is not None else None
    return archived.predict([golden.text for golden in asked], languages)


def _flips(
    asked: Sequence[Golden], before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]
) -> tuple[list[Flip], float]:
    found = []
    largest = 0.0
    for golden, one, other in zip(asked, before, after, strict=True):
        if "vector" in one:
            difference = _cosine_distance(one["vector"], other["vector"])
            differs = difference > 1 - _SAME_DIRECTION
        else:
            scores = one["scores"], other["scores"]
            difference = max(
                abs(scores[0].get(label, 0.0) - scores[1].get(label, 0.0)) for label in {**scores[0], **scores[1]}
            )
            differs = _describe(one) != _describe(other)
        largest = max(largest, difference)
        if differs:
            found.append(Flip(golden.text, _describe(one), _describe(other), difference))
    return sorted(found, key=lambda flip: -flip.difference), largest


def _cosine_distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Return 1 - cosine of two unit vectors; 1 if their dimensions differ.

    It is computed from their distance, because an empty text may have a vector of zeros.
    """
    if len(one) != len(other):
        return 1.0
    return float(np.square(np.array(one) - np.array(other)).sum() / 2)


def _describe(answer: dict[str, Any]) -> str:
    if "vector" in answer:
        return "a vector of " + str(len(answer["vector"]))
    if "labels" in answer:
        return ", ".join(sorted(one["label"] for one in answer["labels"])) or "no label"
    return str(answer["label"])
