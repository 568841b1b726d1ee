"""Recordings: a model's answers to some texts, kept in a JSONL file, whoever made the model.

The first line says what was asked, when and where; each line after it holds a text, or its SHA-256 in recordings
without texts, the answer as the server gave it, or the error, and how long it took. docs/migrate.md has the fields.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.load import Columns, load
from ...errors import InputError
from ...storage.atomic import write_file

SCHEMA = 1
KIND = "lexport recording"
SHAPES = (
    'an object with "label", "prediction" or "class"; a string; an object of labels and their scores; a list of one '
    'of these; a list of objects with "label" and "score"; an object with such a list as "labels"'
)
_LABELS = ("label", "prediction", "class")
_SCORES = ("score", "probability", "confidence")


@dataclass(frozen=True)
class Recorded:
    """One text and its answer."""

    digest: str
    """SHA-256 of the text."""
    text: str | None
    """The text; None in recordings without texts."""
    answer: Any
    """A JSON value; a string if the server's answer was not JSON."""
    latency_ms: float
    """Time to the answer, in milliseconds."""
    error: str | None = None
    """Why there is no answer; None if there is one."""


@dataclass(frozen=True)
class Recording:
    """A recording of answers."""

    head: Mapping[str, Any]
    """The values of the first line."""
    lines: Sequence[Recorded]
    """One for each text, in order."""


def digest_of(text: str) -> str:
    """Return the hex SHA-256 of a text's UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_texts(source: Path, column: str = "text") -> list[str]:
    """Return the texts of a data file's `column` (or of a sample set), or the lines of a .txt file; each once.

    Raises InputError as `models.data.load` does, and for a file without texts.
    """
    if source.suffix.lower() != ".txt":
        return list(load(str(source), Columns(text=column, label=None)).texts)
    try:
        content = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{source} cannot be read as UTF-8 text: {error}. Expected one text per line.", code="LX-ARCHIVE-028"
        ) from None
    texts = [line.strip() for line in content.split("\n") if line.strip()]
    if not texts:
        raise InputError(f"{source} has no text. Expected one text per line.", code="LX-ARCHIVE-029")
    return list(dict.fromkeys(texts))


def write_recording(target: Path, head: Mapping[str, Any], lines: Sequence[Recorded], *, texts: bool) -> Path:
    """Write a recording, completely or not at all; without `texts` with their digests. Raises InputError."""
    rows: list[dict[str, Any]] = [{"kind": KIND, "schema": SCHEMA, **head, "texts": texts}]
    for line in lines:
        asked = {"text": line.text} if texts else {"text_sha256": line.digest}
        said = {"answer": line.answer} if line.error is None else {"error": line.error}
        rows.append(asked | said | {"latency_ms": round(line.latency_ms, 3)})
    return write_file(target, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def is_recording(path: Path) -> bool:
    """Return whether a file begins as a recording does, not as an archive."""
    try:
        with path.open("rb") as handle:
            return handle.read(1) == b"{"
    except OSError:
        return False


def read_recording(path: Path) -> Recording:
    """Return a recording. Raises InputError for a file that is not one or from a newer lexport, with the line."""
    number = 0
    lines = []
    try:
        with path.open(encoding="utf-8") as handle:
            head = json.loads(handle.readline())
            if head["kind"] != KIND or type(head["schema"]) is not int:
                raise TypeError
            if head["schema"] > SCHEMA:
                raise InputError(
                    f"{path} has schema {head['schema']}, this version reads {SCHEMA}; update lexport.",
                    code="LX-ARCHIVE-030",
                )
            for row in handle:
                number += 1
                lines.append(_recorded(json.loads(row)))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.", code="LX-ARCHIVE-031") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            f"{path}, line {number + 1:,} is not in the format of `lexport record`. Record the answers again.",
            code="LX-ARCHIVE-032",
        ) from None
    if not lines:
        raise InputError(
            f"{path} has no answers. Record them with: lexport record MAR TEXTS --out {path}", code="LX-ARCHIVE-033"
        )
    return Recording(head, lines)


def _recorded(row: dict[str, Any]) -> Recorded:
    text = row.get("text")
    error = row.get("error")
    if not isinstance(text, str | None) or not isinstance(error, str | None):
        raise TypeError
    if "answer" not in row and error is None:
        raise KeyError("answer")
    digest = digest_of(text) if text is not None else str(row["text_sha256"])
    return Recorded(digest, text, row.get("answer"), float(row["latency_ms"]), error)


def label_of(answer: Any) -> tuple[str, float | None] | None:
    """Return the label of an answer of one of SHAPES, and its score where it has one; None for any other answer."""
    if isinstance(answer, str):
        return (answer.strip(), None) if answer.strip() else None
    if isinstance(answer, list):
        if len(answer) == 1:
            return label_of(answer[0])
        found = [label_of(one) for one in answer if isinstance(one, dict) and "label" in one]
        scored = [(score, label) for label, score in filter(None, found) if score is not None]
        return max(scored)[::-1] if scored and len(scored) == len(answer) else None
    if not isinstance(answer, dict):
        return None
    for name in _LABELS:
        if isinstance(answer.get(name), str | int) and not isinstance(answer[name], bool):
            scores = [answer[key] for key in _SCORES if _is_number(answer.get(key))]
            return str(answer[name]), float(scores[0]) if scores else None
    labels = answer.get("labels")
    if isinstance(labels, list) and all(
        isinstance(one, dict) and isinstance(one.get("label"), str) for one in labels
    ):
        return several(one["label"] for one in labels), None
    if answer and all(map(_is_number, answer.values())):
        label = max(answer, key=answer.__getitem__)
        return label, float(answer[label])
    return None


def several(labels: Iterable[str]) -> str:
    """Return several labels of a text, or none, as one string."""
    return ", ".join(sorted(labels)) or "no label"


def scores_of(answer: Any) -> dict[str, float]:
    """Return the score of every label that an answer scores."""
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, list):
        return {label: score for label, score in filter(None, map(label_of, answer)) if score is not None}
    if isinstance(answer, dict) and isinstance(answer.get("scores"), dict):
        answer = answer["scores"]
    if isinstance(answer, dict) and answer and all(map(_is_number, answer.values())):
        return {label: float(score) for label, score in answer.items()}
    found = label_of(answer)
    return {} if found is None or found[1] is None else {found[0]: found[1]}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
