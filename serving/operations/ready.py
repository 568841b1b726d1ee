"""Wait until a version that was registered or scaled has the workers that were asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ...errors import SystemProblem
from ..torchserve.health import logs
from ..torchserve.health.ready import read_reports
from .locking import Changing

_PAUSE = 0.05  # seconds between looks


def wait_for(
    change: Changing, name: str, version: str, workers: int, *, timeout: float, checks_goldens: bool = True
) -> dict[str, Any]:
    """Return a version's description once it has `workers` workers, all ready.

    On TorchServe the workers must have reported that their goldens passed, unless it is an archive without. Raises
    SystemProblem with the difference after `timeout` seconds, and with a worker's reason if one cannot start.
    """
    deadline = time.monotonic() + timeout
    reports = not change.server.own_code and checks_goldens
    while True:
        found = change.control.version(name, version)
        if found is not None and _is_met(change, found, workers, reports=reports):
            return found
        if reports:
            look_for_trouble(change, name)
        if time.monotonic() > deadline:
            there = "is not there" if found is None else _told(found)
            raise SystemProblem(
                f"{name} {version} was to have {workers} workers that are ready, and {there} after {timeout:g} s. "
                f"Raise --timeout, or look into {change.server.logs}.",
                code="LX-SERVE-179",
            )
        time.sleep(_PAUSE)


def check_settings(found: dict[str, Any], asked: Mapping[str, int]) -> None:
    """Raise SystemProblem if the server has taken other settings than an archive asks for."""
    differing = [
        f"{name}={found[name]} for {value}" for name, value in asked.items() if found.get(name, value) != value
    ]
    if differing:
        raise SystemProblem(
            f"The server serves {found['modelName']} {found['modelVersion']} with {', '.join(differing)}. Expected "
            "what the archive's settings say; look into the server's logs.",
            code="LX-SERVE-188",
        )


def _is_met(change: Changing, found: dict[str, Any], workers: int, *, reports: bool) -> bool:
    least, most = found["minWorkers"], found["maxWorkers"]
    # On a Ray cluster there may be more by load.
    if least != workers or most < workers or (most > workers and not change.server.own_code):
        return False
    # Each process of the embedded engine has every model, each replica every version: there are as many as the one
    # with the most asks for.
    beyond = len(found["workers"]) - workers
    if beyond < 0 or (beyond and not change.server.own_code):
        return False
    if any(worker["status"] != "READY" for worker in found["workers"]):
        return False
    if not reports:
        return True
    passed = {report.get("pid") for report in read_reports(change.server) if report.get("ready") is True}
    return all(worker["pid"] in passed for worker in found["workers"])


def look_for_trouble(change: Changing, name: str) -> None:
    """Raise SystemProblem with the reason that a worker of a model has reported since the change began, if any."""
    for report in read_reports(change.server):
        failed = report.get("ready") is not True and report.get("pid") not in change.reported
        if failed and report.get("model") == name:
            trace = logs.useful_traceback(str(report.get("traceback", "")), change.server.run_dir)
            raise SystemProblem(
                f"A worker of {name} could not start: {report.get('error', 'no reason given')}. The "
                f"server is as before; look into {change.server.logs}.",
                trace.rstrip(),
                code="LX-SERVE-180",
            )


def _told(found: dict[str, Any]) -> str:
    ready = sum(worker["status"] == "READY" for worker in found["workers"])
    return f"has {ready} of {len(found['workers'])}, between {found['minWorkers']} and {found['maxWorkers']} allowed,"
