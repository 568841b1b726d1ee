"""`lexport tune` against the best of a full grid, the defaults, and TorchServe's own defaults.

    python benchmarks/tune.py [MAR] [--keep DIR] [--budget 300] [--rounds 12] [--quick]

Without an archive the recipe `bag` is trained on --data. The search is run twice, from the defaults and from a poor
start (batches of one, a delay of 100 ms, four workers). Then every candidate of a grid is run with every load, and
what the searches found, the best of the grid, the defaults, the poor start and TorchServe's own defaults (batches of
one, 100 ms, a worker for each core) run in turns, each with the load at which it was best in the grid with a tenth of
the objective to spare, since a run that just met it once does not meet it every time. Every run is kept in DIR as it
ends; the same command with the same MAR goes on from there. Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from lexport.benchmarks.figures import place, say
from lexport.benchmarks.report import Report, Verdict
from lexport.benchmarks.small import add_options, run_of
from lexport.export.archive.pack import archive
from lexport.export.archive.trust.rule import Trust
from lexport.loadtest.locust_process import Load, Target
from lexport.loadtest.objectives import Objective, parse
from lexport.loadtest.targets import subjects, texts_file
from lexport.loadtest.tuning.final import alternate, ratio_of
from lexport.loadtest.tuning.journal import Journal, open_journal
from lexport.loadtest.tuning.measuring import Measuring
from lexport.loadtest.tuning.results import TuneReport
from lexport.loadtest.tuning.search import Standing
from lexport.loadtest.tuning.settings import Tunable, tunable_of
from lexport.loadtest.tuning.space import TORCHSERVE_OWN, Candidate, default_of, server_of
from lexport.loadtest.tuning.trials import Task, Trial
from lexport.loadtest.tuning.tune import tune
from lexport.serving.stores.contents import digest_of
from lexport.storage.cores import cores

NEAR = 0.95  # of the best of the grid
SHARE = 0.25  # of the grid's time
SPARE = 0.9  # of the objective's p99, within which the load of the comparison was
GAIN = 3.0  # times the requests/s of TorchServe's own defaults
POOR = "engine=torchserve,workers=4,batch=1,delay=100"
ENGINES = ("torchserve", "embedded")


@dataclass(frozen=True)
class Settings:
    """What is measured and for how long; times in seconds, of one run."""

    slo: str
    budget: float
    rounds: int
    users: Sequence[int]
    seconds: float
    sizes: Sequence[int]
    delays: Sequence[int]
    workers: Sequence[int]


def main() -> int:
    """Measure, print Markdown tables, and return 0 if the limits are kept."""
    options = _options()
    quick = options.quick
    settings = Settings(
        slo=options.slo,
        budget=10.0 if quick else options.budget,
        rounds=2 if quick else options.rounds,
        users=(4, 16) if quick else (4, 16, 32, 64, 128),
        seconds=0.5 if quick else options.seconds,
        sizes=(64,) if quick else (1, 4, 16, 64),
        delays=(1,) if quick else (1, 5),
        workers=(1,) if quick else tuple(sorted({1, cores(), 2 * cores()})),
    )
    report = Report(options)
    with tempfile.TemporaryDirectory(prefix="lexport-tune-") as scratch:
        keep = options.keep or Path(scratch)
        path = options.archive or archive(run_of(options, Path(scratch)), version="1.0", out=Path(scratch) / "store")
        found = {
            "from the defaults": _tuned(path, settings, keep / "from-defaults", ""),
            "from a poor start": _tuned(path, settings, keep / "from-poor", POOR),
        }
        return _compare(report, path, found, settings, keep, Path(scratch))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("archive", nargs="?", type=Path, help="an archive that lexport made")
    add_options(parser)
    add("--keep", type=Path, help="a folder for every run, from which the same command goes on")
    add("--slo", default="p99=20ms", help="the objective")
    add("--budget", type=float, default=300.0, help="seconds of a search")
    add("--rounds", type=int, default=12, help="of the comparison")
    add("--seconds", type=float, default=5.0, help="of each run of the grid and of the comparison")
    add("--quick", action="store_true", help="tiny settings, no verdict: does it run at all?")
    return parser.parse_args()


def _tuned(path: Path, settings: Settings, out: Path, start: str) -> TuneReport:
    return tune(
        [path],
        slo=[settings.slo],
        budget=settings.budget,
        users=[int(level) for level in settings.users],
        start=start,
        out=out,
        trusted=(),
        say=say,
    )


def grid_of(tested: Tunable, settings: Settings, machine_cores: int) -> list[Candidate]:
    """Return every candidate of the grid, those of one server behind one another."""
    every = []
    for engine in ENGINES:
        default = default_of(tested.served, engine, machine_cores)
        for size in settings.sizes:
            # A batch of one waits for nobody, and the embedded engine never does.
            delays = [0] if engine == "embedded" else settings.delays if size > 1 else settings.delays[:1]
            for delay in delays:
                for workers in settings.workers:
                    every.append(replace(default, workers=workers, batch_size=size, batch_delay=delay))
    servers = dict.fromkeys(map(server_of, every))
    return [one for server in servers for one in every if server_of(one) == server]


def _compare(
    report: Report, path: Path, found: dict[str, TuneReport], settings: Settings, keep: Path, scratch: Path
) -> int:
    [subject] = subjects([path])
    tested = tunable_of(subject, ENGINES)
    load = Load(1, 0.0, 1.0, texts_file(None, subject, scratch), 0.0, 0)
    objectives = parse([settings.slo])
    measuring = Measuring({subject.label: tested}, Trust.of((), False), Target("", "", ""), load, objectives, scratch)

    def measure(task: Task) -> Trial:
        trial = measuring(task)
        say(f"{task.stage} {task.turn} {task.candidate}, {task.level:g} users: {trial.bounded}, p99 {trial.p99_ms}")
        return trial

    default = next(iter(found.values())).outcome.default.candidate
    own = replace(
        default_of(tested.served, "torchserve", cores()),
        workers=cores(),
        batch_size=TORCHSERVE_OWN.size,
        batch_delay=TORCHSERVE_OWN.delay,
    )
    poor = replace(own, workers=4)
    facts = {"archive": digest_of(path), "objectives": [settings.slo], "machine": place()[0]}
    with open_journal(keep / "grid", facts, measure) as journal:
        grid = grid_of(tested, settings, cores())
        with measuring.serving(1, scaled=True, warmup=4.0):
            standings = [_ladder(one, settings, journal) for one in grid]
            seconds = journal.spent
            others = [default, own, poor, *(one.winner for one in found.values())]
            standings += [_ladder(one, settings, journal) for one in dict.fromkeys(others) if one not in grid]
        by_candidate = {one.candidate: one for one in standings}
        best = max(standings[: len(grid)], key=lambda one: one.score)
        named = {
            **{f"tuned {name}": by_candidate[one.winner] for name, one in found.items()},
            "best of the grid": best,
            "defaults": by_candidate[default],
            "TorchServe's own defaults": by_candidate[own],
            "poor start": by_candidate[poor],
        }
        different = [_at_ease(one, objectives) for one in {one.candidate: one for one in named.values()}.values()]
        with measuring.serving(len(different), scaled=False, warmup=4.0):
            trials = alternate(
                different, journal, "comparison", settings.seconds, lambda rounds: rounds < settings.rounds
            )
    runs = {name: trials[one.candidate] for name, one in named.items()}
    report.part("What was found")
    report.text(
        f"{settings.slo}, {settings.rounds} rounds of {settings.seconds:g} s. The grid has {len(grid)} candidates "
        f"with {len(settings.users)} loads each."
    )
    report.table(*_table(named, runs))
    report.part("How long it took")
    report.table(
        ["search", "minutes", "of the grid's", "candidates tried", "runs"],
        [
            *([name, *_times(one.seconds, seconds), *_counts(one.trials)] for name, one in found.items()),
            ["full grid", *_times(seconds, seconds), str(len(grid)), str(len(grid) * len(settings.users))],
        ],
    )
    return report.close(_verdicts(found, runs, seconds))


def _ladder(candidate: Candidate, settings: Settings, journal: Journal) -> Standing:
    """Return a candidate with a run at each load."""
    tasks = [Task(candidate, "grid", 0, float(level), settings.seconds) for level in settings.users]
    return Standing(candidate, [journal(task) for task in tasks])


def _at_ease(standing: Standing, objectives: Sequence[Objective]) -> Standing:
    """Return the standing with the runs alone that met the objectives with a tenth of the p99 to spare, if any."""
    most = min((SPARE * one.limit for one in objectives if one.metric == "p99"), default=math.inf)
    kept = [one for one in standing.trials if one.met and one.p99_ms is not None and one.p99_ms <= most]
    return replace(standing, trials=kept or standing.trials)


def _times(seconds: float, grid: float) -> list[str]:
    return [f"{seconds / 60:.1f}", f"{seconds / grid:.0%}"]


def _counts(trials: Sequence[Trial]) -> list[str]:
    return [str(len({one.task.candidate for one in trials})), str(len(trials))]


def _table(named: dict[str, Standing], runs: Mapping[str, Sequence[Trial]]) -> tuple[list[str], list[list[str]]]:
    columns = ["settings", "engine", "workers", "batch", "delay", "users", "requests/s", "p99 ms", "met in", "× grid"]
    rows = []
    for name, standing in named.items():
        one, found = standing.candidate, runs[name]
        limited = any(trial.client_limit for trial in found)
        rate = median(trial.requests_per_second for trial in found)
        rows.append(
            [
                name,
                one.engine,
                one.worker_set,
                str(one.batch_size),
                str(one.batch_delay or "–"),
                f"{found[0].task.level:g}",
                f"{'≥ ' if limited else ''}{rate:,.0f}",
                f"{median(trial.p99_ms or float('inf') for trial in found):.1f}",
                f"{sum(trial.met for trial in found)} of {len(found)}",
                str(ratio_of(found, runs["best of the grid"])),
            ]
        )
    return columns, rows


def _verdicts(found: dict[str, TuneReport], runs: Mapping[str, Sequence[Trial]], seconds: float) -> list[Verdict]:
    verdicts = []
    for name, one in found.items():
        tuned = runs[f"tuned {name}"]
        near, above, gain = (
            ratio_of(tuned, runs[other]) for other in ("best of the grid", "defaults", "TorchServe's own defaults")
        )
        met = sum(trial.met for trial in tuned) > len(tuned) / 2
        verdicts += [
            Verdict(f"{name}: at least {NEAR} × the best of the grid", str(near), near.median >= NEAR),
            Verdict(
                f"{name}: in at most {SHARE:.0%} of the grid's time",
                f"{one.seconds / seconds:.0%}",
                one.seconds <= SHARE * seconds,
            ),
            Verdict(f"{name}: never below the defaults", str(above), above.median >= 1),
            Verdict(
                f"{name}: at least {GAIN:g} × TorchServe's own defaults, within the objective",
                str(gain),
                gain.median >= GAIN and met,
            ),
        ]
    return verdicts


if __name__ == "__main__":
    raise SystemExit(main())
