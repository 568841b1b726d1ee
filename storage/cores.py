"""The processor cores that this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def cores(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """Return the number of usable cores: the process's affinity, at most the CPU quota of its container.

    A quota of 2.5 cores counts as 2, one below a core as 1. `groups`: where control groups are mounted, of version 2
    or 1 (https://docs.kernel.org/admin-guide/cgroup-v2.html); `own`: the file that names those of the process.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota, period in _quotas(groups, own):
        count = min(count, max(1, quota // period))
    return count


def _quotas(groups: Path, own: Path) -> Iterator[tuple[int, int]]:
    """Yield quota and period, in microseconds, of every group around the process that has a quota."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    # In a container the path may be that on the host, while the mount shows the container's own group.
    places = [("", "/"), ("cpu", "/")]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "cpu" in controllers.split(","):
            places.append((controllers, path))
    for controllers, path in places:
        inner = PurePosixPath(path).relative_to("/")
        for part in (inner, *inner.parents):
            folder = groups / controllers / part
            found = _read(folder / "cpu.max") or _read(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
            if found is not None:
                yield found


def _read(*files: Path) -> tuple[int, int] | None:
    """Return the two numbers in the files; None where there are none: no such file, or no quota ("max", -1)."""
    try:
        quota, period = " ".join(file.read_text(encoding="ascii") for file in files).split()
        return (int(quota), int(period)) if int(quota) > 0 and int(period) > 0 else None
    except (OSError, ValueError):
        return None
