"""A server's models and workers at this moment, and their problems."""

from __future__ import annotations

from typing import Any

import psutil

from ....errors import SystemProblem
from ...state import Server
from ...supervision import LOG
from .. import http as api
from ..process import frontend
from . import logs
from .ready import read_reports


def describe(server: Server) -> dict[str, Any]:
    """Return the server, its models and their workers: what `lexport status` shows and `--json` prints.

    `models` is a list of name, version, default (whether requests that name no version go to it), batch_size,
    max_batch_delay_ms, queue_free, queue_waiting (requests) and `workers`: id, pid, device, threads (None where the
    worker does not say), state, memory_bytes (resident). `problems` are lines on what
    keeps it from answering; `restarts` and `last_reason` say how often and why TorchServe was started again.
    Raises SystemProblem if TorchServe does not run or does not answer.
    """
    if frontend(server) is None:
        raise SystemProblem(
            f"TorchServe has ended ({server.last_reason or 'why is being found out'}) and is being started again "
            f"(restarts so far: {server.restarts}, log: {server.logs / LOG}). Look again in a few seconds.",
            code="LX-SERVE-066",
        )
    descriptions = api.describe(server.management_url, server.token("management"))
    threads = {report["pid"]: report.get("threads") for report in read_reports(server)}
    return {
        "healthy": api.is_healthy(server.inference_url, server.token()),
        "problems": _missing(server, len(descriptions))
        + [line for one in descriptions for line in _problems(server, one)],
        "pid": server.pid,
        "supervisor": server.supervisor,
        "started": server.started,
        "restarts": server.restarts,
        "last_reason": server.last_reason,
        "inference_url": server.inference_url,
        "management_url": server.management_url,
        "metrics_url": server.metrics_url,
        "health_url": server.health_url,
        "state_dir": str(server.state_dir),
        "device": server.device,
        "threads": server.threads,
        "memory_bytes": _memory(server.pid),
        "models": [
            {
                "name": description["modelName"],
                "version": description["modelVersion"],
                "default": description["default"],
                "batch_size": description["batchSize"],
                "max_batch_delay_ms": description["maxBatchDelay"],
                "queue_free": description["jobQueueStatus"]["remainingCapacity"],
                "queue_waiting": description["jobQueueStatus"]["pendingRequests"],
                "workers": [_worker(worker, threads.get(worker["pid"])) for worker in description["workers"]],
            }
            for description in descriptions
        ],
    }


def _missing(server: Server, registered: int) -> list[str]:
    """Return a line if extracted models have disappeared: their workers answer, but none could be started again."""
    found = len(list(server.run_dir.glob("models/*/MAR-INF/MANIFEST.json")))
    if found >= registered:
        return []
    return [
        f"{registered - found} of {registered} extracted models have disappeared from {server.run_dir}: a worker "
        "that ends cannot be started again. Stop the server and start it again."
    ]


def _problems(server: Server, description: dict[str, Any]) -> list[str]:
    """Return a line if fewer workers of a model are ready than there are to be, with why they died if their log says
    so.
    """
    ready = sum(worker["status"] == "READY" for worker in description["workers"])
    wanted = max(int(description["minWorkers"]), len(description["workers"]))
    if ready >= wanted:
        return []
    model = f"{description['modelName']} {description['modelVersion']}"
    reason = logs.why_down(server.logs / "model_log.log", model, server.run_dir)
    return [f"{model}: {wanted - ready} of {wanted} workers are down" + (f": {reason}" if reason else "")]


def _worker(worker: dict[str, Any], threads: int | None) -> dict[str, Any]:
    return {
        "id": worker["id"],
        "pid": worker["pid"],
        "device": "gpu" if worker["gpu"] else "cpu",
        "threads": threads,
        "state": "ready" if worker["status"] == "READY" else "not ready",
        "memory_bytes": _memory(worker["pid"]),
    }


def _memory(pid: int) -> int:
    """Return resident bytes of a process; 0 if it is gone. TorchServe's own figure is a minute old."""
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid > 0 else 0
    except psutil.Error:
        return 0
