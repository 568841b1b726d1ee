"""Allocate a worker's threads again when TorchServe starts or ends workers.

The plan at the start of a server is right until a model is scaled or registered through one of TorchServe's
endpoints. So the workers count themselves.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("lexport")

THREADS, CORES = "LEXPORT_THREADS", "LEXPORT_CORES"
"""The environment variables with the threads of a worker, and the cores that all workers divide."""

# Seconds between two counts. Two in a row must be equal: TorchServe replaces a dead worker within seconds.
PAUSE = 2.0


def count_workers(frontend: int) -> int:
    """Return the number of workers of TorchServe's process `frontend`, of all models, also those still loading.

    Returns 0 if there is no /proc.
    """
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # pid (name) state ppid …; a name may contain anything, brackets too.
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            count += int(parent) == frontend and b"model_service_worker" in (folder / "cmdline").read_bytes()
        except OSError:  # the process has ended, or belongs to another user
            continue
    return count


class ThreadAllocator:
    """The number of threads that this worker may use: the cores divided by the workers."""

    def __init__(self, cores: int, threads: int, count: Callable[[], int]) -> None:
        """Start with `threads`; `count` returns the number of workers, 0 if it is unknown."""
        self.cores = cores
        self.threads = threads
        self._count = count
        self._seen = 0

    def poll(self) -> int | None:
        """Count the workers once. Return the threads to use from now on; None if nothing changes."""
        workers, before = self._count(), self._seen
        self._seen = workers
        if workers == 0 or workers != before:
            return None
        share = max(1, self.cores // workers)
        if share == self.threads:
            return None
        self.threads = share
        return share

    def watch(self, change: Callable[[int], object]) -> None:
        """Call `change` with every new number, in a thread that ends with the process."""

        def run() -> None:
            while True:
                time.sleep(PAUSE)
                share = self.poll()
                if share is not None:
                    try:
                        change(share)
                    except Exception:
                        log.exception("The worker keeps its threads: it cannot use %d.", share)

        threading.Thread(target=run, name="lexport-share", daemon=True).start()


def from_environment() -> tuple[int, int]:
    """Return the cores that the workers divide and the first number of threads of each, as `lexport serve` sets them.

    Outside `lexport serve` the cores are 1, so the number of threads never changes.
    """
    return int(os.environ.get(CORES, "1")), int(os.environ.get(THREADS, "1"))
