"""The cost of our handler, and what it gains: requests/s and latency against a no-op and against a plain handler.

    python benchmarks/serving.py [--run RUN] [--workers 1] [--variants auto,torchscript-int8] [--quick]

One server holds two no-ops and every variant in the profile `throughput`, the first variant in the profile `latency`
too, all with the same number of workers. A no-op reads nothing and answers one constant body, a real answer of ours
of median length. The first is TorchServe's own ceiling; the second receives its batches as our handlers do
(handlers/runtime/torchserve_patch.py), so that what that gains can be told from what the rest of ours costs. Beside
it runs TorchServe with its own defaults and a handler as tutorials show it (plain.py). In every round each of them is
loaded once, in an order that changes from round to round, by the Locust client of
`lexport loadtest`; a ratio compares two runs of the same round. Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lexport import serving
from lexport.benchmarks import plain
from lexport.benchmarks.figures import interval, say
from lexport.benchmarks.report import Report, Verdict
from lexport.benchmarks.small import add_options, run_of
from lexport.export.archive.format.reader import EVIDENCE, read_json
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.pack import archive
from lexport.export.archive.profiles import PROFILES
from lexport.handlers.model.digests import DIGESTS, read_digests
from lexport.handlers.runtime import torchserve_patch as sockets
from lexport.loadtest import locust_process as client
from lexport.loadtest.locust_process import Load, Target
from lexport.models.run import open_run

CEILING = 0.75  # of the no-op's requests/s, at the most users
GAIN = 3.0  # times the plain handler's requests/s, at the most users
LATENCY = 1.0  # of the plain handler's median latency, at the fewest users
NOOP, READER = "noop", "noop-reader"
CONFIG = "model-config.yaml"

# TorchServe would otherwise decode every body for it and carry several log lines a batch over a pipe: our own
# handler switches both off, so the ceiling has them off too.
HANDLER = """\
import logging
import os


class Handler:
    def initialize(self, context):
        logging.getLogger().setLevel(logging.WARNING)
        os.environ["TS_DECODE_INPUT_REQUEST"] = "false"{install}

    def handle(self, data, context):
        return [{body!r}] * len(data)
"""

INSTALL = """
        import sockets
        sockets.install()"""


@dataclass(frozen=True)
class Settings:
    """What is measured and for how long; seconds are those of one run."""

    workers: Sequence[int]
    users: Sequence[int]
    rounds: int
    seconds: float
    warmup: float
    batch_delay: int | None


@dataclass(frozen=True)
class Measured:
    """The runs of every handler, in the order of rounds, by number of users and handler."""

    names: Mapping[str, str]
    runs: Mapping[int, Mapping[str, Sequence[Mapping[str, Any]]]]

    def ratios(self, users: int, name: str, other: str, key: str) -> list[float]:
        """`key` of one handler over that of another, round by round."""
        own, others = self.runs[users][name], self.runs[users][other]
        return [float(a[key]) / float(b[key]) for a, b in zip(own, others, strict=True)]

    def ratio(self, users: int, name: str, other: str, key: str) -> str:
        """The median of `ratios` with its interval."""
        ratios = self.ratios(users, name, other, key)
        low, high = interval(np.array(ratios))
        return f"{statistics.median(ratios):.2f} [{low:.2f}, {high:.2f}]"

    def median(self, users: int, name: str, key: str) -> float:
        """The median over rounds."""
        return float(statistics.median(one[key] for one in self.runs[users][name]))


def main() -> int:
    """Measure, print Markdown tables, and return 0 if the limits are kept."""
    options = _options()
    settings = Settings(
        workers=[int(one) for one in options.workers.split(",")],
        users=sorted(int(one) for one in options.users.split(",")),
        rounds=2 if options.quick else options.rounds,
        seconds=1.0 if options.quick else options.seconds,
        warmup=1.0 if options.quick else 8.0,
        batch_delay=options.batch_delay,
    )
    report = Report(options)
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="lexport-serving-") as scratch:
        folder = Path(scratch)
        run = run_of(options, folder)
        held = open_run(run).held_out("test").texts
        (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in held))
        archives, names = _archives(run, options.variants.split(","), held, settings, folder)
        (folder / plain.NAME).mkdir()
        theirs = plain.pack(held, open_run(run).labels, folder / plain.NAME / "plain.mar")
        with plain.served(theirs, folder / plain.NAME) as target:
            for workers in settings.workers:
                measured = _measure_set(archives, names, target, workers, settings, options.config, folder)
                report.part(f"{workers} worker{'s' if workers > 1 else ''} a model of ours")
                report.text(f"{len(names)} handlers; {settings.rounds} rounds of {settings.seconds:g} s each")
                report.table(*_table(measured))
                verdicts += _verdicts(measured)
    return report.close(verdicts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_options(parser)
    add("--variants", default="auto", help="the first one is served in both profiles and decides the verdicts")
    add("--workers", default="1", help="workers of each model of ours")
    add("--users", default="1,64", help="numbers of users")
    add("--rounds", type=int, default=9)
    add("--seconds", type=float, default=4.0, help="of each measured run")
    add("--batch-delay", type=int, help="milliseconds instead of the archives' own, for ours and the no-op")
    add("--config", type=Path, help="TorchServe settings over the packaged ones")
    add("--quick", action="store_true", help="two rounds of a second each, no verdict: does it run at all?")
    return parser.parse_args()


def _archives(
    run: Path, variants: Sequence[str], texts: Sequence[str], settings: Settings, folder: Path
) -> tuple[list[Path], dict[str, str]]:
    """The archives to serve, and what to call each handler in the tables; the plain one comes last."""
    names: dict[str, str] = {}
    paths = []
    for number, variant in enumerate(variants):
        for profile in PROFILES if number == 0 else ("throughput",):
            name = f"ours-{variant}-{profile}"
            path = archive(run, version="1.0", name=name, variant=variant, profile=profile, out=folder / "packed")
            called = f"{read_json(path, EVIDENCE)['variant']}, {profile}"
            if called not in names.values():
                names[name] = called
                paths.append(_with_delay(path, settings, folder / path.name))
    noops = {NOOP: "no-op, throughput", READER: "no-op that reads as ours, throughput"}
    paths += [_pack_noop(paths[0], texts, name, folder / f"{name}.mar") for name in noops]
    return paths, names | noops | {plain.NAME: "plain handler, TorchServe's defaults"}


def _with_delay(path: Path, settings: Settings, target: Path) -> Path:
    """The archive, or a copy with this benchmark's batch delay where one is asked for, its digests made to match."""
    if settings.batch_delay is None:
        return path
    with zipfile.ZipFile(path) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    lines = members[CONFIG].decode().splitlines()
    lines = [f"maxBatchDelay: {settings.batch_delay}" if line.startswith("maxBatchDelay") else line for line in lines]
    members[CONFIG] = "".join(f"{line}\n" for line in lines).encode()
    digests = read_digests(members[DIGESTS].decode()) | {CONFIG: hashlib.sha256(members[CONFIG]).hexdigest()}
    members[DIGESTS] = "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
    return _write(target, members)


def _pack_noop(ours: Path, texts: Sequence[str], name: str, target: Path) -> Path:
    """An archive with our settings whose handler answers our answer of median length to everything."""
    with load_archive(ours) as archived:
        answers = [archived.request([(text.encode(), "text/plain")])[0][1] for text in texts[:500]]
    body = sorted(answers, key=len)[len(answers) // 2]
    with zipfile.ZipFile(ours) as packed:
        config = packed.read(CONFIG)
    model = {"modelName": name, "modelVersion": "1.0", "handler": "handler.py", "configFile": CONFIG}
    manifest = {"runtime": "python", "archiverVersion": "0.12.0", "model": model}
    members = {
        "MAR-INF/MANIFEST.json": json.dumps(manifest).encode(),
        "handler.py": HANDLER.format(body=body, install=INSTALL if name == READER else "").encode(),
        "sockets.py": Path(sockets.__file__).read_bytes(),
        CONFIG: config,
    }
    return _write(target, members)


def _write(target: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(target, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return target


def _measure_set(
    archives: Sequence[Path],
    names: Mapping[str, str],
    theirs: Target,
    workers: int,
    settings: Settings,
    config: Path | None,
    folder: Path,
) -> Measured:
    """Serve our archives with so many workers a model, and load them and the plain handler in turns."""
    load = Load(max(settings.users), 0.5, settings.seconds, folder / "texts.jsonl", 0.1, seed=0)
    state = folder / f"server-{workers}"
    server = serving.serve(
        archives, workers=f"cpu:{workers}", state_dir=state, port=0, config=config, trust_code=True, say=say
    )
    try:
        targets = {name: Target(server.inference_url, name, server.token()) for name in names} | {
            theirs.model: theirs
        }
        for target in targets.values():
            client.run(target, replace(load, duration=settings.warmup), folder)
        runs = {
            users: _rounds(targets, replace(load, users=users), settings.rounds, folder) for users in settings.users
        }
    finally:
        serving.stop(state)
    return Measured(names, runs)


def _rounds(targets: Mapping[str, Target], load: Load, rounds: int, folder: Path) -> dict[str, list[dict[str, Any]]]:
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in targets}
    names = list(targets)
    for number in range(rounds):
        # Every second round runs backwards, from another start: no one always follows the same neighbour.
        order = names[number % len(names) :] + names[: number % len(names)]
        for name in order[:: 1 if number % 2 else -1]:
            measured[name].append(client.run(targets[name], load, folder))
        rates = ", ".join(f"{name} {found[-1]['requests_per_second']:,.0f}" for name, found in measured.items())
        say(f"{load.users} users, round {number + 1} of {rounds}: {rates} requests/s")
    return measured


def _table(measured: Measured) -> tuple[list[str], list[list[str]]]:
    columns = [
        "users",
        "handler",
        "requests/s",
        "× no-op",
        "× plain",
        "p50 ms",
        "p50 ÷ plain's",
        "p99 ms",
        "failed",
        "client",
    ]
    rows = []
    for users, runs in measured.runs.items():
        for name, found in runs.items():

            def against(other: str, key: str, name: str = name, users: int = users) -> str:
                return "1" if name == other else measured.ratio(users, name, other, key)

            client_share = statistics.median(one["client_seconds"] / one["seconds"] for one in found)
            rows.append(
                [
                    str(users),
                    measured.names[name],
                    f"{measured.median(users, name, 'requests_per_second'):,.0f}",
                    against(NOOP, "requests_per_second"),
                    against(plain.NAME, "requests_per_second"),
                    f"{measured.median(users, name, 'p50_ms'):.2f}",
                    against(plain.NAME, "p50_ms"),
                    f"{measured.median(users, name, 'p99_ms'):.1f}",
                    str(sum(one["failures"] for one in found)),
                    f"{client_share:.0%}",
                ]
            )
    return columns, rows


def _users(count: int) -> str:
    return f"{count} user{'s' if count > 1 else ''}"


def _verdicts(measured: Measured) -> list[Verdict]:
    """What was asked of the profiles, and what was found."""
    few, many = min(measured.runs), max(measured.runs)
    throughput, latency = list(measured.names)[:2]

    def row(asked: str, users: int, name: str, other: str, key: str, least: float | None) -> Verdict:
        found = statistics.median(measured.ratios(users, name, other, key))
        held = found >= least if least is not None else found <= LATENCY
        return Verdict(asked, measured.ratio(users, name, other, key), held)

    rate, p50 = "requests_per_second", "p50_ms"
    return [
        row(
            f"`throughput`, {_users(many)}: requests/s at least {CEILING} × the no-op's",
            many,
            throughput,
            NOOP,
            rate,
            CEILING,
        ),
        row(
            f"`throughput`, {_users(many)}: requests/s at least {GAIN:g} × the plain handler's",
            many,
            throughput,
            plain.NAME,
            rate,
            GAIN,
        ),
        row(
            f"`latency`, {_users(few)}: p50 no higher than the plain handler's",
            few,
            latency,
            plain.NAME,
            p50,
            None,
        ),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
