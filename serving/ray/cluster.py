"""The Ray cluster as the control plane sees it: archives in, orders applied, counts out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import LexportError, MissingExtra, SystemProblem
from ...export.archive.trust.keys import PublicKey
from ...export.archive.verify import verify
from ...messages.extras import is_installed
from .environment import discard
from .joining import first_line, join
from .orders import ModelOrder

if TYPE_CHECKING:
    from types import ModuleType

FRONT = "lexport"
"""The application with everything but the models' own addresses."""
RECENT = 5.0
"""Seconds since a replica's last report within which it counts as alive."""

_POLL = 0.2
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
        address, url, folder = join(address, host, port)
        return cls(address, url, folder)

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
            self._delete(name)
            self._remember(name, None)
            left = self.orders()
            if left:
                self._run_front(next(iter(left.values())))
            else:
                self._delete_front()

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
                for one in ray.nodes()  # type: ignore[no-untyped-call]
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

        name = _application().application(order.name)
        target = serve.RunTarget(
            _deployments().bind_model(order), name=name, route_prefix=f"/predictions/{order.name}"
        )
        serve.run_many([target], wait_for_applications_running=False)

    def _run_front(self, order: ModelOrder) -> None:
        from ray import serve

        told = {
            "models": sorted(self.orders()),
            "tokens": order.to_json()["tokens"],
            "limits": dict(order.limits),
        }
        if told == self._front:
            return
        bound = _deployments().bind_front(told["models"], told["tokens"], told["limits"])
        serve.run_many([serve.RunTarget(bound, name=FRONT, route_prefix="/")])
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
                states: Any = deployment.replica_states if deployment else {}
                running = states.get("RUNNING", 0)
                ready = sum(one["order"] == wanted for one in told)
                if status.status == "RUNNING" and order.least <= running <= ready:
                    return
            if time.monotonic() > until:
                raise SystemProblem(
                    f"{order.name} does not answer by its new order after {timeout:g} s. Ray says: "
                    f"{first_line(message) or 'nothing'}. Look at `ray status`: its replicas need "
                    f"{order.least} free processors.",
                    code="LX-RAY-105",
                )
            time.sleep(_POLL)

    def _delete(self, name: str) -> None:
        from ray import serve

        app = _application().application(name)
        if app in serve.status().applications:
            serve.delete(app)

    def _delete_front(self) -> None:
        from ray import serve

        self._front = None
        if FRONT in serve.status().applications:
            serve.delete(FRONT)

    def _remember(self, name: str, order: ModelOrder | None) -> None:
        _get(_application().actor().order.remote(name, None if order is None else order.to_json()))


def _deployments() -> ModuleType:
    from . import deployments

    return deployments


def _application() -> ModuleType:
    from .replica import application

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
            f"The Ray cluster does not answer: {type(error).__name__}: {first_line(error)}. Expected a cluster that "
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
