"""What an archive says of itself, gathered for a person to read. It is verified first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .keys import PublicKey
from .reader import EVIDENCE, open_archive, read_json
from .verify import verify


@dataclass(frozen=True)
class Inspection:
    """members: bytes of each. needs: the packages of a worker, with versions. goldens: how many. card: Markdown."""

    path: Path
    name: str
    version: str
    variant: str
    size: int
    fingerprint: str | None
    members: dict[str, int]
    needs: dict[str, str]
    goldens: int
    evidence: dict[str, Any]
    card: str


def inspect(path: Path, trusted: Sequence[PublicKey] | None = None) -> Inspection:
    """Read an archive that holds. Raises as `verify` does."""
    verified = verify(path, trusted)
    with open_archive(path) as archive:
        members = {member.filename: member.file_size for member in archive.infolist()}
        card, goldens, needs = (
            archive.read(name).decode("utf-8") for name in ("README.md", "golden.jsonl", "requirements.txt")
        )
    return Inspection(
        path,
        verified.name,
        verified.version,
        verified.variant,
        path.stat().st_size,
        verified.fingerprint,
        members,
        dict(line.split("==", 1) for line in needs.splitlines()),
        goldens.count("\n"),
        read_json(path, EVIDENCE),
        card,
    )
