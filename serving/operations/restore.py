"""Start a server with what it served before: all versions, their workers, and the defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...export.archive.trust.keys import PublicKey
from ...storage.progress import Say, silent
from .. import folders
from .. import record as records
from ..record import Deployed, Record
from ..server import stop
from ..start import serve
from ..state import Server
from ..stores.contents import digest_of
from .change import scale
from .deploy import deploy


def has_record(state_dir: Path | None) -> bool:
    """Return whether a server of this state folder was given something before."""
    found = records.load(folders.locate(state_dir))
    return found is not None and bool(found.versions)


def serve_again(
    *,
    state_dir: Path | None = None,
    trusted: Sequence[PublicKey] | None = None,
    trust_code: bool = False,
    engine: str | None = None,
    say: Say = silent,
    **options: Any,
) -> Server:
    """Start a server with what the last one of this state folder served when it ended.

    `engine`: another one than it had. `options` are those of `serve`. Raises InputError if there is no record, or an
    archive is gone or has other bytes; else as `serve` and `deploy`, and then no server is left running.
    """
    folder = folders.locate(state_dir)
    record = records.load(folder)
    if record is None or not record.versions:
        raise InputError(
            f"There is no record of what was served in {folder}. Name an archive: lexport serve NAME-VERSION.mar",
            code="LX-SERVE-185",
        )
    for one in record.versions:
        _check(one)
    defaults = [one for one in record.versions if one.default]
    say(
        f"Serving again what was served before: {', '.join(map(str, record.versions))}. lexport serve MAR, or "
        "--model-store DIR, serves something else."
    )
    trust = {"trusted": trusted, "trust_code": trust_code}
    chosen = engine or record.engine
    if chosen == "ray" and not options.get("address"):
        options["address"] = record.address
    options |= {"engine": chosen, "state_dir": state_dir, "say": say, **trust}
    server = serve([Path(one.source) for one in defaults], **options)
    try:
        _complete(record, state_dir, trust, say)
    except BaseException:
        stop(state_dir)
        records.save(folder, record)
        raise
    return server


def _complete(record: Record, state_dir: Path | None, trust: dict[str, Any], say: Say) -> None:
    """Deploy the other versions, scale all to the workers they had, and remember the earlier defaults."""
    for one in record.versions:
        if not one.default:
            deploy(one.source, store=_store(one), workers=one.workers, state_dir=state_dir, say=say, **trust)
    folder = folders.locate(state_dir)
    started = records.load(folder) or Record()
    for one in record.versions:
        begun = started.of(one.name).get(one.version)
        if begun is not None and begun.workers != one.workers:
            scale(one.name, one.workers, version=one.version, state_dir=state_dir, say=say)
    complete = records.load(folder) or started
    stores = {(one.name, one.version): one.store for one in record.versions}
    versions = tuple(replace(one, store=stores.get((one.name, one.version), "")) for one in complete.versions)
    records.save(folder, replace(complete, versions=versions, before=record.before))


def _store(one: Deployed) -> Path:
    return Path(one.store or "model_store")


def _check(one: Deployed) -> None:
    """Raise InputError if the archive of a version is not what it was."""
    path = Path(one.source)
    try:
        digest = digest_of(path)
    except OSError as error:
        raise InputError(
            f"{one} was served before, and its archive {path} cannot be read: {error.strerror}. Put it back, or name "
            "the archives to serve: lexport serve NAME-VERSION.mar",
            code="LX-SERVE-186",
        ) from None
    if digest != one.digest:
        raise InputError(
            f"{one} was served before, and {path} has other bytes now (SHA-256 {digest[:12]}, then "
            f"{one.digest[:12]}). Put the archive back, or name those to serve: lexport serve NAME-VERSION.mar",
            code="LX-SERVE-187",
        )
