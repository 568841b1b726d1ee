"""Whether a server's memory grows: five minutes at 70 % of its peak, workers and frontend apart.

    python benchmarks/soak.py [--engine torchserve] [--run RUN] [--variant auto] [--workers 1] [--seconds 300]

The peak is measured first, by 64 users who ask as fast as they are answered; then requests arrive evenly at
70 % of it. Every two seconds each process's resident memory is read. The slope is Theil and Sen's, the median of the
slopes between all pairs of readings, of the time after the warm-up, in MB (1e6 bytes) a minute. Readings of one
process depend on their neighbours, so its 95 % interval is a bootstrap over blocks of half a minute of what the line
leaves.
Exits with 1 if the workers or the frontend grow by 1 MB a minute or more.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
from scipy import stats

from lexport import serving
from lexport.benchmarks.figures import Values, say
from lexport.benchmarks.report import Report, Verdict
from lexport.benchmarks.small import add_options, run_of
from lexport.export.archive.format.reader import EVIDENCE, read_json
from lexport.export.archive.pack import archive
from lexport.loadtest import locust_process as client
from lexport.loadtest.locust_process import Load, Target
from lexport.models.run import open_run
from lexport.serving.torchserve.process import workers_of

LIMIT = 1.0  # MB a minute
SHARE = 0.7  # of the peak
FRONTENDS = {"torchserve": "frontend", "embedded": "supervisor"}
"""The process above the workers, by engine."""
USERS, EVERY, BLOCK, DRAWS = 64, 2.0, 30.0, 1000


def main() -> int:
    """Measure, print a Markdown table, and return 0 if nothing grows."""
    options = _options()
    seconds = 6.0 if options.quick else options.seconds
    warmup = 2.0 if options.quick else options.warmup
    report = Report(options)
    with tempfile.TemporaryDirectory(prefix="lexport-soak-") as scratch:
        folder = Path(scratch)
        run = run_of(options, folder)
        held = open_run(run).held_out("test").texts
        (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in held))
        path = archive(run, version="1.0", name="soak", variant=options.variant, out=folder)
        state = folder / "state"
        workers = f"cpu:{options.workers}"
        server = serving.serve([path], engine=options.engine, workers=workers, state_dir=state, port=0, say=say)
        try:
            target = Target(server.inference_url, "soak", server.token())
            load = Load(USERS, warmup / 4, warmup / 4, folder / "texts.jsonl", 0.1, seed=0)
            peak = float(client.run(target, load, folder)["requests_per_second"])
            pids = {f"worker {number}": pid for number, pid in enumerate(_workers_of(server), 1)}
            steady = replace(load, warmup=warmup, duration=seconds, arrivals="constant", rate=SHARE * peak)
            say(f"peak {peak:,.0f} requests/s; {seconds:g} s at {steady.rate:,.0f} after {warmup:g} s")
            with _Readings(pids | {FRONTENDS[options.engine]: server.pid}) as readings:
                found = client.run(target, steady, folder)
        finally:
            serving.stop(state)
        variant = read_json(path, EVIDENCE)["variant"]
        report.part(f"{options.engine}: {variant}, {options.workers} worker(s)")
    report.text(
        f"Peak {peak:,.0f} requests/s with {USERS} users; then {found['requests_per_second']:,.0f} requests/s "
        f"({found['requests_per_second'] / peak:.0%}) for {found['seconds']:.0f} s: {found['answered']:,} answered, "
        f"{found['failures']} failed, p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms"
    )
    rows, verdicts = _rows(readings, warmup)
    columns = ["process", "MB at first", "at the end", "most", "MB a minute", "95 %"]
    report.table(columns, rows, dict.fromkeys(columns[1:], "MB") | {"95 %": "MB a minute"})
    failures = found["failures"]
    return report.close([*verdicts, Verdict("no failed request", f"{failures:,} failed", not failures)])


def _workers_of(server: serving.Server) -> list[int]:
    if server.engine == "torchserve":
        return list(workers_of(server))
    return sorted(child.pid for child in psutil.Process(server.supervisor).children())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_options(parser)
    add("--engine", default="torchserve", choices=list(FRONTENDS))
    add("--variant", default="auto")
    add("--workers", type=int, default=1)
    add("--seconds", type=float, default=300.0, help="that are judged")
    add("--warmup", type=float, default=60.0, help="seconds at the same rate before them")
    add("--quick", action="store_true", help="a few seconds, no verdict: does it run at all?")
    return parser.parse_args()


class _Readings:
    """The resident memory of processes, read in a thread of its own while the block runs."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self.names = list(pids)
        self.times: list[float] = []
        self.bytes: list[list[int]] = []
        self._processes = [psutil.Process(pid) for pid in pids.values()]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> _Readings:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        began = time.monotonic()
        while not self._over.is_set():
            # A worker that died would end the thread here, and with it the readings that `_rows` asks for.
            self.bytes.append([process.memory_info().rss for process in self._processes])
            self.times.append(time.monotonic() - began)
            self._over.wait(EVERY)


def _rows(readings: _Readings, warmup: float) -> tuple[list[list[str]], list[Verdict]]:
    """The memory of every process, and whether it grows by less than the limit."""
    times = np.array(readings.times)
    megabytes = np.array(readings.bytes) / 1e6
    after = times >= warmup
    rows, verdicts = [], []
    series = dict(zip(readings.names, megabytes.T, strict=True))
    workers = [values for name, values in series.items() if name not in FRONTENDS.values()]
    if len(workers) > 1:
        series = {**series, "all workers": np.sum(workers, axis=0)}
    for name, values in series.items():
        slope, low, high = slope_of(times[after], values[after])
        rows.append(
            [
                name,
                f"{values[0]:.1f}",
                f"{values[-1]:.1f}",
                f"{values.max():.1f}",
                f"{slope:+.2f}",
                f"{low:+.2f} … {high:+.2f}",
            ]
        )
        asked = f"{name}: grows by less than {LIMIT:g} MB a minute"
        verdicts.append(Verdict(asked, f"{slope:+.2f} MB a minute", slope < LIMIT))
    return rows, verdicts


def slope_of(seconds: Values, values: Values) -> tuple[float, float, float]:
    """Theil and Sen's slope of `values` over time, per minute, and its 95 % interval by a bootstrap over blocks."""
    minutes = seconds / 60
    slope, intercept = stats.theilslopes(values, minutes)[:2]
    line = intercept + slope * minutes
    left = values - line
    length = max(1, min(len(values), round(BLOCK / max(float(np.median(np.diff(seconds))), 1e-9))))
    draw = np.random.default_rng(0)
    starts = draw.integers(0, len(values) - length + 1, (DRAWS, -(-len(values) // length)))
    places = (starts[:, :, None] + np.arange(length)).reshape(DRAWS, -1)[:, : len(values)]
    found = [float(stats.theilslopes(line + left[one], minutes)[0]) for one in places]
    low, high = np.percentile(found, (2.5, 97.5))
    return float(slope), float(low), float(high)


if __name__ == "__main__":
    raise SystemExit(main())
