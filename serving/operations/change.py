"""Change a version that a server has: promote, roll back, scale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...errors import InputError, RefusedError, SystemProblem
from ...storage.progress import Say, silent
from ..record import Deployed
from .locking import TIMEOUT, Changing, changing
from .ready import wait_for


def promote(
    name: str, version: str, *, state_dir: Path | None = None, timeout: float = TIMEOUT, say: Say = silent
) -> Deployed:
    """Send requests that name no version to `version`, from one request to the next; return it.

    Raises InputError for a version that is not served, RefusedError for one that no worker answers, SystemProblem.
    """
    with changing(state_dir, timeout, say) as change:
        chosen = change.version(name, version)
        if chosen.default:
            say(f"{chosen} is the default already.")
            return chosen
        make_default(change, chosen)
        say(f"{chosen} answers {name} from now on.")
        return replace(chosen, default=True)


def rollback(name: str, *, state_dir: Path | None = None, timeout: float = TIMEOUT, say: Say = silent) -> Deployed:
    """Send requests that name no version to the version that was the default before; return it.

    Raises InputError if no other version was, or the server no longer has one that was; else as `promote`.
    """
    with changing(state_dir, timeout, say) as change:
        last = change.version(name)
        served = change.record.of(name)
        before = change.record.before.get(name, [])
        chosen = next((served[version] for version in before if version in served), None)
        if chosen is None:
            told = f"those before, {', '.join(before)}, are no longer served" if before else "no other one was before"
            raise InputError(
                f"{last} is the default of {name}, and {told}. Name one with: lexport promote {name} VERSION",
                code="LX-SERVE-175",
            )
        make_default(change, chosen, back=True)
        say(f"{chosen} answers {name} again, no longer {last}.")
        return replace(chosen, default=True)


def make_default(change: Changing, chosen: Deployed, *, back: bool = False) -> None:
    """Make a version its name's default, if a worker answers it, and check that it is."""
    described = change.control.version(chosen.name, chosen.version)
    ready = [] if described is None else [one for one in described["workers"] if one["status"] == "READY"]
    if not ready:
        raise RefusedError(
            f"{chosen} has no worker that is ready, so its requests would be refused. lexport scale {chosen.name} N "
            f"--version {chosen.version} gives it some.",
            code="LX-SERVE-176",
        )
    change.control.make_default(chosen.name, chosen.version)
    described = change.control.version(chosen.name, chosen.version)
    if described is None or not described["default"]:
        raise SystemProblem(
            f"The server was asked to make {chosen} the default of {chosen.name}, and it is not. Look with: lexport "
            "status",
            code="LX-SERVE-177",
        )
    record, last = change.record, change.record.default(chosen.name)
    change.keep(
        record.rolled_back(chosen.name, chosen.version) if back else record.with_default(chosen.name, chosen.version)
    )
    change.note("rollback" if back else "promote", chosen, "" if last is None else last.version)


def scale(
    name: str,
    workers: int,
    *,
    version: str | None = None,
    state_dir: Path | None = None,
    timeout: float = TIMEOUT,
    say: Say = silent,
) -> Deployed:
    """Have `workers` workers answer a version of a model, None: its default; return when they are ready.

    Requests are answered meanwhile. Raises InputError for a version that is not served or a number that is none,
    SystemProblem if a worker cannot start; then there are as many as before.
    """
    if not 1 <= workers < 10_000:
        raise InputError(f"{workers} workers cannot be; expected 1 to 9,999.", code="LX-SERVE-178")
    with changing(state_dir, timeout) as change:
        chosen = change.version(name, version)
        try:
            change.control.retire(name, chosen.version, workers)
            change.control.scale(name, chosen.version, workers)
            wait_for(change, chosen.name, chosen.version, workers, timeout=timeout)
        except BaseException:
            if chosen.workers != workers:
                change.control.scale(name, chosen.version, chosen.workers)
            raise
        changed = replace(chosen, workers=workers)
        change.keep(change.record.with_version(changed))
        say(f"{chosen}: {workers} worker{'s' * (workers > 1)}, {chosen.workers} before.")
        return changed
