"""A Ray cluster whose head is lost: without Redis it is lost with it, and orders are applied to another one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ask, machines, until

pytest.importorskip("ray", reason="clusters need the extra ray")
pytestmark = [
    pytest.mark.long,
    # Of Ray itself: what pydantic will remove.
    pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`:DeprecationWarning"),
]

PATH = "/predictions/topics"
DRIVER = """
import sys
from pathlib import Path
from lexport.serving.ray.cluster import Cluster
from lexport.serving.ray.orders import ModelOrder, VersionOrder

cluster = Cluster.connect(sys.argv[1], port=int(sys.argv[2]))
order = ModelOrder("topics", (VersionOrder("1.0", cluster.put(Path(sys.argv[3]))),), "1.0")
cluster.apply(order, timeout=240)
print("ready", flush=True)
sys.stdin.readline()
try:
    cluster.apply(order, timeout=60)
except Exception as error:
    print(type(error).__name__, getattr(error, "code", ""), flush=True)
"""


def driver(address: str, port: int, path: Path) -> subprocess.Popen[str]:
    """A process that applies an order, and once more when it is told to: Ray may end it with its head."""
    command = [sys.executable, "-W", "ignore", "-c", DRIVER, address, str(port), str(path)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)


def test_orders_are_applied_again_after_the_head_was_lost(archive_of: Callable[[str], Path], port: int) -> None:
    """Without Redis a head takes its cluster with it."""
    with machines(worker=0) as lost:
        with driver(lost.address, port, archive_of("onnx-int8")) as first:
            assert first.stdout is not None
            assert first.stdout.readline() == "ready\n"
            until(lambda: ask(url_at(port), PATH)[0] == 200)
            lost.remove_node(lost.head_node, allow_graceful=False)
            said, _ = first.communicate("again\n", 240)
        own = [line for line in said.splitlines() if line.startswith("SystemProblem")]  # Ray prints, too
        # Ray ends a process whose raylet has died, most often before anything is raised in it.
        assert first.returncode != 0 or own == ["SystemProblem LX-RAY-106"]
    with machines(worker=0) as nodes, driver(nodes.address, port, archive_of("onnx-int8")) as second:
        assert second.stdout is not None
        assert second.stdout.readline() == "ready\n"
        assert until(lambda: ask(url_at(port), PATH)[0] == 200)
        second.kill()


def url_at(port: int) -> str:
    return f"http://127.0.0.1:{port}"
