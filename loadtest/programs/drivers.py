"""Drivers by name: Locust, and the programs that may take its place."""

from __future__ import annotations

from ...errors import InputError
from .k6 import K6
from .program import Program
from .wrk import Wrk

LOCUST = "locust"
PROGRAMS: dict[str, type[Program]] = {one.NAME: one for one in (Wrk, K6)}


def driver(name: str) -> Program | None:
    """Return the program of this name, None for Locust.

    Raises InputError for another name, SystemProblem where the program is not installed.
    """
    if name == LOCUST:
        return None
    if name not in PROGRAMS:
        raise InputError(
            f"--driver {name!r} is not known; expected one of: {', '.join([LOCUST, *PROGRAMS])}.", code="LX-LOAD-156"
        )
    return PROGRAMS[name]()
