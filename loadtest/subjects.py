"""What is under test: archives, the evidence they carry, and the texts that are sent to them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..export.reader import EVIDENCE
from ..serving.store import read

# Their lines hold more than a text, or none.
_NOT_TEXTS = {".csv", ".tsv", ".parquet", ".gz", ".bz2", ".xz", ".zst"}


@dataclass(frozen=True)
class Subject:
    """An archive under test; `label` tells it apart in the report."""

    path: Path
    label: str
    model: str
    evidence: Mapping[str, Any]  # MAR-INF/EVIDENCE.json, empty where there is none


def subjects(archives: Sequence[Path]) -> list[Subject]:
    """Read the archives. Raises InputError for a bad one or for two that cannot be told apart."""
    found = [read(path) for path in archives]
    labels = [f"{archive.name}-{archive.version}" for archive in found]
    if len(set(labels)) < len(labels):  # variants of one run
        labels = [path.stem for path in archives]
    if len(set(labels)) < len(labels):
        raise InputError(
            f"Two archives are called {', '.join(sorted(set(labels)))}; rename one, so that the report can tell "
            "them apart."
        )
    return [
        Subject(archive.path, label, archive.name, evidence(archive.path))
        for archive, label in zip(found, labels, strict=True)
    ]


def evidence(archive: Path) -> dict[str, Any]:
    """The evidence packed in an archive; empty where there is none or it is not a JSON object."""
    with zipfile.ZipFile(archive) as members:
        content = members.read(EVIDENCE) if EVIDENCE in members.namelist() else b"{}"
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def golden_texts(archive: Path) -> list[str]:
    """The texts of an archive's golden requests; none where it was packed without them."""
    with zipfile.ZipFile(archive) as members:
        content = members.read("golden.jsonl") if "golden.jsonl" in members.namelist() else b""
    try:
        goldens = [json.loads(line) for line in content.splitlines() if line.strip()]
    except ValueError:
        return []
    return [golden["text"] for golden in goldens if isinstance(golden, dict) and isinstance(golden.get("text"), str)]


def texts_file(texts: Path | Sequence[str] | None, subject: Subject, folder: Path) -> Path | None:
    """A file of texts for the locustfile, made in `folder` where needed; None if nobody has any.

    Raises InputError if a named file is missing.
    """
    if isinstance(texts, Path):
        if not texts.is_file():
            raise InputError(f"There is no file {texts}. Expected texts, one a line, or JSON lines with a text.")
        if texts.suffix.lower() in _NOT_TEXTS:
            raise InputError(f"{texts} is not a file of texts. Expected a text a line, or JSON lines with a text.")
        try:
            content = texts.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{texts} cannot be read as UTF-8 text: {error}. Expected texts, one a line.") from None
        if texts.suffix in {".jsonl", ".ndjson"}:
            for number, line in enumerate(content.split("\n"), 1):
                try:
                    str(json.loads(line)["text"]) if line.strip() else ""
                except (ValueError, KeyError, TypeError):
                    raise InputError(f'{texts}, line {number:,} is not a JSON object with a "text".') from None
        if not content.strip():
            raise InputError(f"{texts} holds no text. Expected texts, one a line, or JSON lines with a text.")
        return texts.resolve()
    kept = [text for text in (golden_texts(subject.path) if texts is None else texts) if text.strip()]
    if not kept:
        return None
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in kept), encoding="utf-8")
    return path


def texts_in_words(texts: Path | Sequence[str] | None) -> str:
    """Where the texts come from, for the report."""
    if texts is None:
        return "the archive's golden requests"
    return texts.name if isinstance(texts, Path) else f"{len(texts):,} texts given by the caller"
