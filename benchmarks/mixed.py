"""Several models in one server: do threads add up to the cores, and does a model under load starve the others?

    python benchmarks/mixed.py [--engines embedded,torchserve] [--rounds 5] [--seconds 4] [--keep DIR] [--quick]

One server of each engine has five models of different kinds, one of them in two versions. In each round each is asked
alone, then all at once over equally many connections, then all at once with the slowest over many and each other over
one. The client is this process, over keep-alive connections, each of which asks as soon as it has its answer.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from lexport.benchmarks.connections import PATIENCE, receive
from lexport.benchmarks.figures import say
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.export.archive.pack import archive
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.models import recipes
from lexport.models.run import open_run
from lexport.serving import Server, serve, status, stop
from lexport.serving.operations import deploy
from lexport.training.train import train

DATA = "rotten-tomatoes"
RECIPES = ("bag", "linear", "cnn", "lstm", "transformer")
FIRST, SECOND, HEAVY = "bag", "bag 2.0", "transformer"
"""The model in two versions, its second one, and the slowest."""
EACH, MANY = 4, 64  # connections
TURNS = 3.0  # times that a request may wait for all models to have answered once
SPREAD = 20.0  # of the ratios of p99: a quick model waits for slow ones, and its own p99 is a fraction of theirs
BUSY = 0.05  # share of a core from which on a thread counts as one that computes
TEXTS = 200


@dataclass(frozen=True)
class Asked:
    """What one model did while it was asked."""

    rate: float
    """Requests a second."""
    median: float
    """Milliseconds from a request to its answer."""
    p99: float
    """Of a hundred requests, one takes longer, in milliseconds."""


@dataclass(frozen=True)
class Served:
    """A server, its requests by model, and the processes that compute."""

    server: Server
    requests: Mapping[str, Sequence[bytes]]
    workers: Sequence[psutil.Process]
    threads: int
    """That all workers together are given."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.server.inference_url.removeprefix("http://").partition(":")
        return host, int(port)


def main() -> int:
    """Measure and print Markdown tables."""
    options = _options()
    report = Report(options)
    rounds, seconds = (1, 1.0) if options.quick else (options.rounds, options.seconds)
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="lexport-mixed-", dir="/tmp") as scratch:
        paths = _archives(options.keep or Path(scratch))
        texts = _texts(options.keep or Path(scratch))
        for engine in options.engines.split(","):
            with _served(engine, paths, texts, Path(scratch) / engine) as served:
                verdicts += _measure(engine, served, rounds, seconds, report)
    return report.close(verdicts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_options(parser)
    add("--engines", default="embedded,torchserve")
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=4.0, help="of each measurement")
    add("--keep", type=Path, help="where the archives lie, or are to be kept")
    add("--quick", action="store_true", help="one short round, no verdict: does it run at all?")
    return parser.parse_args()


def _archives(folder: Path) -> dict[str, Path]:
    """The archives by model, made where they are not there. One epoch is enough: speed is not learned."""
    paths = {name: folder / f"{name}-1.0.mar" for name in RECIPES} | {SECOND: folder / f"{FIRST}-2.0.mar"}
    for name in RECIPES:
        if paths[name].exists():
            continue
        say(f"making {name}")
        recipe = recipes.load(name)
        if name != "linear":  # whose training has no epochs
            recipe = recipe.changed("training", epochs=1)
        run = train(DATA, folder / f"run-{name}", recipe=recipe)
        export(run, choose("onnx-fp32"))
        archive(run.folder, version="1.0", name=name, variant="onnx-fp32", out=folder)
        if name == FIRST:
            archive(run.folder, version="2.0", name=name, variant="onnx-fp32", out=folder)
    return paths


def _texts(folder: Path) -> list[str]:
    return list(open_run(folder / f"run-{FIRST}").held_out("test").texts[:TEXTS])


@contextmanager
def _served(engine: str, paths: Mapping[str, Path], texts: Sequence[str], state: Path) -> Iterator[Served]:
    """A server with all models; the second version is deployed beside the first."""
    first = [path for name, path in paths.items() if name != SECOND]
    server = serve(first, engine=engine, workers="cpu", port=0, state_dir=state, bound=True)
    try:
        deploy(paths[SECOND], state_dir=state)
        found = status(state)
        reported = {worker["pid"]: worker["threads"] for model in found["models"] for worker in model["workers"]}
        requests = {name: [_request(name, server.token(), text) for text in texts] for name in paths}
        # A process of the embedded engine has models with one thread and models with all of its threads.
        threads = found["threads"] * len(reported) if engine == "embedded" else sum(reported.values())
        yield Served(server, requests, [psutil.Process(pid) for pid in reported], threads)
    finally:
        stop(state)


def _request(name: str, token: str, text: str) -> bytes:
    body = json.dumps({"text": text}).encode()
    head = (
        f"POST /predictions/{name.replace(' ', '/')} HTTP/1.1\r\nHost: mixed\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _measure(engine: str, served: Served, rounds: int, seconds: float, report: Report) -> list[Verdict]:
    names = list(served.requests)
    alone: dict[str, list[Asked]] = {name: [] for name in names}
    mixes: dict[str, dict[str, list[Asked]]] = {}
    connections = {
        "all": dict.fromkeys(names, EACH),
        "heavy": dict.fromkeys(names, 1) | {HEAVY: MANY},
    }
    computing: list[int] = []
    _ask(served, connections["all"], min(seconds, 2.0))
    for turn in range(rounds):
        say(f"{engine}, round {turn + 1} of {rounds}")
        for name in names if turn % 2 == 0 else names[::-1]:
            alone[name].append(_ask(served, {name: EACH}, seconds)[name])
        for kind, counts in connections.items():
            before = _times(served)
            for name, asked in _ask(served, counts, seconds).items():
                mixes.setdefault(kind, {}).setdefault(name, []).append(asked)
            computing.append(
                sum(after - before.get(thread, 0.0) > BUSY * seconds for thread, after in _times(served).items())
            )
    return _show(engine, served, alone, mixes, computing, report)


def _times(served: Served) -> dict[tuple[int, int], float]:
    """Processor time of each thread of the workers, in seconds."""
    return {
        (worker.pid, thread.id): thread.user_time + thread.system_time
        for worker in served.workers
        for thread in worker.threads()
    }


def _show(
    engine: str,
    served: Served,
    alone: Mapping[str, Sequence[Asked]],
    mixes: Mapping[str, Mapping[str, Sequence[Asked]]],
    computing: Sequence[int],
    report: Report,
) -> list[Verdict]:
    report.part(engine)
    cores = psutil.cpu_count() or 1
    report.text(
        f"Processes that compute: {len(served.workers)}, with {served.threads} threads together on {cores} cores; "
        f"{min(computing)} to {max(computing)} threads took part of a core each."
    )
    turn = sum(_middle(asked, "p99") for asked in alone.values())
    titles = {"all": f"all over {EACH} each", "heavy": f"{HEAVY} over {MANY}, the others over 1"}
    rows = []
    for name, asked in alone.items():
        cells = [name, *(f"{_middle(asked, field):{form}}" for field, form in _FIGURES)]
        for kind in titles:
            found = mixes[kind][name]
            cells += [f"{_middle(found, field):{form}}" for field, form in _FIGURES]
            cells.append(f"{_middle(found, 'p99') / _middle(asked, 'p99'):.1f}")
        rows.append(cells)
    figures = ["requests/s", "median, ms", "p99, ms"]
    columns = ["model", *(f"{figure} alone over {EACH}" for figure in figures)]
    for title in titles.values():
        columns += [f"{figure}, {title}" for figure in figures] + [f"p99 ÷ alone, {title}"]
    report.table(columns, rows)
    verdicts = []
    for kind, title in titles.items():
        others = [name for name in alone if kind == "all" or name != HEAVY]
        longest = max(_middle(mixes[kind][name], "p99") for name in others)
        asked_for = f"{engine}, {title}: p99 of each model at most {TURNS:g} times the sum of all alone"
        verdicts.append(Verdict(asked_for, f"{longest:.1f} ms, {longest / turn:.2f} times", longest <= TURNS * turn))
        least = min(_middle(mixes[kind][name], "rate") for name in alone)
        verdicts.append(Verdict(f"{engine}, {title}: every model answers", f"{least:,.0f} requests/s", least > 0))
    ratios = [_middle(mixes["all"][name], "p99") / _middle(asked, "p99") for name, asked in alone.items()]
    asked_for = f"{engine}, {titles['all']}: p99 in the mix ÷ alone of each at most {SPREAD:g} times any other's"
    spread = max(ratios) / min(ratios)
    return [*verdicts, Verdict(asked_for, f"{min(ratios):.1f} to {max(ratios):.1f}", spread <= SPREAD)]


_FIGURES = (("rate", ",.0f"), ("median", ".2f"), ("p99", ".2f"))


def _middle(asked: Sequence[Asked], field: str) -> float:
    return float(statistics.median(getattr(one, field) for one in asked))


def _ask(served: Served, connections: Mapping[str, int], seconds: float) -> dict[str, Asked]:
    """Ask models, each over so many connections, after a third of a second that is not counted."""
    watched, clients, models = select.epoll(), {}, {}
    began: dict[int, float] = {}
    try:
        for name, count in connections.items():
            for place in range(count):
                client = socket.create_connection(served.address, PATIENCE)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()], models[client.fileno()] = client, name
                watched.register(client, select.EPOLLIN)
                began[client.fileno()] = time.perf_counter()
                client.sendall(served.requests[name][place])
        _turns(served, watched, clients, models, began, 0.3)
        found = _turns(served, watched, clients, models, began, seconds)
    finally:
        for client in clients.values():
            client.close()
        watched.close()
    return {name: _asked(sorted(found.get(name, [])), seconds) for name in connections}


def _asked(took: Sequence[float], seconds: float) -> Asked:
    if not took:
        return Asked(0.0, float("inf"), float("inf"))
    return Asked(len(took) / seconds, took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3)


def _turns(
    served: Served,
    watched: select.epoll,
    clients: Mapping[int, socket.socket],
    models: Mapping[int, str],
    began: dict[int, float],
    seconds: float,
) -> dict[str, list[float]]:
    """Seconds from each request to its answer, by model, for so many seconds. Raises SystemExit for any but 200."""
    took: dict[str, list[float]] = {}
    clock, number, ends = time.perf_counter, 0, time.perf_counter() + seconds
    while clock() < ends:
        for place, _ in watched.poll(PATIENCE):
            client, name = clients[place], models[place]
            receive(client)
            now = clock()
            took.setdefault(name, []).append(now - began[place])
            began[place] = now
            number += 1
            requests = served.requests[name]
            client.sendall(requests[number % len(requests)])
    return took


if __name__ == "__main__":
    sys.exit(main())
