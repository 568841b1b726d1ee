"""Join a Ray cluster that runs, or start one on this machine."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import SystemProblem
from .environment import LOOPBACK, NEEDED, discard, own_places

if TYPE_CHECKING:
    from types import ModuleType

_STARTS = 3


def join(address: str | None, host: str, port: int) -> tuple[str, str, Path | None]:
    """Join the cluster at `address`, None: start one; return its address, where it answers, and its own folder.

    Raises SystemProblem if that cannot be.
    """
    options: dict[str, Any] = {"address": address}
    folder = None
    if address is None:
        folder = Path(tempfile.mkdtemp(prefix="lexport-ray-", dir="/tmp"))  # paths of sockets must be short
        for name, value in NEEDED.items():
            os.environ.setdefault(name, value)
        os.environ.update(own_places(folder))  # another cluster of this machine may have those of the environment
        options = {
            "num_cpus": max(16, 4 * (os.cpu_count() or 1)),  # replicas may share cores, as processes do
            "include_dashboard": False,
            # Ray takes another address of the machine in the place of 127.0.0.1.
            "_node_ip_address": LOOPBACK if sys.platform == "linux" else None,
            "_temp_dir": str(folder / "ray"),
        }
    elif address != "auto":
        _check_reachable(address)
    import ray
    from ray import serve

    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    try:
        joined = _joined(ray, {**options, **quiet})
        serve.start(http_options={"host": host, "port": port})
        url = _url(ray, importlib.import_module("ray.serve.context"))
    except Exception as error:  # Ray's have no common parent
        ray.shutdown()
        if folder is not None:
            discard(folder)
        raise SystemProblem(
            f"There is no Ray cluster at {address or 'this machine'} that can be joined: {reason_of(error)}. "
            "Expected HOST:PORT of its head, on a machine of the cluster (ray start --address HOST:PORT), with "
            "the same Ray and Python.",
            code="LX-RAY-103",
        ) from None
    return str(joined.address_info["gcs_address"]), url, folder


def _check_reachable(address: str) -> None:
    """Raise SystemProblem at once for an address at which nothing listens: Ray would try it for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
    except (OSError, ValueError, OverflowError) as error:
        raise SystemProblem(
            f"There is no Ray cluster at {address} that can be joined: {error}. Expected HOST:PORT of its head, as "
            "`ray start` has printed it, or auto on a machine of the cluster.",
            code="LX-RAY-161",
        ) from None


def _joined(ray: ModuleType, options: dict[str, Any]) -> Any:
    """Join or start a cluster.

    Ray's raylet waits 15 s for Python processes of its own, a time that cannot be set: on a machine that is busy they
    take longer, and it is started again.
    """
    for left in reversed(range(_STARTS)):
        try:
            return ray.init(**options, namespace="lexport")
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise
            ray.shutdown()
    raise AssertionError


def _url(ray: ModuleType, context: ModuleType) -> str:
    """Return where this machine's proxy, or the head's, answers."""
    options = context._get_global_client().http_config
    host = options.host
    return f"http://{ray.util.get_node_ip_address() if host in (None, '0.0.0.0', '::') else host}:{options.port}"


def reason_of(error: Exception) -> str:
    """Return why something failed on the cluster: the first line of the error that another one was raised by."""
    cause = getattr(error, "cause", None)  # of Ray's, whose own first line names the actor
    return first_line(cause if isinstance(cause, Exception) and str(cause) else error)


def first_line(error: object) -> str:
    """Return the first line of what an error says, without its full stop."""
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), "")
