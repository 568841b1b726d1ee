"""The targets of a load test: archives, their evidence, and the texts that are sent to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..export.archive.format.budgets import parse_json
from ..export.archive.format.reader import EVIDENCE, open_archive, read_member
from ..export.formats.files import GOLDENS
from ..serving.store import read

# A line of these files is not exactly one text.
_NOT_TEXTS = {".csv", ".tsv", ".parquet", ".gz", ".bz2", ".xz", ".zst"}


@dataclass(frozen=True)
class Subject:
    """An archive under test; `label` identifies it in the report."""

    path: Path
    label: str
    model: str
    evidence: Mapping[str, Any]  # MAR-INF/EVIDENCE.json, empty where there is none
    cpu_alone: str | None = None  # why it does not run on a GPU
    any_answer: bool = False  # whether lexport did not make it, so that its answers are of any shape


def subjects(archives: Sequence[Path]) -> list[Subject]:
    """Read the archives. Raises InputError for a bad one, or for two with the same label."""
    found = [read(path) for path in archives]
    labels = [f"{archive.name}-{archive.version}" for archive in found]
    if len(set(labels)) < len(labels):  # variants of one run
        labels = [path.stem for path in archives]
    if len(set(labels)) < len(labels):
        raise InputError(
            f"Two archives are called {', '.join(sorted(set(labels)))}; rename one, because the report needs "
            "different names.",
            code="LX-LOAD-028",
        )
    return [
        Subject(
            archive.path,
            label,
            archive.name,
            evidence(archive.path),
            archive.cpu_alone,
            any_answer=not archive.made_by_lexport,
        )
        for archive, label in zip(found, labels, strict=True)
    ]


def evidence(archive: Path) -> dict[str, Any]:
    """Return the evidence packed in an archive; empty where there is none or it is not a JSON object."""
    with open_archive(archive) as members:
        if EVIDENCE not in members.namelist():
            return {}
        try:
            found = parse_json(read_member(members, EVIDENCE))
        except ValueError:
            return {}
    return found if isinstance(found, dict) else {}


def golden_requests(archive: Path) -> list[dict[str, Any]]:
    """Return an archive's golden requests: `text`, with its `lang` if it has one, or `image`.

    The list is empty if the archive was packed without them; blank texts are left out.
    """
    with open_archive(archive) as members:
        content = read_member(members, GOLDENS) if GOLDENS in members.namelist() else b""
    try:
        goldens = [parse_json(line) for line in content.splitlines() if line.strip()]
    except ValueError:
        return []
    asked = [_request(golden) for golden in goldens]
    return [request for request in asked if request]


def _request(line: Any) -> dict[str, Any] | None:
    """Return the fields of a JSON line that make a request; None if it has none."""
    if not isinstance(line, dict):
        return None
    if isinstance(line.get("image"), list):
        return {"image": line["image"]}
    if not isinstance(line.get("text"), str) or not line["text"].strip():
        return None
    return {"text": line["text"]} | ({"lang": line["lang"]} if line.get("lang") is not None else {})


def texts_file(texts: Path | Sequence[str] | None, subject: Subject, folder: Path) -> Path | None:
    """Return a file of texts or images for the locustfile, made in `folder` if needed; None if there are none.

    Raises InputError if a named file is missing.
    """
    if isinstance(texts, Path):
        _check(texts)
        return texts.resolve()
    kept = golden_requests(subject.path) if texts is None else [{"text": text} for text in texts if text.strip()]
    if not kept:
        return None
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps(request) + "\n" for request in kept), encoding="utf-8")
    return path


def _check(texts: Path) -> None:
    """Raise InputError if a file has no texts that the locustfile can read."""
    if not texts.is_file():
        raise InputError(
            f"There is no file {texts}. Expected texts, one a line, or JSON lines with a text.", code="LX-LOAD-029"
        )
    if texts.suffix.lower() in _NOT_TEXTS:
        raise InputError(
            f"{texts} is not a file of texts. Expected a text a line, or JSON lines with a text.", code="LX-LOAD-030"
        )
    try:
        content = texts.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{texts} cannot be read as UTF-8 text: {error}. Expected texts, one a line.", code="LX-LOAD-031"
        ) from None
    if texts.suffix in {".jsonl", ".ndjson"}:
        for number, line in enumerate(content.split("\n"), 1):
            try:
                found = json.loads(line) if line.strip() else {"text": ""}
                if not isinstance(found.get("image"), list):
                    str(found["text"])
            except (ValueError, KeyError, TypeError, AttributeError):
                raise InputError(
                    f'{texts}, line {number:,} is not a JSON object with a "text" or "image".', code="LX-LOAD-032"
                ) from None
    if not content.strip():
        raise InputError(
            f"{texts} has no text. Expected texts, one a line, or JSON lines with a text.", code="LX-LOAD-033"
        )


def texts_in_words(texts: Path | Sequence[str] | None) -> str:
    """Return where the texts come from, for the report."""
    if texts is None:
        return "the archive's golden requests"
    return texts.name if isinstance(texts, Path) else f"{len(texts):,} texts given by the caller"
