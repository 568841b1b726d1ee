"""The environment that a cluster's processes need before they start."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

LOOPBACK = "127.0.0.2"
"""The address of a node that only this machine reaches: Ray takes 127.0.0.1 for a name of the machine's other one."""
NEEDED = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",  # requests go to replicas without Python between
    # An answer of a model changes nothing, so what a replica took and never answered may be asked again elsewhere.
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
    "RAY_SERVE_HAPROXY_RETRIES": "3",
    "RAY_SERVE_HAPROXY_TIMEOUT_CONNECT_S": "1",
    "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": "90",  # a replica that stands still: longer than a request may wait there
    "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "1s",
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",  # a line of a log for each request, read by Python
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_register_timeout_seconds": "300",  # on a machine that is busy
}
"""For every node, before `ray start`."""


def of_one_machine(folder: Path) -> dict[str, str]:
    """Return the environment of a cluster on this machine alone."""
    return {**NEEDED, **own_places(folder)}


def own_places(folder: Path) -> dict[str, str]:
    """Return the variables by which a cluster's proxies have their files in `folder`, and free ports."""
    metrics, stats, fallback, fallback_grpc = free_ports(4)
    return {
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(fallback_grpc),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
    }


def discard(folder: Path) -> None:
    """Remove the folder of a cluster that has ended, and end the proxies in it that have outlived their node."""
    for process in psutil.process_iter(["name", "cmdline"]):
        with suppress(psutil.Error):
            if process.info["name"] == "haproxy" and any(
                str(folder) in word
                for word in process.info["cmdline"] or ()  # none of one that has ended
            ):
                process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Return so many different ports of loopback that are free now."""
    with ExitStack() as stack:
        return list(_taken(stack, count))


def _taken(stack: ExitStack, count: int) -> Iterator[int]:
    for _ in range(count):
        yield stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
