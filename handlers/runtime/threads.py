"""A worker's share of the machine's cores, found anew when TorchServe starts or ends workers.

A plan made when the server starts holds until somebody scales a model or registers another, through whichever of
TorchServe's doors. The workers therefore look themselves how many they are.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("lexport")

# Seconds between two looks. Two in a row must find the same number: TorchServe replaces a dead worker within seconds.
PAUSE = 2.0


def count_workers(frontend: int) -> int:
    """How many workers TorchServe's process `frontend` runs, of all models, those still loading too.

    0 where there is no /proc to look into.
    """
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # pid (name) state ppid …; a name may hold anything, brackets too.
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            count += int(parent) == frontend and b"model_service_worker" in (folder / "cmdline").read_bytes()
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return count


class Share:
    """How many threads this worker may use: the cores divided by the workers."""

    def __init__(self, cores: int, threads: int, count: Callable[[], int]) -> None:
        """`threads` are those it uses now; `count` says how many workers there are, 0 if that cannot be known."""
        self.cores = cores
        self.threads = threads
        self._count = count
        self._seen = 0

    def look(self) -> int | None:
        """Look once: the threads to use from now on, None if nothing changes."""
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
                share = self.look()
                if share is not None:
                    try:
                        change(share)
                    except Exception:
                        log.exception("The worker keeps its threads: it cannot use %d.", share)

        threading.Thread(target=run, name="lexport-share", daemon=True).start()


def planned() -> tuple[int, int]:
    """What `lexport serve` gives each worker: cores to divide, and threads of each as long as none come or go.

    Without it one core, of which no other share can be made: threads that somebody else sets stay as they are.
    """
    return int(os.environ.get("LEXPORT_CORES", "1")), int(os.environ.get("LEXPORT_THREADS", "1"))
