"""The versions of models that a server has, as its supervisor knows them, in TorchServe's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ..addresses import answers
from ..versions import Versions


@dataclass(frozen=True)
class Served:
    """One version of a model."""

    name: str
    version: str
    url: str
    """The archive's file name in the server's store."""
    folder: Path
    """Where it is extracted."""
    workers: int
    """Processes that are to answer it; 0 for none."""
    largest: int
    """Most requests of a batch."""
    delay: int = 0
    """TorchServe's delay of a batch in milliseconds, which has no meaning here and is only told."""
    seconds: int = 60
    """That a request may wait."""
    startup: int = 120
    """Seconds that TorchServe would give it to start, only told."""
    queue: int = 1_000
    """Requests that may wait for it, in all processes together."""
    gpu: bool = False
    at_startup: bool = True
    """Whether the server was started with it."""

    def __str__(self) -> str:
        """Return `NAME VERSION`."""
        return f"{self.name} {self.version}"


class Worker(Protocol):
    """A process that answers, or a replica on a cluster."""

    @property
    def number(self) -> int:
        """Which of them it is."""

    @property
    def pid(self) -> int:
        """Process number; 0 while none runs."""

    @property
    def started(self) -> float:
        """When it was started, in seconds since 1970."""

    @property
    def ready(self) -> bool:
        """Whether it answers requests."""


class Registry(Versions[Served]):
    """All versions of a server."""

    @property
    def served(self) -> list[Served]:
        """All of them."""
        return [one for _, _, one in self]

    @property
    def processes(self) -> int:
        """Processes that are to run: as many as the model with the most asks for, one at least."""
        return max([1, *(one.workers for one in self.served)])

    def add(self, served: Served) -> None:
        """Add a version. Raises Failure if it is there already."""
        self.check_new(served.name, served.version)
        self.put(served.name, served.version, served)

    def check_new(self, name: str, version: str) -> None:
        """Raise Failure if a version is there already."""
        if any((one.name, one.version) == (name, version) for one in self.served):
            raise answers.conflict(f"Model version {version} is already registered for model {name}")

    def scale(self, served: Served, workers: int) -> Served:
        """Set how many processes are to answer a version; return it as it is now."""
        changed = replace(served, workers=workers)
        self.put(served.name, served.version, changed)
        return changed


def described(served: Served, workers: Sequence[Worker], waiting: int) -> dict[str, Any]:
    """Return a version as TorchServe describes it; its workers are the processes that run."""
    return {
        "modelName": served.name,
        "modelVersion": served.version,
        "modelUrl": served.url,
        "runtime": "python",
        "minWorkers": served.workers,
        "maxWorkers": served.workers,
        "batchSize": served.largest,
        "maxBatchDelay": served.delay,
        "responseTimeout": served.seconds,
        "startupTimeout": served.startup,
        "maxRetryTimeoutInSec": 300,
        "clientTimeoutInMills": 0,
        "parallelType": "",
        "parallelLevel": 0,
        "deviceType": "gpu" if served.gpu else "cpu",
        "continuousBatching": False,
        "useJobTicket": False,
        "useVenv": False,
        "stateful": False,
        "sequenceMaxIdleMSec": 0,
        "sequenceTimeoutMSec": 0,
        "maxNumSequence": 0,
        "maxSequenceJobQueueSize": 0,
        "loadedAtStartup": served.at_startup,
        "workers": [_worker(one, served) for one in workers] if served.workers else [],
        "jobQueueStatus": {"remainingCapacity": max(0, served.queue - waiting), "pendingRequests": waiting},
    }


def _worker(one: Worker, served: Served) -> dict[str, Any]:
    started = datetime.fromtimestamp(one.started, UTC).isoformat(timespec="milliseconds")
    return {
        "id": str(9000 + one.number),
        "startTime": started.replace("+00:00", "Z"),
        "status": "READY" if one.ready else "UNLOADING",
        "memoryUsage": 0,
        "pid": one.pid or -1,
        "gpu": served.gpu,
        "gpuUsage": "N/A",
    }
