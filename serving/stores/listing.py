"""List a store: every archive with what is known of it, and damaged files with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import LexportError
from ...export.archive.format.reader import EVIDENCE, json_of, open_archive
from ...export.archive.trust.keys import PublicKey
from ...export.archive.trust.rule import configured
from ...export.archive.verify import Verified, verify_open
from ..store import Archive
from .contents import Served, digest_of, rank, scan, served


@dataclass(frozen=True)
class Measured:
    """What the evidence of an archive says of its variant."""

    metric: str
    """What the gates read, such as `accuracy`."""
    value: float
    """The metric on the test texts."""
    gates: str
    """`passed`, or `passed` with what was warned of."""
    p95_ms: float
    """Milliseconds from a text to its answer, without a server, on one thread; 95 in 100 took no longer."""


@dataclass(frozen=True)
class Entry:
    """A file of a store."""

    path: Path
    name: str | None = None
    """Of the model; None where the file cannot be read."""
    version: str | None = None
    digest: str | None = None
    """Hex SHA-256 of the file; None where it cannot be read."""
    size: int = 0
    """Bytes of the file; 0 for a folder."""
    variant: str | None = None
    """None for an archive that lexport did not make."""
    fingerprint: str | None = None
    """Of the key that signed it; None if it is not signed."""
    signer: str | None = None
    """Name of the trusted key that signed it."""
    served: bool = False
    """Whether the running server has it."""
    default: bool = False
    """Whether the running server answers with it those requests that name no version."""
    measured: Measured | None = None
    problem: str | None = None
    """Why it would not be accepted: it cannot be read, failed verification, or is not signed by a trusted key."""


def entries(store: Path, *, trusted: Sequence[PublicKey] | None = None, state_dir: Path | None = None) -> list[Entry]:
    """Return what a store holds: by name, the newest version first, and unreadable files at the end.

    Every archive is verified as `verify` does, with `trusted` keys (None: those of LEXPORT_KEYS), so each is read
    whole; what fails is an entry with its `problem`. Raises InputError if there is no such folder, SystemProblem for
    a state folder that cannot be trusted.
    """
    keys = configured(trusted)
    running = served(state_dir)
    contents = scan(store)
    found = [_entry(one, keys, running) for one in contents.archives]
    found.sort(key=lambda entry: str(entry.path), reverse=True)
    found.sort(key=lambda entry: rank(entry.version or ""), reverse=True)
    found.sort(key=lambda entry: entry.name or "")
    return found + [Entry(one.path, size=_size(one.path), problem=one.reason) for one in contents.unreadable]


def _entry(archive: Archive, keys: Sequence[PublicKey], running: Served) -> Entry:
    known = Entry(
        archive.path,
        archive.name,
        archive.version,
        size=_size(archive.path),
        served=(archive.name, archive.version) in running.versions,
        default=running.defaults.get(archive.name) == archive.version,
    )
    try:
        known = replace(known, digest=digest_of(archive.path))
        if not (archive.made_by_lexport or keys):
            return known
        verified, measured = verified_with_figures(archive.path, keys)
    except (LexportError, OSError) as error:
        return replace(known, problem=str(error))
    return replace(
        known,
        digest=verified.digest,
        variant=verified.variant,
        fingerprint=verified.fingerprint,
        signer=verified.signer,
        measured=measured,
    )


def verified_with_figures(path: Path, keys: Sequence[PublicKey]) -> tuple[Verified, Measured | None]:
    """Verify an archive, and return also what its evidence says of its variant. Raises as `verify` does."""
    with open_archive(path) as opened:
        verified = verify_open(path, opened, keys)
        return verified, _measured(json_of(opened, EVIDENCE), verified.variant)


def _measured(evidence: Mapping[str, Any], variant: str) -> Measured | None:
    """Return the figures of a variant; None for evidence that does not have them as lexport writes them."""
    try:
        own = next(one for one in evidence["variants"] if one["name"] == variant)
        metric = evidence["run"]["metric"]
        warning = own["warning"]
        return Measured(
            str(metric),
            float(own["test"][metric]),
            "passed" if warning is None else f"passed, with a warning: {warning}",
            float(own["latency"]["1"]["1"]["p95_ms"]),
        )
    except (LookupError, TypeError, ValueError, StopIteration):
        return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
