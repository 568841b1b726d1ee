"""Ray Serve beside the embedded engine: what each way to a replica costs, and what more replicas and nodes give.

    python benchmarks/ray_cluster.py MAR [--parts ways,replicas] [--seconds 6] [--rounds 3] [--quick]

*ways*: the same archive in one process of the embedded engine, and in one replica behind Ray's HAProxy with lexport's
HTTP server in the replica, and behind Ray's Python proxy, at 1 and 64 connections.
*replicas*: one, two and four replicas on one node, and two on two nodes, in an open loop of equal gaps. Then, worked
out and not measured, what 100,000 requests a second take. Called `ray_cluster`: a script `ray.py` would be imported
in the place of Ray.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import psutil

from lexport.benchmarks import in_parts
from lexport.benchmarks.connections import Cell
from lexport.benchmarks.figures import say
from lexport.benchmarks.report import Report, Verdict
from lexport.benchmarks.rivals import Running, address_of, answering, ask
from lexport.loadtest import locust_process as client
from lexport.loadtest.locust_process import Load, Target
from lexport.serving import serve, stop
from lexport.serving.ray.cluster import Cluster
from lexport.serving.ray.environment import LOOPBACK, discard, free_ports, of_one_machine
from lexport.serving.ray.orders import ModelOrder, VersionOrder
from lexport.serving.store import read

EMBEDDED = "embedded engine, 1 process"
WAYS: dict[str, dict[str, str]] = {
    EMBEDDED: {},
    "HAProxy, lexport's server in the replica": {},
    "Ray's Python proxy": {"RAY_SERVE_ENABLE_HA_PROXY": "0"},
}
OWN = "HAProxy, lexport's server in the replica"
CONNECTIONS = (1, 64)
SCALES = ((1, 1), (2, 1), (4, 1), (2, 2))  # replicas and nodes
RATE = 1_000.0  # requests a second of the open loop
MANY, CORES, USED, PRICE = (
    100_000,
    16,
    0.7,
    0.04,
)  # requests/s; cores of a node; share of them used; $ a core and hour
PARTS = ("replica", "proxy", "the rest of Ray")


class Shown(NamedTuple):
    """A cell, and where the processor time of a request went, in microseconds."""

    cell: Cell
    spent: dict[str, float]


def main() -> int:
    """Measure and print Markdown tables."""
    if sys.argv[1:2] == ["--hold"]:
        return _hold(Path(sys.argv[2]), *map(int, sys.argv[3:6]))
    return in_parts.run(__doc__, {"ways": _ways, "replicas": _replicas}, rounds=3, quick=2.0)


def _hold(archive: Path, port: int, replicas: int, nodes: int) -> int:
    """Run a cluster that answers with an archive until the standard input ends."""
    folder = Path(tempfile.mkdtemp(prefix="lx", dir="/tmp"))
    os.environ |= {**of_one_machine(folder), "RAY_TMPDIR": str(folder), **os.environ}
    from ray.cluster_utils import Cluster as Machines

    shared: dict[str, Any] = {"include_dashboard": False, "node_ip_address": LOOPBACK}
    each = -(-replicas // nodes)
    machines = Machines(
        initialize_head=True, head_node_args={**shared, "num_cpus": each, "temp_dir": str(folder / "ray")}
    )
    for _ in range(nodes - 1):
        machines.add_node(num_cpus=each, **shared)
    try:
        cluster = Cluster.connect(machines.address, host=LOOPBACK, port=port)
        found = read(archive)
        version = VersionOrder(found.version, cluster.put(archive), queue=10_000)
        cluster.apply(ModelOrder(found.name, (version,), found.version, least=replicas, most=replicas))
        print("ready", flush=True)
        sys.stdin.read()
        cluster.close()
    finally:
        machines.shutdown()  # type: ignore[no-untyped-call]
        discard(folder)
    return 0


@contextmanager
def _cluster(
    archive: Path, replicas: int = 1, nodes: int = 1, variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Running]:
    [port] = free_ports(1)
    command = [sys.executable, str(Path(__file__).resolve()), "--hold", str(archive), str(port)]
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, str(replicas), str(nodes)],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            if "ready\n" not in iter(process.stdout.readline, ""):  # Ray prints, too
                raise SystemExit("the cluster does not start; what it printed says why")
            path = f"/predictions/{read(archive).name}"
            yield answering(psutil.Process(process.pid), (LOOPBACK, port), path, "", began)
        finally:
            process.communicate()


@contextmanager
def _embedded(archive: Path, scratch: Path) -> Iterator[Running]:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    began = time.perf_counter()
    server = serve([archive], engine="embedded", workers="cpu:1", port=0, state_dir=folder, bound=True)
    try:
        supervisor = psutil.Process(server.supervisor)
        path = f"/predictions/{read(archive).name}"
        yield answering(supervisor, address_of(server.inference_url), path, server.token(), began)
    finally:
        stop(folder)


def _spent(process: psutil.Process) -> dict[str, float]:
    """Return the processor time of a server's processes by what they are, in seconds."""
    found = dict.fromkeys(PARTS, 0.0)
    for one in [process, *process.children(recursive=True)]:
        try:
            times, command = one.cpu_times(), " ".join(one.cmdline()[:1])
            name = one.name()
        except psutil.Error:
            continue
        kind = "the rest of Ray"
        if "ServeReplica" in command or "worker" in command:
            kind = "replica"
        elif "haproxy" in name or "Proxy" in command:
            kind = "proxy"
        found[kind] += times.user + times.system
    return found


def _asked(options: argparse.Namespace, running: Running, count: int, seconds: float, scratch: Path) -> Shown:
    before = _spent(running.process)
    began = time.perf_counter()
    cell = ask(options.wrk, running, count, seconds, scratch)
    requests = cell.rate * (time.perf_counter() - began)
    after = _spent(running.process)
    return Shown(cell, {part: (after[part] - before[part]) / requests * 1e6 for part in PARTS})


def _ways(options: argparse.Namespace, report: Report, rounds: int, seconds: float, scratch: Path) -> list[Verdict]:
    found: dict[tuple[str, int], list[Shown]] = {}
    for turn in range(rounds):  # every way in each round, so that what else runs slows down none alone
        for way in WAYS if turn % 2 == 0 else reversed(WAYS):
            say(f"round {turn + 1} of {rounds}: {way}")
            archive = options.archive
            with (
                _embedded(archive, scratch) if way == EMBEDDED else _cluster(archive, variables=WAYS[way]) as running
            ):
                ask(options.wrk, running, 16, min(seconds, 2.0), scratch)
                for count in CONNECTIONS:
                    found.setdefault((way, count), []).append(_asked(options, running, count, seconds, scratch))
    for count in CONNECTIONS:
        report.part(f"Ways to a replica, {count} connection{'s' if count > 1 else ''}")
        rows = [[way, *_figures(found[way, count])] for way in WAYS]
        columns = ["way", "requests/s", "median, ms", "p99, ms", "replica, µs", "proxy, µs", "client, µs"]
        report.table(columns, rows)
    _worked_out(report, found[OWN, 64])
    best, python = (_median(found[way, 64], "rate") for way in (OWN, "Ray's Python proxy"))
    return [
        Verdict(
            "64 connections: HAProxy and lexport's server ÷ the Python proxy, at least 4",
            f"{best / python:.1f}",
            best >= 4 * python,
        )
    ]


def _figures(shown: list[Shown]) -> list[str]:
    spent = {part: statistics.median(one.spent[part] for one in shown) for part in PARTS}
    return [
        f"{_median(shown, 'rate'):,.0f}",
        f"{_median(shown, 'median'):.2f}",
        f"{_median(shown, 'p99'):.2f}",
        f"{spent['replica'] or spent['the rest of Ray']:,.0f}",
        f"{spent['proxy']:,.0f}",
        f"{_median(shown, 'client'):,.0f}",
    ]


def _median(shown: list[Shown], field: str) -> float:
    return float(statistics.median(getattr(one.cell, field) for one in shown))


def _worked_out(report: Report, shown: list[Shown]) -> None:
    """Tell what very many requests would take."""
    replica, proxy = (statistics.median(one.spent[part] for one in shown) for part in ("replica", "proxy"))
    cores = MANY * (replica + proxy) / 1e6
    nodes = -(-cores // (CORES * USED))
    report.text(
        f"On paper, not measured: a request takes {replica:.0f} µs of processor time in the replica and {proxy:.0f} "
        f"in HAProxy at 64 connections. {MANY:,} requests/s are {cores:.0f} busy cores, {nodes:.0f} nodes of {CORES} "
        f"cores at {USED:.0%}, ${nodes * CORES * PRICE:.2f} an hour at ${PRICE} a core and hour. A replica has one "
        f"core: {MANY * replica / 1e6 / USED:.0f} replicas. The first thing that breaks is an HAProxy: Ray gives "
        f"each node's four threads, {4e6 * USED / proxy:,.0f} requests/s at {USED:.0%}, and 4,096 connections, so a "
        "load balancer has to spread requests over the nodes."
    )


def _replicas(
    options: argparse.Namespace, report: Report, rounds: int, seconds: float, scratch: Path
) -> list[Verdict]:
    load = replace(Load(1, 2.0, max(seconds, 4.0), None, 0.0, seed=0), arrivals="constant", rate=RATE)
    found: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    closed: dict[tuple[int, int], list[Shown]] = {}
    for turn in range(rounds):
        for scale in SCALES if turn % 2 == 0 else SCALES[::-1]:
            replicas, nodes = scale
            say(f"round {turn + 1} of {rounds}: {replicas} replicas on {nodes} nodes")
            with _cluster(options.archive, replicas, nodes) as running:
                host, port = running.address
                target = Target(f"http://{host}:{port}", read(options.archive).name, "")
                found.setdefault(scale, []).append(client.run(target, load, scratch))
                closed.setdefault(scale, []).append(_asked(options, running, 64, seconds, scratch))
    report.part(
        f"More replicas and nodes, an open loop of {RATE:,.0f} requests/s, and 64 connections as fast as they can"
    )
    rows = []
    for scale in SCALES:
        runs = found[scale]
        times = [
            statistics.median(float(dict(run["curve"]).get(percent, run["max_ms"])) for run in runs)
            for percent in (50, 99)
        ]
        rate = _median(closed[scale], "rate")
        spent = statistics.median(sum(one.spent.values()) for one in closed[scale])
        rows.append([f"{scale[0]} on {scale[1]}", *(f"{ms:.1f}" for ms in times), f"{rate:,.0f}", f"{spent:,.0f}"])
    report.table(["replicas on nodes", "p50, ms", "p99, ms", "requests/s", "processor time, µs"], rows)
    report.text(
        "Nodes, replicas, proxy and client share the cores of this machine, so more of them add nothing here once "
        "the cores are busy; the processor time of a request says what they would do on cores of their own."
    )
    return []


if __name__ == "__main__":
    raise SystemExit(main())
