"""Whether an open and a closed loop report the latencies of a server that stands still now and then.

    python benchmarks/open_loop.py [--quick]

A server answers after 300 ms and stands still for one second in four, so that each percentile of requests that come
at any time is known. `lexport loadtest`'s Locust asks it in an open loop at 100 requests/s, with equal and with
random gaps, and in closed loops of 1, 10 and 100 users. Where k6 is installed, it asks with equal gaps too. Exits
with 1 if a percentile of an open loop with equal gaps is more than 5 % off the plan.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from lexport.benchmarks.figures import say
from lexport.benchmarks.planned_server import Planned
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.loadtest import locust_process as client
from lexport.loadtest.locust_process import Load, Target
from lexport.loadtest.programs.k6 import K6

PERCENTILES = (50, 90, 95, 99)
MOST_OFF = 0.05
TRIES = 3
LOAD = Load(1, 4.0, 20.0, None, 0.0, seed=0)
EQUAL = "open, equal gaps"
LOADS = {
    EQUAL: replace(LOAD, arrivals="constant", rate=100.0),
    "open, random gaps": replace(LOAD, arrivals="open", rate=100.0),
    "closed, 1 user": LOAD,
    "closed, 10 users": replace(LOAD, users=10),
    "closed, 100 users": replace(LOAD, users=100),
}


def main() -> int:
    """Measure, print a Markdown table, and return 0 if the open loop reports the plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="runs of 4 s")
    add_options(parser)
    options = parser.parse_args()
    report = Report(options)
    report.part("A server that stands still for one second in four")
    with Planned(delay=0.3, stall=1.0, every=4.0).running() as server, tempfile.TemporaryDirectory() as folder:
        planned = [server.percentile_ms(percent) for percent in PERCENTILES]
        rows = [["planned", *(f"{ms:,.0f}" for ms in planned), "", ""]]
        found = {}
        for name, load in LOADS.items():
            say(name)
            if options.quick:
                load = replace(load, warmup=0.5, duration=4.0)
            found[name] = _best(Target(server.url, "", ""), load, Path(folder))
            times = [f"{ms:,.0f}" for ms in _percentiles(found[name])]
            lag = f"{found[name]['lag_p99_ms']:.1f}" if load.arrivals != "closed" else ""
            rows.append([name, *times, f"{found[name]['due_per_second']:,.0f}", lag])
        if shutil.which(K6.NAME):
            say(K6.NAME)
            length = 4.0 if options.quick else LOAD.duration
            load = replace(LOADS[EQUAL], duration=length)
            asked = Target(server.url, "", "", expect="$.label")
            runs = [K6().run(asked, load, Path(folder)) for _ in range(TRIES)]
            found[K6.NAME] = min(runs, key=lambda run: float(run["p50_ms"]))  # it does not say how late it sent
            times = [f"{ms:,.0f}" for ms in _percentiles(found[K6.NAME])]
            rows.append([f"{EQUAL}, by k6", *times, f"{found[K6.NAME]['due_per_second']:,.0f}", ""])
    report.table(["loop", *(f"p{percent}, ms" for percent in PERCENTILES), "requests/s", "lag p99, ms"], rows)
    verdicts = []
    for name, by in ((EQUAL, ""), (K6.NAME, ", by k6")):
        if name in found:
            off = max(abs(ms / plan - 1) for ms, plan in zip(_percentiles(found[name]), planned, strict=True))
            promised = f"the open loop with equal gaps{by}: every percentile within {MOST_OFF:.0%} of the plan"
            verdicts.append(Verdict(promised, f"at most {off:.1%} off", off <= MOST_OFF))
    return report.close(verdicts)


def _best(target: Target, load: Load, folder: Path) -> dict[str, Any]:
    """Return the run whose client kept its schedule best."""
    tries = TRIES if load.arrivals != "closed" else 1
    return min((client.run(target, load, folder) for _ in range(tries)), key=lambda found: float(found["lag_p99_ms"]))


def _percentiles(found: dict[str, Any]) -> list[float]:
    curve = dict(found["curve"])
    return [float(curve.get(percent, found["max_ms"])) for percent in PERCENTILES]


if __name__ == "__main__":
    raise SystemExit(main())
