"""Verify the content and the signature of an archive, without running or extracting any of it."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ...errors import RefusedError
from ...handlers.model.digests import DIGESTS, MANIFEST, SIGNATURE, manifest_problems, read_digests
from ..evidence.load import model_digest
from ..formats.files import GOLDENS, MODEL, REQUIREMENTS, SYNTHETIC, without_name
from .format.contents import problems as content_problems
from .format.manifest import NAME, VERSION
from .format.reader import EVIDENCE, blocks, check_schemas_of, json_of, open_archive, read_member
from .sbom import SBOM
from .trust import keys
from .trust.rule import configured, signer

# What every archive has beside the variant's files and the run's, which its evidence lists.
_ALWAYS = {
    "handler.py",
    GOLDENS,
    MODEL,
    "model-config.yaml",
    REQUIREMENTS,
    MANIFEST,
    EVIDENCE,
    SBOM,
    DIGESTS,
}
_HANDLERS = re.compile(r"lexport_handlers/(?:[A-Za-z_][A-Za-z0-9_]*/)?[A-Za-z_][A-Za-z0-9_]*\.py")
_TOLD = 20  # problems at most


@dataclass(frozen=True)
class Verified:
    """An archive that passed every check."""

    path: Path
    """The archive."""
    name: str
    """Name of the model."""
    version: str
    """Version of the model."""
    variant: str
    """Name of the variant."""
    digest: str
    """SHA-256 of the file."""
    members: int
    """Number of members, all listed and unchanged."""
    fingerprint: str | None
    """Fingerprint of the key that signed it; None if it is not signed."""
    signer: str | None
    """Name of the trusted key; None if no keys are trusted."""


def verify(path: Path, trusted: Sequence[keys.PublicKey] | None = None) -> Verified:
    """Check members, digests, evidence and signature of an archive, all read from the file opened once.

    A folder that an archive was unpacked into is checked as the archive that it makes.
    With `trusted` keys (None: those that LEXPORT_KEYS names) an archive is refused unless one of them signed it.
    Raises RefusedError with everything that failed, and for an archive that lexport did not make
    (`foreign.describe_foreign` describes it); InputError for a file that is not an archive or from a newer lexport,
    MissingExtra for a signature without the package that checks it.
    """
    trusted = configured(trusted)
    with open_archive(path) as archive:
        return verify_open(path, archive, trusted)


def verify_open(path: Path, archive: zipfile.ZipFile, trusted: Sequence[keys.PublicKey] = ()) -> Verified:
    """Check an archive that `open_archive` has opened. Raises as `verify` does."""
    members = archive.namelist()
    digests = read_member(archive, DIGESTS) if DIGESTS in members else b""
    try:
        by = signer(read_member(archive, SIGNATURE) if SIGNATURE in members else None, digests, trusted)
    except RefusedError as error:
        raise RefusedError(f"{path}: {error}", code=error.code) from None
    for needed in (DIGESTS, MANIFEST, EVIDENCE):
        if needed not in members:
            raise RefusedError(
                f"{path} has no {needed}: it was not made by `lexport archive`, and nothing in it can be verified. "
                "See what is in it with: lexport inspect",
                code="LX-ARCHIVE-036",
            )
    try:
        listed = read_digests(digests.decode("utf-8"))
        altered = _altered(archive, listed)
    except ValueError as error:
        raise RefusedError(f"{path}: {error}", code="LX-ARCHIVE-037") from None
    _refuse(path, altered and [*altered, *content_problems(archive)])
    check_schemas_of(archive)
    evidence, manifest = json_of(archive, EVIDENCE), json_of(archive, MANIFEST)
    name, version, variant, own = _identity(path, manifest, evidence)
    problems = [
        *_members(members, own),
        *_proven(listed, own),
        *_model(archive, variant, own["variant"]),
        *_load(evidence),
        *content_problems(archive),
    ]
    _refuse(path, problems)
    return Verified(
        path,
        name,
        version,
        variant,
        digest=sha256_of(archive),
        members=len(members),
        fingerprint=None if by is None else keys.fingerprint(by),
        signer=next((key.name for key in trusted if key.raw == by), None),
    )


def _refuse(path: Path, problems: Sequence[str]) -> None:
    if problems:
        more = f"; and {len(problems) - _TOLD:,} more" if len(problems) > _TOLD else ""
        raise RefusedError(f"{path} failed verification: {'; '.join(problems[:_TOLD])}{more}.", code="LX-ARCHIVE-038")


def sha256_of(archive: zipfile.ZipFile) -> str:
    """Return the hex SHA-256 of an open archive's whole file, from the descriptor that the members were read from."""
    handle = cast(io.BufferedReader, archive.fp)
    handle.seek(0)
    return hashlib.file_digest(handle, "sha256").hexdigest()


def _altered(archive: zipfile.ZipFile, listed: Mapping[str, str]) -> list[str]:
    """Return the differences between the members and their digests."""
    present = set(archive.namelist()) - {DIGESTS, SIGNATURE}
    problems = [f"{name} is missing" for name in sorted(listed.keys() - present)]
    problems += [f"{name} is not listed" for name in sorted(present - listed.keys() - {MANIFEST})]
    for name in sorted(listed.keys() & present):
        found = hashlib.sha256()
        try:
            for block in blocks(archive, archive.getinfo(name)):
                found.update(block)
        except zipfile.BadZipFile:  # its own checksum fails already
            found.update(b"damaged")
        if found.hexdigest() != listed[name]:
            problems.append(f"{name} was altered")
    return problems


def _identity(
    path: Path, manifest: dict[str, Any], evidence: dict[str, Any]
) -> tuple[str, str, str, dict[str, dict[str, str]]]:
    """Return name, version and variant, and the digests of the run's and the variant's files by "run" and "variant".

    Raises RefusedError if the evidence names no variant, or one that was refused.
    """
    try:
        variant, model = evidence["variant"], manifest["model"]
        name, version = model["modelName"], model["modelVersion"]
        [own] = [one for one in evidence["variants"] if one["name"] == variant]
        refused = own["refused"]
        digests = {"run": evidence["run"]["digests"], "variant": own["digests"]}
        if not all(isinstance(one, dict) for one in digests.values()):
            raise TypeError("no digests")
    except (KeyError, TypeError, ValueError):
        raise RefusedError(
            f"{path}: {EVIDENCE} and {MANIFEST} do not say what is packed. Make it again.", code="LX-ARCHIVE-039"
        ) from None
    for what, value, pattern in (
        ("modelName", name, NAME),
        ("modelVersion", version, VERSION),
        ("variant", variant, NAME),
    ):
        if not isinstance(value, str) or not pattern.fullmatch(value):
            signs = "'.', '_', '-' and '+'" if pattern is VERSION else "'.', '_' and '-'"
            raise RefusedError(
                f"{path}: its {what} is {repr(value)[:80]}. Only letters, digits, {signs} are allowed. "
                "Make it again.",
                code="LX-ARCHIVE-040",
            )
    if refused is not None:
        told = refused if isinstance(refused, str) and refused.isprintable() else repr(refused)
        raise RefusedError(
            f"{path}: its evidence says that {variant} was refused: {told[:1000]}.", code="LX-ARCHIVE-041"
        )
    return name, version, variant, digests


def _members(members: Sequence[str], own: dict[str, dict[str, str]]) -> list[str]:
    """Return the members that are missing, and those that no archive of lexport has."""
    expected = _ALWAYS | own["run"].keys() | own["variant"].keys() - {SYNTHETIC}
    unexpected = [one for one in members if one not in {*expected, SIGNATURE} and not _HANDLERS.fullmatch(one)]
    return [
        *(f"{name} is missing" for name in sorted(expected - set(members))),
        *(f"{name} is not a member of a lexport archive" for name in sorted(unexpected)),
    ]


def _proven(listed: Mapping[str, str], own: dict[str, dict[str, str]]) -> list[str]:
    """Return the files that differ from those that were measured; there are two files of goldens.

    `_model` compares `model.json`, which was given a name.
    """
    files = own["run"] | own["variant"]
    files = {name: digest for name, digest in files.items() if name not in (GOLDENS, SYNTHETIC, MODEL)}
    differing = [name for name in sorted(files) if name in listed and listed[name] != files[name]]
    if GOLDENS in listed and listed[GOLDENS] not in [own["variant"].get(name) for name in (GOLDENS, SYNTHETIC)]:
        differing.append(GOLDENS)
    return [f"{name} is not the file of the evidence" for name in differing]


def _model(archive: zipfile.ZipFile, variant: str, exported: Mapping[str, str]) -> list[str]:
    """Return contradictions to model.json, and whether there are no goldens."""
    names = archive.namelist()
    problems = []
    if MODEL in names:
        problems = manifest_problems(read_member(archive, MANIFEST), read_member(archive, MODEL))
        fields = json_of(archive, MODEL)
        packed = fields.get("variant")
        if packed != variant:
            problems.append(f"{MODEL} names the variant {repr(packed)[:80]}, the evidence {variant}")
        # An earlier lexport wrote it into the archive alone.
        elif MODEL in exported and hashlib.sha256(without_name(fields)).hexdigest() != exported[MODEL]:
            problems.append(f"{MODEL} is not the file of the evidence")
    if GOLDENS in names and count_goldens(archive) == 0:
        problems.append(f"{GOLDENS} has no golden request, so a worker could not check itself")
    return problems


def _load(evidence: Mapping[str, Any]) -> list[str]:
    """Return whether a load test in the evidence is of another model."""
    load = evidence.get("load")
    if load is None or (isinstance(load, dict) and load.get("model") == model_digest(evidence)):
        return []
    return ["the load test in the evidence was measured on another model"]


def count_goldens(archive: zipfile.ZipFile) -> int:
    """Return the number of lines of the archive's golden.jsonl."""
    lines, last = 0, b"\n"
    for block in blocks(archive, archive.getinfo(GOLDENS)):
        lines, last = lines + block.count(b"\n"), block[-1:]
    return lines + (last != b"\n")
