"""How many replicas a model has on a cluster, as options say."""

from __future__ import annotations

import re

from ...errors import InputError
from ..plan import parse_workers


def is_rays(variable: str) -> bool:
    """Return whether an environment variable is one of Ray's, such as its token, but for the cluster to join."""
    return variable.startswith("RAY_") and variable != "RAY_ADDRESS"


def parse_replicas(text: str) -> tuple[int, int]:
    """Parse `1-4`: replicas of each model at least and at most. Raises InputError."""
    match = re.fullmatch(r"([1-9][0-9]{0,3})-([1-9][0-9]{0,3})", text.strip())
    if not match or int(match[1]) > int(match[2]):
        raise InputError(
            f"--replicas {text!r} is not understood. Expected LEAST-MOST, such as 1-4, between which Ray adds and "
            "removes replicas by load; a fixed number is given with --workers cpu:2.",
            code="LX-RAY-153",
        )
    return int(match[1]), int(match[2])


def worker_set(workers: str, replicas: str | None) -> tuple[str, int]:
    """Return replicas and threads of each model in the form of `--workers`, and the replicas of a model at most.

    Without a number a model has one replica with one thread. Raises InputError for workers on a GPU, and for a number
    of workers beside `replicas`.
    """
    device, count = parse_workers(workers)
    if device == "gpu":
        raise InputError(
            f"--workers {workers}: replicas on a Ray cluster answer on the CPU. Expected such as cpu:2.",
            code="LX-RAY-154",
        )
    if replicas is None:
        chosen = workers if count is not None else "cpu:1x1"
        return (chosen if "x" in chosen else f"{chosen}x1"), 0
    if count is not None:
        raise InputError(
            f"--workers {workers} and --replicas {replicas} were both given. Expected a fixed number of replicas, "
            "--workers cpu:2, or a range, --replicas 1-4.",
            code="LX-RAY-155",
        )
    least, most = parse_replicas(replicas)
    return f"cpu:{least}x1", most
