"""The cost of our handler: requests/s and latency against a handler that does nothing, behind the same TorchServe.

    python benchmarks/serving.py [--run RUN] [--workers 1,2] [--variants auto,torchscript-int8,onnx-fp32] [--quick]

One server holds the no-op and every variant, with the same model-config.yaml and the same number of workers. In
every round each of them is loaded once, in an order that changes from round to round, by the Locust client of
`lexport loadtest`; a ratio compares two runs of the same round. The no-op reads nothing and answers one constant
body, a real answer of ours of median length. Exits with 1 if the first variant stays below the limit at the most
users.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lexport import serving
from lexport.benchmarks.figures import interval, say, surrounded, table
from lexport.export.archive import archive
from lexport.export.export import export
from lexport.export.inprocess import opened
from lexport.export.reader import EVIDENCE, read_json
from lexport.export.variants import choose
from lexport.handlers.digests import DIGESTS, read_digests
from lexport.loadtest import client
from lexport.loadtest.client import Load, Target
from lexport.models import recipes
from lexport.models.run import open_run
from lexport.models.train import train

LIMIT = 0.65  # of the no-op's requests/s, at the most users
NOOP = "noop"
CONFIG = "model-config.yaml"

# TorchServe would otherwise decode every body for it and carry several log lines a batch over a pipe: our own
# handler switches both off, so the ceiling has them off too.
HANDLER = """\
import logging
import os


class Handler:
    def initialize(self, context):
        logging.getLogger().setLevel(logging.WARNING)
        os.environ["TS_DECODE_INPUT_REQUEST"] = "false"

    def handle(self, data, context):
        return [{body!r}] * len(data)
"""


@dataclass(frozen=True)
class Settings:
    """What is measured and for how long; seconds are those of one run."""

    workers: Sequence[int]
    users: Sequence[int]
    rounds: int
    seconds: float
    warmup: float
    batch_size: int | None
    batch_delay: int | None


def main() -> int:
    """Measure, print Markdown tables, and return 0 if the limit is kept."""
    options = _options()
    settings = Settings(
        workers=[int(one) for one in options.workers.split(",")],
        users=[int(one) for one in options.users.split(",")],
        rounds=2 if options.quick else options.rounds,
        seconds=1.0 if options.quick else options.seconds,
        warmup=1.0 if options.quick else 8.0,
        batch_size=options.batch_size,
        batch_delay=options.batch_delay,
    )
    started = time.time()
    with tempfile.TemporaryDirectory(prefix="lexport-serving-") as scratch:
        folder = Path(scratch)
        run = options.run or _train(folder, options.data)
        texts = open_run(run).held_out("test").texts
        (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        archives, names = _archives(run, options.variants.split(","), texts, settings, folder)
        ratios = []
        for workers in settings.workers:
            rows, worst = _measure_set(archives, names, workers, settings, options.config, folder)
            print(_heading(workers, settings, names, archives[0]))
            print(rows)
            ratios.append(worst)
    print(surrounded(started))
    if options.quick:
        say("quick settings: no verdict")
        return 0
    kept = ratios[0] >= LIMIT
    print(f"\n{'kept' if kept else 'MISSED'}: {ratios[0]:.2f} × the no-op's requests/s, at least {LIMIT} wanted")
    return 0 if kept else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--run", type=Path, help="an exported run; without it one is trained on --data")
    add("--data", default="rotten-tomatoes", help="sample set or file to train on")
    add("--variants", default="auto,torchscript-int8,onnx-fp32", help="the first one decides the verdict")
    add("--workers", default="1,2", help="workers a model; the first one decides the verdict")
    add("--users", default="1,64", help="numbers of users; the last one decides the verdict")
    add("--rounds", type=int, default=9)
    add("--seconds", type=float, default=4.0, help="of each measured run")
    add("--batch-size", type=int, help="instead of the archive's own, for all")
    add("--batch-delay", type=int, help="milliseconds instead of the archive's own, for all")
    add("--config", type=Path, help="TorchServe settings over the packaged ones")
    add("--quick", action="store_true", help="two rounds of a second each, no verdict: does it run at all?")
    return parser.parse_args()


def _train(folder: Path, data: str) -> Path:
    say(f"training and exporting on {data}")
    export(train(data, folder / "model", recipe=recipes.load("bag")), choose(None), say=say)
    return folder / "model"


def _archives(
    run: Path, variants: Sequence[str], texts: Sequence[str], settings: Settings, folder: Path
) -> tuple[list[Path], dict[str, str]]:
    """The archives to serve, and what to call each model in the tables; the no-op comes last."""
    names: dict[str, str] = {}
    paths = []
    for variant in variants:
        path = archive(run, version="1.0", name=f"ours-{variant}", variant=variant, out=folder / "packed")
        packed = str(read_json(path, EVIDENCE)["variant"])
        if packed in names.values():
            continue
        names[f"ours-{variant}"] = packed
        paths.append(_with_settings(path, settings, folder / path.name))
    paths.append(_pack_noop(paths[0], texts, folder / "noop.mar"))
    return paths, names | {NOOP: "no-op"}


def _with_settings(path: Path, settings: Settings, target: Path) -> Path:
    """A copy of an archive, with this benchmark's batching where it is asked for and the digests to match."""
    with zipfile.ZipFile(path) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    lines = members[CONFIG].decode().splitlines()
    for key, value in (("batchSize", settings.batch_size), ("maxBatchDelay", settings.batch_delay)):
        if value is not None:
            lines = [f"{key}: {value}" if line.startswith(key) else line for line in lines]
    members[CONFIG] = "".join(f"{line}\n" for line in lines).encode()
    digests = read_digests(members[DIGESTS].decode()) | {CONFIG: hashlib.sha256(members[CONFIG]).hexdigest()}
    members[DIGESTS] = "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
    return _write(target, members)


def _pack_noop(ours: Path, texts: Sequence[str], target: Path) -> Path:
    """An archive with our settings whose handler answers our answer of median length to everything."""
    with opened(ours) as archived:
        answers = [archived.request([(text.encode(), "text/plain")])[0][1] for text in texts[:500]]
    body = sorted(answers, key=len)[len(answers) // 2]
    with zipfile.ZipFile(ours) as packed:
        config = packed.read(CONFIG)
    model = {"modelName": NOOP, "modelVersion": "1.0", "handler": "handler.py", "configFile": CONFIG}
    manifest = {"runtime": "python", "archiverVersion": "0.12.0", "model": model}
    members = {
        "MAR-INF/MANIFEST.json": json.dumps(manifest).encode(),
        "handler.py": HANDLER.format(body=body).encode(),
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
    workers: int,
    settings: Settings,
    config: Path | None,
    folder: Path,
) -> tuple[str, float]:
    """Serve everything with so many workers a model: the table, and the first variant's ratio at the most users."""
    load = Load(max(settings.users), 0.5, settings.seconds, folder / "texts.jsonl", 0.1, seed=0)
    state = folder / f"server-{workers}"
    server = serving.serve(archives, workers=f"cpu:{workers}", state_dir=state, port=0, config=config, say=say)
    rows: list[list[str]] = []
    ratio = 0.0
    try:
        targets = {name: Target(server.inference_url, name, server.token()) for name in names}
        for target in targets.values():
            client.run(target, replace(load, duration=settings.warmup), folder)
        for users in settings.users:
            measured = _rounds(targets, replace(load, users=users), settings.rounds, folder)
            rows += [_row(users, names[name], measured[name], measured[NOOP]) for name in names]
            first = measured[next(iter(names))]
            ratio = statistics.median(_ratios(first, measured[NOOP]))
    finally:
        serving.stop(state)
    columns = ["users", "handler", "requests/s", "× no-op", "95 %", "p50 ms", "p99 ms", "failed", "client"]
    return table(columns, rows), ratio


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


def _ratios(ours: Sequence[Mapping[str, Any]], noop: Sequence[Mapping[str, Any]]) -> list[float]:
    return [a["requests_per_second"] / b["requests_per_second"] for a, b in zip(ours, noop, strict=True)]


def _row(users: int, name: str, found: Sequence[Mapping[str, Any]], noop: Sequence[Mapping[str, Any]]) -> list[str]:
    def median(key: str) -> float:
        return float(statistics.median(one[key] for one in found))

    ratios = _ratios(found, noop)
    low, high = interval(np.array(ratios))
    compared = ["1", ""] if found is noop else [f"{statistics.median(ratios):.2f}", f"{low:.2f} – {high:.2f}"]
    client_share = statistics.median(one["client_seconds"] / one["seconds"] for one in found)
    return [
        str(users),
        name,
        f"{median('requests_per_second'):,.0f}",
        *compared,
        f"{median('p50_ms'):.2f}",
        f"{median('p99_ms'):.1f}",
        str(sum(one["failures"] for one in found)),
        f"{client_share:.0%}",
    ]


def _heading(workers: int, settings: Settings, names: Mapping[str, str], first: Path) -> str:
    with zipfile.ZipFile(first) as packed:
        lines = packed.read(CONFIG).decode().splitlines()
    batching = ", ".join(line for line in lines if line.startswith(("batchSize", "maxBatchDelay")))
    return (
        f"### {workers} worker{'s' if workers > 1 else ''} a model\n\n{batching}; {len(names)} models in one server; "
        f"{settings.rounds} rounds of {settings.seconds:g} s each\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
