"""A server's models and workers at this moment, and their problems."""

from __future__ import annotations

import time
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

from ....errors import LexportError, SystemProblem
from ... import folders
from ...monitoring import figures
from ...monitoring.reading import last_error
from ...monitoring.usage import usage_of
from ...state import Server
from ...store import read
from ...supervision import LOG
from .. import http as api
from ..process import frontend
from . import logs
from .ready import read_reports


def describe(
    server: Server, counted: figures.Figures | None = None, before: figures.Figures | None = None
) -> dict[str, Any]:
    """Return the server, its models and their workers: what `lexport status` shows and `--json` prints.

    Of the server: engine (`torchserve`, `embedded` or `ray`), cluster (the address of its Ray cluster; "" for none,
    or one that it has started), uptime_seconds (since Java, or the supervisor of another engine, was started),
    total_memory_bytes (of all processes, what several share counted once; None where the system does not say),
    memory_bytes (of process `pid` alone), last_error (the last death, error or refused request in the logs: time,
    file, kind, line; None if there is none). `problems` are lines on what keeps it from answering; `restarts` and
    `last_reason` say how often and why TorchServe, or a process of the embedded engine, was started again, or a
    cluster joined again.

    `models` is a list of name, version, variant (`onnx-int8`; None for an archive that lexport did not make), default
    (whether requests that name no version go to it), batch_size, max_batch_delay_ms, queue_free, queue_waiting
    (requests) and, since the engine's start, requests (answered, refusals among them; None where the engine does not
    count them by version), p50_seconds and p99_seconds (estimated from a histogram; None on TorchServe, which has
    none), unknown_share (of all tokens, 0 to 1; None before the first). `recent` is None in a single look; in one
    that follows another it has seconds (between the two), requests_per_second, p50_seconds, p99_seconds and
    unknown_share of that time. `workers` has id, pid, device, threads (None where the worker does not say), state,
    memory_bytes (resident; 0 where it is not known) and node (its address in a Ray cluster; "" without one).

    `counted` are the server's figures, read now for None, `before` those of the look before. Raises SystemProblem if
    TorchServe does not run or does not answer.
    """
    if frontend(server) is None:
        raise SystemProblem(
            f"TorchServe has ended ({server.last_reason or 'why is being found out'}) and is being started again "
            f"(restarts so far: {server.restarts}, log: {server.logs / LOG}). Look again in a few seconds.",
            code="LX-SERVE-066",
        )
    counted = counted or figures.read(server)
    descriptions = api.describe(server.management_url, server.token("management"))
    versions = Counter(one["modelName"] for one in descriptions)
    threads = {report["pid"]: report.get("threads") for report in read_reports(server)}
    error = last_error(server.logs)
    return {
        "healthy": api.is_healthy(server.inference_url, server.token()),
        "problems": ([server.problem] if server.problem else [])
        + ([] if server.engine == "ray" else _missing(server, len(descriptions)))
        + [line for one in descriptions for line in _problems(server, one)],
        "engine": server.engine,
        "pid": server.pid,
        "supervisor": server.supervisor,
        "started": server.started,
        "uptime_seconds": max(0.0, time.time() - server.started),
        "restarts": server.restarts,
        "last_reason": server.last_reason,
        "last_error": None if error is None else error.to_json(),
        "inference_url": server.inference_url,
        "management_url": server.management_url,
        "metrics_url": server.metrics_url,
        "health_url": server.health_url,
        "state_dir": str(server.state_dir),
        "cluster": server.cluster,
        "device": server.device,
        "threads": server.threads,
        "memory_bytes": _memory(server.pid),
        "total_memory_bytes": usage_of(server.id).memory,
        "models": [
            {
                "name": description["modelName"],
                "version": description["modelVersion"],
                "variant": _variant(server, description),
                "default": description["default"],
                "batch_size": description["batchSize"],
                "max_batch_delay_ms": description["maxBatchDelay"],
                "queue_free": description["jobQueueStatus"]["remainingCapacity"],
                "queue_waiting": description["jobQueueStatus"]["pendingRequests"],
                **_counted(server, description, counted, before, alone=versions[description["modelName"]] == 1),
                "workers": [_worker(server, worker, threads.get(worker["pid"])) for worker in description["workers"]],
            }
            for description in descriptions
        ],
    }


def _counted(
    server: Server,
    description: dict[str, Any],
    counted: figures.Figures,
    before: figures.Figures | None,
    *,
    alone: bool,
) -> dict[str, Any]:
    """Return the figures of a version since the engine's start, and of the time since the look before."""
    name, version = description["modelName"], description["modelVersion"]
    own = _variant(server, description) is not None
    now = counted.of(name, version, own=own, alone=alone)
    earlier = None if before is None else before.of(name, version, own=own, alone=alone)
    seconds = 0.0 if before is None else counted.at - before.at
    requests = None if now.requests is None else int(now.requests)
    return {"requests": requests, **now.to_json(), "recent": figures.recent(now, earlier, seconds)}


def _variant(server: Server, description: dict[str, Any]) -> str | None:
    """Return the variant in the archive that the server has of a version."""
    path = server.state_dir / folders.STORE / Path(str(description.get("modelUrl"))).name
    try:
        return _variant_of(path, path.stat().st_mtime_ns)
    except (LexportError, OSError):
        return None


@lru_cache(maxsize=256)
def _variant_of(path: Path, changed: int) -> str | None:
    return read(path).variant


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


def _worker(server: Server, worker: dict[str, Any], threads: int | None) -> dict[str, Any]:
    return {
        "id": worker["id"],
        "pid": worker["pid"],
        "device": "gpu" if worker["gpu"] else "cpu",
        "threads": threads,
        "state": "ready" if worker["status"] == "READY" else "not ready",
        "memory_bytes": 0 if server.cluster else _memory(worker["pid"]),
        "node": worker.get("node", ""),
    }


def _memory(pid: int) -> int:
    """Return resident bytes of a process; 0 if it is gone. TorchServe's own figure is a minute old."""
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid > 0 else 0
    except psutil.Error:
        return 0
