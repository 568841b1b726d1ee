"""wrk (https://github.com/wg/wrk): a closed loop in C, whose Lua script sends prepared requests."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from ..driver.recorder import NAMED, PERCENTS
from ..locust_process import Load, Target
from .program import ANSWER, Asked, Program

SCRIPT = Path(__file__).with_name("wrk.lua")
_ERRORS = {
    "status": "HTTP status above 399",
    "connect": "no connection",
    "read": "no answer: the connection was closed",
    "write": "not sent: the connection was closed",
    "timeout": f"no answer within {ANSWER} s",
}


class Wrk(Program):
    """wrk, of which `--processes` are the threads."""

    NAME: ClassVar[str] = "wrk"
    ARRIVALS: ClassVar[Sequence[str]] = ("closed",)
    VERSION: ClassVar[tuple[str, str]] = ("--version", r"^wrk (?:debian/)?(\S+)")
    HINT: ClassVar[str] = "Debian and Ubuntu: apt install wrk; macOS: brew install wrk"

    UNCHECKED: ClassVar[str] = (
        "answers were not checked, only their status, of which 400 and more count as failed; the percentiles are of "
        "all answers, with the requests that a closed loop leaves out while it waits filled in"
    )
    VERIFIES: ClassVar[bool] = False

    def settle(self, load: Load) -> float:
        """Return 0: it measures from its beginning."""
        return 0.0

    def prepare(self, asked: Asked, target: Target, load: Load, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Write the whole requests, each behind its length in a line of its own."""
        requests = folder / "requests"
        with requests.open("wb") as file:
            for body in asked.bodies:
                whole = _request(asked, body.content, asked.headers[body.json])
                file.write(b"%d\n%b" % (len(whole), whole))
        threads = min(load.processes, load.users)
        run = [f"-t{threads}", f"-c{load.users}", f"-d{_seconds(load)}s", "--timeout", f"{ANSWER}s"]
        variables = {
            "LEXPORT_REQUESTS": str(requests),
            "LEXPORT_PERCENTS": " ".join(f"{percent:g}" for percent in sorted({*PERCENTS, *NAMED.values()})),
        }
        return [*run, "-s", str(SCRIPT), asked.url], variables

    def figures(self, printed: str, folder: Path, load: Load) -> dict[str, Any]:
        """Return what the script printed in its last line, after wrk's own table."""
        found = json.loads(printed.rstrip().rpartition("\n")[2])
        seconds = found["microseconds"] / 1e6
        answered = found["requests"] - found["status"]
        times = {percent: microseconds / 1000 for percent, microseconds in found["percentiles"]}
        reasons = {words: found[name] for name, words in _ERRORS.items() if found[name]}
        known = answered > 0
        return {
            "seconds": seconds,
            "answered": answered,
            "failures": sum(reasons.values()),
            "reasons": reasons,
            "requests_per_second": answered / seconds,
            **{f"{name}_ms": times[percent] if known else None for name, percent in NAMED.items()},
            "max_ms": found["max"] / 1000 if known else None,
            "curve": [[one, times[one]] for one in PERCENTS if answered * (100 - one) >= 100],
        }

    def run(self, target: Target, load: Load, folder: Path) -> dict[str, Any]:
        """Load `target` for whole seconds."""
        return super().run(target, replace(load, duration=float(_seconds(load))), folder)


def _seconds(load: Load) -> int:
    return math.ceil(load.duration)


def _request(asked: Asked, content: bytes, headers: Any) -> bytes:
    parts = urlsplit(asked.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"POST {path} HTTP/1.1"]
    if "host" not in map(str.lower, headers):
        lines.append(f"Host: {parts.netloc.rpartition('@')[2]}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode() + content
