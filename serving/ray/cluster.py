"""The Ray cluster as the control plane sees it: archives in, orders applied, counts out."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import version
from ...errors import LexportError, MissingExtra, SystemProblem
from ...export.archive.trust.keys import PublicKey
from ...export.archive.verify import verify
from ...messages.extras import is_installed
from .environment import LOOPBACK, discard, of_one_machine
from .orders import ModelOrder

if TYPE_CHECKING:
    from types import ModuleType

FRONT = "lexport"
"""The application with everything but the models' own addresses."""
RECENT = 5.0
"""Seconds since a replica's last report within which it counts as alive."""

_POLL = 0.2
_STARTS = 3
_QUICK = 30.0  # seconds that a question to the cluster may take


@dataclass(frozen=True)
class Replica:
    """What a replica told last."""

    model: str
    replica: str
    """Ray's identity of it."""
    node: str
    """Ray's identity of its node."""
    pid: int
    versions: tuple[str, ...]
    """Those that it answers."""
    counts: dict[str, dict[str, Any]]
    """`embedded.model.Model.count()` by version."""
    statuses: dict[str, int]
    """Answers of no model, by status."""
    refused: dict[str, int]
    """Refusals by code."""
    canaries: dict[str, dict[str, Any]]
    """`Tally.to_json()` by identity."""
    seen: float
    """When it told so, in seconds since 1970."""
    order: str = ""
    """What names the order that is in force there."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    identity: str
    address: str
    alive: bool
    head: bool
    resources: dict[str, float] = field(default_factory=dict)


class Cluster:
    """A connection to a Ray cluster. Every method raises SystemProblem when the cluster cannot be reached."""

    def __init__(self, address: str, url: str, folder: Path | None = None) -> None:
        """Wrap this process's connection, which `connect` makes. `folder`: of a cluster that ends with it."""
        self.address = address
        """The cluster's, as Ray tells it."""
        self.inference_url = url
        """Where requests are answered."""
        self._folder = folder
        self._front: Mapping[str, Any] | None = None

    @classmethod
    def connect(cls, address: str | None = None, *, host: str = "127.0.0.1", port: int = 8000) -> Cluster:
        """Join the cluster at `address` (`HOST:PORT`, or `auto`); None starts one on this machine, on loopback.

        `host`, `port`: where requests are answered, if Ray Serve does not run yet. Raises SystemProblem if that
        cannot be, MissingExtra without Ray.
        """
        if not is_installed("ray"):
            raise MissingExtra.of("ray", "Serving on a Ray cluster")
        options: dict[str, Any] = {"address": address}
        folder = None
        if address is None:
            folder = Path(tempfile.mkdtemp(prefix="lexport-ray-", dir="/tmp"))  # paths of sockets must be short
            for name, value in of_one_machine(folder).items():
                os.environ.setdefault(name, value)
            options = {
                "num_cpus": max(16, 4 * (os.cpu_count() or 1)),  # replicas may share cores, as processes do
                "include_dashboard": False,
                # Ray takes another address of the machine in the place of 127.0.0.1.
                "_node_ip_address": LOOPBACK if sys.platform == "linux" else None,
                "_temp_dir": str(folder / "ray"),
            }
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
                f"There is no Ray cluster at {address or 'this machine'} that can be joined: {_first(error)}. "
                "Expected HOST:PORT of its head, on a machine of the cluster (ray start --address HOST:PORT), with "
                "the same Ray and Python.",
                code="LX-RAY-103",
            ) from None
        return cls(str(joined.address_info["gcs_address"]), url, folder)

    def put(self, path: Path, keys: tuple[PublicKey, ...] = ()) -> str:
        """Bring an archive into the cluster and return its SHA-256. Raises RefusedError if it fails verification."""
        digest = verify(path, keys).digest
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise SystemProblem(
                f"{path} was written while it was read. Deploy it again when it is complete.", code="LX-RAY-104"
            )
        with _reached():
            _application().bring(digest, content)
        return digest

    def apply(self, order: ModelOrder, timeout: float = 120.0) -> None:
        """Return once every replica that Ray wants answers by exactly this order, within `timeout` seconds.

        Raises SystemProblem with the replica's own reason if that cannot be; the former order is in force again then.
        """
        with _reached():
            former = self.orders().get(order.name)
            try:
                self._run(order)
                self._wait(order, timeout)
            except LexportError:
                if former is None:
                    self._delete(order.name)
                elif former != order:
                    self._run(former)
                raise
            self._remember(order.name, order)
            self._run_front(order)

    def remove(self, name: str) -> None:
        """End the replicas of a model; nothing happens if it has none."""
        with _reached():
            orders = self.orders()
            former = orders.pop(name, None)
            self._delete(name)
            self._remember(name, None)
            if former is not None:
                self._run_front(next(iter(orders.values()), former))

    def orders(self) -> dict[str, ModelOrder]:
        """Return the orders that are in force, by model."""
        with _reached():
            found = _get(_application().actor().orders.remote())
        return {name: ModelOrder.parse(order) for name, order in found.items()}

    def counts(self) -> list[Replica]:
        """Return what each replica told last, of those that are alive."""
        with _reached():
            told = _get(_application().actor().told.remote(RECENT))
        return [
            Replica(
                **{**{name: one[name] for name in Replica.__dataclass_fields__}, "versions": tuple(one["versions"])}
            )
            for one in told
            if "model" in one
        ]

    def nodes(self) -> list[Node]:
        """Return the machines of the cluster."""
        import ray

        with _reached():
            return [
                Node(
                    one["NodeID"],
                    one["NodeManagerAddress"],
                    one["Alive"],
                    "node:__internal_head__" in one["Resources"],
                    dict(one["Resources"]),
                )
                for one in ray.nodes()
            ]

    def close(self, stop_apps: bool = False) -> None:
        """Leave the cluster. `stop_apps`: end the models first; a cluster that `connect` started ends with it."""
        import ray
        from ray import serve

        if stop_apps and self._folder is None:
            with _reached():
                for name in self.orders():
                    self._delete(name)
                    self._remember(name, None)
                serve.delete(FRONT)
        ray.shutdown()
        if self._folder is not None:
            discard(self._folder)

    def _run(self, order: ModelOrder) -> None:
        """Have Ray Serve run a model by an order: replicas that run take it, others are started."""
        from ray import serve

        scaled: dict[str, Any] = {"num_replicas": order.least}
        if order.most > order.least:
            scaled = {
                "autoscaling_config": {
                    "min_replicas": order.least,
                    "max_replicas": order.most,
                    "target_ongoing_requests": order.target,
                    "look_back_period_s": 5.0,
                    "metrics_interval_s": 1.0,
                    "upscale_delay_s": 3.0,
                    "downscale_delay_s": 60.0,
                    "policy": {"policy_function": "lexport.serving.ray.scaling:replicas"},
                }
            }
        own = _application()
        deployment = serve.deployment(own.Replica).options(
            name=order.name,
            user_config=order.to_json(),
            max_ongoing_requests=100_000,  # the queues of versions have the limits
            ray_actor_options={"num_cpus": 1},
            health_check_period_s=2,
            health_check_timeout_s=10,
            max_constructor_retry_count=3,
            **scaled,
            **_VERSION,
        )
        target = serve.RunTarget(
            deployment.bind(own.packages()),
            name=own.application(order.name),
            route_prefix=f"/predictions/{order.name}",
        )
        serve.run_many([target], wait_for_applications_running=False)

    def _run_front(self, order: ModelOrder) -> None:
        from ray import serve

        own = _application()
        told = {
            "models": sorted(self.orders()),
            "tokens": order.to_json()["tokens"],
            "limits": dict(order.limits),
        }
        if told == self._front:
            return
        deployment = serve.deployment(own.FrontReplica).options(
            name=FRONT,
            user_config=told,
            num_replicas=1,
            max_ongoing_requests=1_000,
            ray_actor_options={"num_cpus": 0},
            **_VERSION,
        )
        serve.run_many([serve.RunTarget(deployment.bind(), name=FRONT, route_prefix="/")])
        self._front = told

    def _wait(self, order: ModelOrder, timeout: float) -> None:
        """Wait until an order is in force in all replicas. Raises SystemProblem if it will not be."""
        from ray import serve

        own = _application()
        wanted = own.identity(order.to_json())
        until = time.monotonic() + timeout
        message = ""
        while True:
            told = [one for one in _get(own.actor().told.remote(RECENT)) if one.get("model") == order.name]
            for one in told:
                if one["failed"] == wanted:
                    raise _refused(order, one["reason"])
            status = serve.status().applications.get(own.application(order.name))
            if status is not None:
                message = status.message
                if status.status == "DEPLOY_FAILED":
                    raise _refused(order, message)
                [deployment] = status.deployments.values() or [None]
                message = message or (deployment.message if deployment else "")
                running = deployment.replica_states.get("RUNNING", 0) if deployment else 0
                ready = sum(one["order"] == wanted for one in told)
                if status.status == "RUNNING" and order.least <= running <= ready:
                    return
            if time.monotonic() > until:
                raise SystemProblem(
                    f"{order.name} does not answer by its new order after {timeout:g} s. Ray says: "
                    f"{_first(message) or 'nothing'}. Look at `ray status`: its replicas need "
                    f"{order.least} free processors.",
                    code="LX-RAY-105",
                )
            time.sleep(_POLL)

    def _delete(self, name: str) -> None:
        from ray import serve

        app = _application().application(name)
        if app in serve.status().applications:
            serve.delete(app)

    def _remember(self, name: str, order: ModelOrder | None) -> None:
        _get(_application().actor().order.remote(name, None if order is None else order.to_json()))


# Ray Serve gives what is run again another version, and starts all replicas anew, unless it is told that their code
# is the same; `user_config` reaches those that run then.
_VERSION: dict[str, Any] = {"version": f"lexport-{version.__version__}", "_internal": True}


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


def _application() -> ModuleType:
    from . import application

    return application


def _get(reference: Any) -> Any:
    import ray

    return ray.get(reference, timeout=_QUICK)


@contextmanager
def _reached() -> Iterator[None]:
    import ray

    try:
        yield
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, TimeoutError) as error:
        raise SystemProblem(
            f"The Ray cluster does not answer: {type(error).__name__}: {_first(error)}. Expected a cluster that "
            "runs; see `ray status`.",
            code="LX-RAY-106",
        ) from error


def _refused(order: ModelOrder, reason: str) -> SystemProblem:
    """Return the error of an order that a replica could not take, with the last line of what Ray says of it."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    told = next((line for line in reversed(lines) if "Error: " in line or "Problem: " in line), "")
    return SystemProblem(
        f"A replica of {order.name} cannot take its order: {told or ' '.join(lines[-2:])} The former order is in "
        "force, if there was one; correct it and deploy again.",
        code="LX-RAY-107",
    )


def _first(error: object) -> str:
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), "")
