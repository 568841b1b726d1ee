"""The settings of a load test as results have them, and the command that runs it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any


def settings_of(
    *,
    archives: Sequence[str] | None,
    host: str | None,
    workers: Sequence[str],
    engines: Sequence[str],
    arrivals: str,
    users: Sequence[int],
    rates: Sequence[float],
    duration: float,
    warmup: float,
    repeats: int,
    unknown_share: float,
    mix: str,
    body: str,
    text_column: str | None,
    headers: Sequence[str],
    expect: str,
    texts: str,
    texts_sha256: str | None,
    processes: int | None,
    seed: int,
    slo: Sequence[str],
    baseline: str | None,
    max_regression: float,
    judge_anyway: bool,
    need: float | None,
    driver: str,
) -> dict[str, Any]:
    """Return what was set, without what does not apply, and the `command` that sets it again.

    `texts` is where they come from in words; of a file, or a list, with its SHA-256. Of headers only the names are
    kept, because their values may be secret.
    """
    given = {
        "host": host,
        "archives": archives,
        "workers": None if host else list(workers),
        "engines": None if host else list(engines),
        "arrivals": arrivals,
        "users": list(users) if arrivals == "closed" else None,
        "rates": None if arrivals == "closed" else list(rates),
        "duration_seconds": duration,
        "warmup_seconds": warmup,
        "repeats": repeats,
        "unknown_share": unknown_share,
        "mix": mix or None,
        "body": body or None,
        "text_column": text_column,
        "headers": [header.partition(":")[0] for header in headers],
        "expect": expect,
        "texts": texts,
        "texts_sha256": texts_sha256,
        "processes": processes,
        "seed": seed,
        "slo": list(slo),
        "baseline": baseline,
        "max_regression": max_regression if baseline else None,
        "judge_anyway": judge_anyway,
        "need": need,
        "driver": None if driver == "locust" else driver,
    }
    found = {name: value for name, value in given.items() if value is not None}
    return found | {"command": command(found)}


def command(settings: Mapping[str, Any]) -> str:
    """Return the command line that runs a test with these settings again; the values of headers are left out."""
    words = ["lexport", "loadtest", *settings.get("archives", ())]
    options = {
        "--host": settings.get("host"),
        "--workers": ",".join(settings.get("workers", ())),
        "--engines": ",".join(settings.get("engines", ())),
        "--arrivals": settings["arrivals"] if settings["arrivals"] != "closed" else None,
        "--users": ",".join(map(str, settings.get("users", ()))),
        "--rate": ",".join(f"{rate:g}" for rate in settings.get("rates", ())),
        "--duration": f"{settings['duration_seconds']:g}s",
        "--repeat": settings["repeats"] if settings["repeats"] > 1 else None,
        "--texts": settings["texts"] if "text_column" in settings or "texts_sha256" in settings else None,
        "--text-column": settings.get("text_column"),
        "--unknown-share": f"{settings['unknown_share']:g}",
        "--mix": settings.get("mix"),
        "--body": settings.get("body"),
        "--expect": settings["expect"],
        "--processes": settings.get("processes"),
        "--driver": settings.get("driver"),
        "--seed": settings["seed"] or None,
        "--baseline": settings.get("baseline"),
        "--max-regression": f"{settings['max_regression'] * 100:g}%" if "baseline" in settings else None,
    }
    words += [word for name, value in options.items() if value for word in (name, str(value))]
    words += ["--judge-anyway"] if settings["judge_anyway"] else []
    words += [word for name in settings["headers"] for word in ("--header", f"{name}: …")]
    words += [word for term in settings["slo"] for word in ("--slo", term)]
    words += ["--need", f"{settings['need']:g}"] if "need" in settings else []
    return shlex.join(words)
