"""Read the facts of an archive for people. The archive is verified first."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from ...errors import RefusedError
from .format.reader import EVIDENCE, json_of, open_archive, read_member
from .trust.keys import PublicKey
from .trust.rule import configured
from .verify import count_goldens, verify_open


@dataclass(frozen=True)
class Inspection:
    """The facts of an archive."""

    path: Path
    """The archive."""
    name: str
    """Name of the model."""
    version: str
    """Version of the model."""
    variant: str
    """Name of the variant."""
    size: int
    """Bytes of the file."""
    fingerprint: str | None
    """Fingerprint of the key that signed it; None if it is not signed."""
    members: dict[str, int]
    """Bytes of each member."""
    needs: dict[str, str]
    """Packages that a worker needs, with their versions."""
    goldens: int
    """Number of golden requests."""
    evidence: dict[str, Any]
    """The evidence of the run's variants."""
    card: str
    """The model card, in Markdown."""


def inspect(path: Path, trusted: Sequence[PublicKey] | None = None) -> Inspection:
    """Return the facts of an archive that passes `verify`; the file is opened once. Raises as `verify` does.

    Archives that lexport did not make are described by `foreign.describe_foreign`.
    """
    trusted = configured(trusted)
    with open_archive(path) as archive:
        verified = verify_open(path, archive, trusted)
        return Inspection(
            path,
            verified.name,
            verified.version,
            verified.variant,
            cast(BinaryIO, archive.fp).seek(0, 2),
            verified.fingerprint,
            {member.filename: member.file_size for member in archive.infolist()},
            _needs(archive),
            count_goldens(archive),
            json_of(archive, EVIDENCE),
            _text(archive, "README.md"),
        )


def _needs(archive: zipfile.ZipFile) -> dict[str, str]:
    needs = {}
    for number, line in enumerate(_text(archive, "requirements.txt").splitlines(), 1):
        package, separator, version = line.partition("==")
        if not separator:
            raise RefusedError(
                f"{archive.filename}: requirements.txt, line {number} is not `package==version`: {line[:80]!r}.",
                code="LX-ARCHIVE-015",
            )
        needs[package] = version
    return needs


def _text(archive: zipfile.ZipFile, name: str) -> str:
    try:
        return read_member(archive, name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(f"{archive.filename}: {name} is not UTF-8: {error}.", code="LX-ARCHIVE-016") from None
