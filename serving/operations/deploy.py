"""Deploy an archive into a running server, beside what it serves, and take one out of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import InputError, LexportError, RefusedError, SystemProblem
from ...export.archive.trust import code
from ...export.archive.trust.keys import PublicKey
from ...export.archive.trust.rule import Trust
from ...export.archive.verify import verify
from ...storage.progress import Say, silent
from .. import folders
from ..engines import TITLES
from ..plan import check_devices
from ..record import Deployed
from ..store import Archive, place, read
from ..stores import find_archive
from ..stores.contents import digest_of
from .change import make_default
from .locking import TIMEOUT, Changing, changing
from .ready import check_settings, look_for_trouble, wait_for

# A version that is taken out must have had no request for so long, in seconds.
_QUIET = 0.5
_PAUSE = 0.05
_READ_BACK = ("batchSize", "maxBatchDelay", "responseTimeout")


@dataclass(frozen=True)
class Change:
    """What an operation does, or would do."""

    action: str
    """`deploy`, `promote` or `undeploy`."""
    name: str
    version: str
    workers: int
    detail: str
    """In words, for a person."""


def deploy(
    source: Path | str,
    *,
    store: Path = Path("model_store"),
    workers: int | None = None,
    promoted: bool = False,
    dry_run: bool = False,
    trusted: Sequence[PublicKey] | None = None,
    trust_code: bool = False,
    state_dir: Path | None = None,
    timeout: float = TIMEOUT,
    say: Say = silent,
) -> list[Change]:
    """Serve an archive beside what the server serves; return what was done, with `dry_run` what would be.

    `source` is what `stores.find_archive` takes: a `.mar`, NAME:VERSION or NAME of `store`, a folder, or an artefact
    of a registry, which is pulled into `store` first, with `dry_run` too.

    The archive is verified, copied into the server's store, opened by `workers` workers (None: as many as the
    name's default version has, else one) and checked with its goldens, while requests are answered as before. A name
    that is new to the server is its own default; of a name that is there the default stays, unless it is `promoted`.
    On an error or interruption the server is as before. Raises InputError, RefusedError for an archive that failed
    verification or another one of the same name and version, SystemProblem.
    """
    path = find_archive(str(source), store=store, trusted=trusted, command="lexport deploy", say=say)
    archive = read(path)
    trust = Trust.of(trusted, trust_code)
    with changing(state_dir, timeout, say) as change:
        _check_engine(change, archive)
        digest = digest_of(path)
        there = change.record.of(archive.name).get(archive.version)
        if there is not None and there.digest != digest:
            raise RefusedError(
                f"{archive} is served already from {there.source}, and {path} has other bytes. Give the archive a "
                f"new version, or take the other out first: lexport undeploy {archive.name} --version "
                f"{archive.version}",
                code="LX-SERVE-181",
            )
        changes = _planned(change, archive, there, workers, promoted=promoted)
        if dry_run:
            return changes
        if there is None:
            inside = path.resolve().parent == store.resolve()
            added = Deployed(
                archive.name,
                archive.version,
                str(path.resolve()),
                digest,
                file="",
                workers=changes[0].workers,
                default=change.record.default(archive.name) is None,
                store=str(store.resolve()) if inside else "",
            )
            _add(change, archive, added, trust, timeout, say)
        for one in changes:
            if one.action == "promote":
                make_default(change, change.version(archive.name, archive.version))
        for one in changes or [Change("deploy", archive.name, archive.version, 0, f"{archive} is served already.")]:
            say(one.detail)
        return changes


def _check_engine(change: Changing, archive: Archive) -> None:
    server = change.server
    if server.own_code and not archive.made_by_lexport:
        raise InputError(
            f"{archive.path} was not made by lexport, and {TITLES[server.engine]} answers with lexport's own code "
            "alone. Deploy it into a server of TorchServe.",
            code="LX-SERVE-182",
        )
    check_devices([archive], server.device, allow_cpu=False)


def _planned(
    change: Changing, archive: Archive, there: Deployed | None, workers: int | None, *, promoted: bool
) -> list[Change]:
    last = change.record.default(archive.name)
    changes = []
    if there is None:
        count = workers or (last.workers if last is not None else 1)
        beside = "as its default"
        if last is not None:
            beside = f"beside {last.version}{'' if promoted else ', which stays the default'}"
        told = f"{archive} is served by {count} worker{'s' * (count > 1)}, {beside}."
        changes.append(Change("deploy", archive.name, archive.version, count, told))
    if promoted and last is not None and last.version != archive.version:
        count = changes[0].workers if changes else (there.workers if there is not None else 0)
        told = f"{archive} answers {archive.name}, no longer {last.version}."
        changes.append(Change("promote", archive.name, archive.version, count, told))
    return changes


def _add(change: Changing, archive: Archive, added: Deployed, trust: Trust, timeout: float, say: Say) -> None:
    """Verify an archive, copy it into the store and have the server open it; undo all of it if one step fails."""
    server = change.server

    def accept(copy: Path) -> str:
        if not server.own_code:
            return f"its code may run: {code.accept(copy, trust)}"
        verified = verify(copy, trust.keys)
        return f"verified, signed by {verified.signer}" if verified.signer else "verified"

    arriving = change.store.with_name(folders.ARRIVING)
    folders.discard(arriving)
    registered = False
    file = ""
    try:
        (copy,) = place([archive], arriving, accept, say)
        file = copy
        while (change.store / file).exists():  # a-1 in version 0 and a in version 1-0
            file = f"_{file}"
        (arriving / copy).rename(change.store / file)
        registered = True
        try:
            change.control.register(file, added.workers)
        except SystemProblem:
            look_for_trouble(change, archive.name)  # TorchServe does not say what a worker has reported
            raise
        described = wait_for(
            change,
            archive.name,
            archive.version,
            added.workers,
            timeout=timeout,
            checks_goldens=archive.made_by_lexport,
        )
        check_settings(described, {name: archive.numbers[name] for name in _READ_BACK if name in archive.numbers})
    except BaseException:
        if registered:
            with suppress(LexportError):  # it may not have come so far
                change.control.unregister(archive.name, archive.version)
            folders.discard(change.store / file)
        raise
    finally:
        folders.discard(arriving)
    change.keep(change.record.with_version(replace(added, file=file)))
    change.note("deploy", added)


def undeploy(
    name: str,
    version: str | None = None,
    *,
    dry_run: bool = False,
    state_dir: Path | None = None,
    timeout: float = TIMEOUT,
    say: Say = silent,
) -> list[Change]:
    """Take a version of a model out of the server, None: all of them; return what was done, or would be.

    A version is taken out once it has had no request for half a second; requests that come later are refused by
    name. Raises InputError for what is not served, RefusedError for the default of several versions, and for the only
    model.
    """
    with changing(state_dir, timeout, say) as change:
        served = change.record.of(name)
        chosen = [change.version(name, version)] if version is not None else []
        if version is None:
            last = change.version(name)
            chosen = [*(one for one in served.values() if not one.default), last]
        if version is not None and chosen[0].default and len(served) > 1:
            others = ", ".join(one for one in served if one != version)
            raise RefusedError(
                f"{chosen[0]} is the default of {name}. Promote another one first ({others}), or leave --version out "
                "to take out all of them.",
                code="LX-SERVE-183",
            )
        if len(chosen) == len(change.record.versions):
            raise RefusedError(
                f"{name} is all that the server serves. Stop it with: lexport stop", code="LX-SERVE-184"
            )
        changes = [
            Change("undeploy", one.name, one.version, one.workers, f"{one} is no longer served.") for one in chosen
        ]
        if dry_run:
            return changes
        for one, told in zip(chosen, changes, strict=True):
            _wait_until_quiet(change, one, timeout=min(timeout, change.server.drain))
            change.control.retire(one.name, one.version, 0)
            change.control.unregister(one.name, one.version)
            folders.discard(change.store / one.file)
            change.keep(change.record.without(one.name, [one.version]))
            change.note("undeploy", one)
            say(told.detail)
        return changes


def _wait_until_quiet(change: Changing, chosen: Deployed, *, timeout: float) -> None:
    """Return once a version has had no request waiting for a while, or after `timeout` seconds."""
    deadline, since = time.monotonic() + timeout, time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - since < _QUIET:
        found = change.control.version(chosen.name, chosen.version)
        if found is None:
            return
        if found["jobQueueStatus"]["pendingRequests"]:
            since = time.monotonic()
        time.sleep(_PAUSE)
