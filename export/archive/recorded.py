"""What changes for the texts of a recording if an archive of lexport's answers them: labels, scores, latency."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...handlers.model.decoders import DECODERS
from .format.reader import EVIDENCE
from .inprocess import load_archive
from .recordings import SHAPES, Recorded, digest_of, label_of, read_recording, read_texts, scores_of, several
from .trust.keys import PublicKey


@dataclass(frozen=True)
class Change:
    """A text that the two answer differently. difference: the largest of the scores of labels that both name."""

    text: str
    before: str
    after: str
    before_score: float | None
    after_score: float | None
    difference: float | None


@dataclass(frozen=True)
class Times:
    """Milliseconds from a text to its answer, one at a time."""

    median: float
    p95: float


@dataclass(frozen=True)
class AgainstRecording:
    """A recording held against an archive.

    source, way, created: what the recording says. archive, name, version, variant: of lexport's. asked: texts that
    both answered; failed: texts without an answer in the recording; unread: answers without a label that is read, and
    example, one of them. flips: texts with another label, the surest first. differences: the mean and the largest
    difference of scores over all texts, None where the recording has no scores that both name. before, after: times.
    labels_before, labels_after: labels that only one of the two gave.
    """

    source: str
    way: str
    created: str
    archive: Path
    name: str
    version: str
    variant: str
    asked: int
    failed: int
    unread: int
    example: str
    flips: list[Change]
    mean_difference: float | None
    largest_difference: float | None
    before: Times
    after: Times
    labels_before: list[str]
    labels_after: list[str]

    @property
    def flip_share(self) -> float:
        """Texts with another label among those compared, 0 to 1."""
        return len(self.flips) / self.asked


def compare_recording(
    recording: Path, mar: Path, *, texts: Path | None = None, trusted: Sequence[PublicKey] | None = None
) -> AgainstRecording:
    """Ask an archive of lexport's for the texts of a recording, one at a time, in this process, and compare.

    `texts` are those of a recording without texts, in a data file or a .txt file. A label of the recording is the one
    of the same letters in the archive. Raises InputError for a recording that cannot be read, without texts, or of
    whose answers no label can be read; the rest as `inprocess.load_archive` does.
    """
    found = read_recording(recording)
    lines = _with_texts(recording, found.lines, texts)
    answered = [line for line in lines if line.error is None]
    read = [(line, said) for line in answered if (said := label_of(line.answer)) is not None]
    unread = [line for line in answered if label_of(line.answer) is None]
    if not read:
        example = _short(unread[0].answer) if unread else "none"
        raise InputError(
            f"{recording}: no answer has a label that can be read (the first: {example}). Read are: {SHAPES}.",
            code="LX-ARCHIVE-024",
        )
    flips, differences, times = [], [], []
    given: set[str] = set()
    with load_archive(mar, trusted=trusted) as archived:
        evidence, model = archived.read(EVIDENCE), archived.read("model.json")
        if not DECODERS[model["task"]].GIVES_SCORES:
            raise InputError(
                f"{mar} answers with vectors, which have no label. Compare it with: lexport diff A.mar B.mar",
                code="LX-ARCHIVE-025",
            )
        archived.predict([read[0][0].text or ""])
        for line, (label, score) in read:
            assert line.text is not None
            began = time.perf_counter()
            [answer] = archived.predict([line.text])
            times.append((time.perf_counter() - began) * 1000)
            after, after_score = _own(answer)
            given.add(after)
            difference = _difference(scores_of(line.answer), answer["scores"])
            if difference is not None:
                differences.append(difference)
            if label != after:
                flips.append(Change(line.text, label, after, score, after_score, difference))
    return AgainstRecording(
        source=str(found.head.get("source", "")),
        way=str(found.head.get("way", "")),
        created=str(found.head.get("created", "")),
        archive=mar,
        name=str(model["name"]),
        version=str(model["version"]),
        variant=str(evidence["variant"]),
        asked=len(read),
        failed=len(lines) - len(answered),
        unread=len(unread),
        example=_short(unread[0].answer) if unread else "",
        flips=sorted(flips, key=lambda flip: (-(flip.difference or 0.0), -(flip.after_score or 0.0))),
        mean_difference=sum(differences) / len(differences) if differences else None,
        largest_difference=max(differences, default=None),
        before=_times([line.latency_ms for line, _ in read]),
        after=_times(times),
        labels_before=sorted({label for _, (label, _) in read} - given),
        labels_after=sorted(given - {label for _, (label, _) in read}),
    )


def _with_texts(recording: Path, lines: Sequence[Recorded], texts: Path | None) -> list[Recorded]:
    """Return the lines with their texts, found by their digests where the recording has none. Raises InputError."""
    if all(line.text is not None for line in lines):
        return list(lines)
    if texts is None:
        raise InputError(
            f"{recording} holds no texts, only their digests. Give the file of them with --texts FILE.",
            code="LX-ARCHIVE-026",
        )
    known = {digest_of(text): text for text in read_texts(texts)}
    found = [
        Recorded(line.digest, known[line.digest], line.answer, line.latency_ms, line.error)
        for line in lines
        if line.digest in known
    ]
    if len(found) < len(lines):
        raise InputError(
            f"{texts} lacks {len(lines) - len(found):,} of the {len(lines):,} texts of {recording}. Give the file "
            "that was recorded.",
            code="LX-ARCHIVE-027",
        )
    return found


def _own(answer: dict[str, Any]) -> tuple[str, float | None]:
    """Label and score of an answer of lexport's; several labels become one string."""
    if "labels" in answer:
        return several(one["label"] for one in answer["labels"]), None
    return str(answer["label"]), float(answer["score"])


def _difference(before: dict[str, float], after: dict[str, float]) -> float | None:
    both = before.keys() & after.keys()
    return max((abs(before[label] - after[label]) for label in both), default=None)


def _times(values: Sequence[float]) -> Times:
    ordered = sorted(values)
    return Times(ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)])


def _short(answer: Any) -> str:
    told = repr(answer)
    return told if len(told) <= 120 else f"{told[:119]}…"
