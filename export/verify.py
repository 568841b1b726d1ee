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
from . import keys, signature
from .contents import problems as content_problems
from .reader import EVIDENCE, check_schemas, open_archive, read_json

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


def verify(path: Path, trusted: Sequence[keys.PublicKey] = ()) -> Verified:
    """Check members, digests, evidence and signature of an archive.

    With `trusted` keys an archive is refused unless one of them signed it. Raises RefusedError naming everything
    that does not hold, InputError for what is no archive of lexport's or of a newer one, MissingExtra for a signature
    without the package that checks it.
    """
    with open_archive(path) as archive:
        members = archive.namelist()
        for needed in (DIGESTS, MANIFEST, EVIDENCE):
            if needed not in members:
                raise InputError(f"{path} has no {needed}: it was not made by `lexport archive`.")
        digests = archive.read(DIGESTS)
        try:
            by = _signer(archive, digests, trusted)
            problems = [*_altered(archive, digests), *content_problems(archive)]
        except (RefusedError, ValueError) as error:
            raise RefusedError(f"{path}: {error}") from None
        if problems:
            raise RefusedError(f"{path} does not hold: {'; '.join(problems)}.")
    check_schemas(path)
    manifest, evidence = read_json(path, MANIFEST), read_json(path, EVIDENCE)
    signer = next((key.name for key in trusted if key.raw == by), None)
    return Verified(
        path,
        *_identity(path, manifest, evidence),
        digest=sha256_file(path),
        members=len(members),
        fingerprint=None if by is None else keys.fingerprint(by),
        signer=signer,
    )


def _signer(archive: zipfile.ZipFile, digests: bytes, trusted: Sequence[keys.PublicKey]) -> bytes | None:
    """The key that signed the digests, one of those trusted if there are any; None for no signature."""
    known = " or ".join(f"{key.name} ({key.fingerprint})" for key in trusted)
    if SIGNATURE not in archive.namelist():
        if trusted:
            raise RefusedError(
                f"The archive is not signed; expected a signature by {known}. Pack it with --sign KEY."
            )
        return None
    by = signature.signer(archive.read(SIGNATURE), digests)
    if trusted and by not in {key.raw for key in trusted}:
        raise RefusedError(
            f"The archive is signed by {keys.fingerprint(by)}, expected {known}. If that signer is to be trusted, "
            "give its public key as another --key."
        )
    return by


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
