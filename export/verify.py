"""Whether an archive is what it says it is, and from whom, without running or extracting any of it."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, RefusedError
from ..files import sha256_file
from ..handlers.digests import DIGESTS, MANIFEST, SIGNATURE, manifest_problems, read_digests
from . import keys
from .pickles import pickles
from .reader import EVIDENCE, check_schemas, open_archive, read_json
from .trust import configured, signer

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Verified:
    """An archive that holds. digest: SHA-256 of the file. members: how many are listed and unaltered.

    fingerprint: of the key that signed it, None if none has. signer: what the trusted key is called, None where none
    was given to trust.
    """

    path: Path
    name: str
    version: str
    variant: str
    digest: str
    members: int
    fingerprint: str | None
    signer: str | None


def verify(path: Path, trusted: Sequence[keys.PublicKey] | None = None) -> Verified:
    """Check members, digests, evidence and signature of an archive.

    With `trusted` keys (None: those that LEXPORT_KEYS names) an archive is refused unless one of them signed it.
    Raises RefusedError naming everything that does not hold, InputError for what is no archive of lexport's or of a
    newer one, MissingExtra for a signature without the package that checks it.
    """
    trusted = configured(trusted)
    with open_archive(path) as archive:
        members = archive.namelist()
        try:
            by = signer(*_signed(archive), trusted)
        except RefusedError as error:
            raise RefusedError(f"{path}: {error}") from None
        for needed in (DIGESTS, MANIFEST, EVIDENCE):
            if needed not in members:
                raise InputError(f"{path} has no {needed}: it was not made by `lexport archive`.")
        digests = archive.read(DIGESTS)
        try:
            problems = [*_altered(archive, digests), *(f"{name} is a Python pickle" for name in pickles(archive))]
        except ValueError as error:
            raise RefusedError(f"{path}: {error}") from None
        if problems:
            raise RefusedError(f"{path} does not hold: {'; '.join(problems)}.")
    check_schemas(path)
    manifest, evidence = read_json(path, MANIFEST), read_json(path, EVIDENCE)
    return Verified(
        path,
        *_identity(path, manifest, evidence),
        digest=sha256_file(path),
        members=len(members),
        fingerprint=None if by is None else keys.fingerprint(by),
        signer=next((key.name for key in trusted if key.raw == by), None),
    )


def _signed(archive: zipfile.ZipFile) -> tuple[bytes | None, bytes]:
    """SIGNATURE, None where there is none, and the DIGESTS that it signs."""
    members = archive.namelist()
    signed = archive.read(SIGNATURE) if SIGNATURE in members else None
    return signed, archive.read(DIGESTS) if DIGESTS in members else b""


def _altered(archive: zipfile.ZipFile, digests: bytes) -> list[str]:
    """What differs between the members and their digests. Raises ValueError for digests that are none."""
    listed = read_digests(digests.decode("utf-8"))
    present = set(archive.namelist()) - {DIGESTS, SIGNATURE}
    problems = [f"{name} is missing" for name in sorted(listed.keys() - present)]
    problems += [f"{name} is not listed" for name in sorted(present - listed.keys() - {MANIFEST})]
    if MANIFEST not in listed and "model.json" in present:
        problems += manifest_problems(archive.read(MANIFEST), archive.read("model.json"))
    for name in sorted(listed.keys() & present):
        found = hashlib.sha256()
        try:
            with archive.open(name) as member:
                while block := member.read(_BLOCK):
                    found.update(block)
        except zipfile.BadZipFile:  # its own checksum fails already
            found.update(b"damaged")
        if found.hexdigest() != listed[name]:
            problems.append(f"{name} was altered")
    return problems


def _identity(path: Path, manifest: dict[str, Any], evidence: dict[str, Any]) -> tuple[str, str, str]:
    """Name, version and variant. Raises RefusedError for evidence that names none or one that was refused."""
    try:
        model, variant = manifest["model"], str(evidence["variant"])
        name, version = str(model["modelName"]), str(model["modelVersion"])
        [own] = [one for one in evidence["variants"] if one["name"] == variant]
        refused = own["refused"]
    except (KeyError, TypeError, ValueError):
        raise RefusedError(f"{path}: {EVIDENCE} and {MANIFEST} do not say what is packed. Make it again.") from None
    if refused is not None:
        raise RefusedError(f"{path}: its own evidence says that {variant} was refused: {refused}.")
    return name, version, variant
