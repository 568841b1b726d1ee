"""The embedded engine: Python processes that answer by themselves, without Java."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError, MissingExtra
from ...export.archive.verify import verify
from ...messages.extras import is_installed
from .. import folders, launch
from ..settings.addresses import GRPC, HTTP, Address
from ..settings.user_settings import UserSettings, read_model_settings, replaced
from ..state import Server
from ..store import place
from .processes.orders import ENDPOINTS, Orders, of_numbers

if TYPE_CHECKING:
    from ..engines import Given
    from ..start import Start

SUPERVISOR = "lexport.serving.embedded.processes.main"
PACKAGES = ("httptools", "python_multipart", "onnxruntime")
GRPC_PACKAGES = ("grpc", "google.protobuf")
TRACING_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_LIMITS = {"largest": 64, "delay": 0, "startup": 120}
_USED = {
    *HTTP.values(),
    *("disable_token_authorization", "enable_model_api", "max_request_size", "max_response_size"),
    *("job_queue_size", "default_response_timeout", "default_workers_per_model", "models", "model_snapshot"),
    *("model_store", "workflow_store", "load_models", "number_of_gpu", "python"),
}
_GRPC = {f"{beginning}_{end}" for beginning in GRPC.values() for end in ("address", "port")}


class Settings:
    """What an engine of lexport's own code keeps of a server's settings."""

    def __init__(self, title: str, *, grpc: bool) -> None:
        """`title` is the engine in sentences; `grpc`: whether it answers gRPC."""
        self._title = title
        self._used = _USED | _GRPC if grpc else _USED

    def read(self, given: Given) -> UserSettings:
        """Return what is kept, and a line on each setting that has no meaning.

        Raises InputError for an archive that lexport did not make.
        """
        for archive in given.archives:
            if not archive.made_by_lexport:
                raise InputError(
                    f"{archive.path} was not made by lexport, and {self._title} answers with lexport's own code "
                    "alone. Serve it with: lexport serve --engine torchserve",
                    code="LX-SERVE-106",
                )
        found = read_model_settings(given.own, given.archives, count=given.count)
        ignored = [name for name in given.own if name not in self._used]
        lines = [f"{name} of the settings has no meaning in {self._title}." for name in ignored]
        return UserSettings(found.limits, found.workers, (*replaced(given.own), *found.lines, *lines))

    def defaults(self, order: Start) -> dict[str, int]:
        """Return the numbers of archives that are registered later. Raises InputError."""
        return {**self._counts(order.settings), **_LIMITS, "workers": 1}

    def models(self, order: Start, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return the numbers of each archive, by its name in the server's store. Raises InputError."""
        return {
            file: {
                **self._counts(order.settings),
                **_LIMITS,
                **of_numbers({**order.limits.get(archive.name, {}), **archive.numbers}),
                "workers": order.plan.workers[archive.name],
            }
            for archive, file in zip(order.archives, names, strict=True)
        }

    def limits(self, order: Start) -> dict[str, int]:
        """Return the sizes of requests and answers."""
        return _limits(int(order.settings["max_request_size"]), int(order.settings["max_response_size"]))

    def has_model_api(self, order: Start) -> bool:
        """Return whether models may be registered and unregistered over HTTP."""
        return order.settings.get("enable_model_api", "").strip().lower() == "true"

    def _counts(self, settings: Mapping[str, str]) -> dict[str, int]:
        return {
            "queue": _count(settings, "job_queue_size"),
            "seconds": _count(settings, "default_response_timeout"),
        }


_SETTINGS = Settings("the embedded engine", grpc=True)


class Embedded:
    """See `serving.engines.Engine`."""

    name = "embedded"

    def __init__(self) -> None:
        """Raise MissingExtra if a package is not installed that it needs."""
        need(PACKAGES, "The embedded engine")

    def read_settings(self, given: Given) -> UserSettings:
        """Return what is kept of the user's settings, and a line on each setting that has no meaning here.

        Raises InputError for an archive that lexport did not make: its own code is not run here.
        """
        if any(given.settings[f"{beginning}_port"].strip() != "0" for beginning in GRPC.values()):
            need(GRPC_PACKAGES, "gRPC in the embedded engine")
        if any(name in ENDPOINTS for name in given.env):
            need(TRACING_PACKAGES, "Traces of the embedded engine")
        return _SETTINGS.read(given)

    def start(self, order: Start, endpoints: dict[str, Address]) -> Server:
        """Start the engine on these ports and return when each of its processes is ready."""

        def accept(copy: Path) -> str:
            verified = verify(copy, order.trust.keys)
            return f"verified, signed by {verified.signer}" if verified.signer else "verified"

        names = place(order.archives, order.folder / folders.STORE, accept, order.say)
        plan = order.plan
        processes = max(plan.workers.values())
        cores = plan.threads * processes if plan.threads_given else plan.cores
        order.say(
            f"Starting the embedded engine: {', '.join(map(str, order.archives))}; processes on {plan.device}: "
            f"{processes}, threads of each: {max(1, cores // processes)}."
        )
        orders = Orders(
            server=order.described(endpoints),
            tokens=order.tokens,
            addresses={
                purpose: (endpoint.host, endpoint.port)
                for purpose, endpoint in endpoints.items()
                if purpose in HTTP or purpose == "health" or (purpose in GRPC and endpoint.port)
            },
            models=_SETTINGS.models(order, names),
            defaults=_SETTINGS.defaults(order),
            keys=tuple(order.trust.keys),
            limits=_SETTINGS.limits(order),
            model_api=_SETTINGS.has_model_api(order),
            cores=cores,
            gpus=plan.gpus,
            timeout=order.timeout,
            bound=order.bound,
        )
        return launch.start(orders.server, SUPERVISOR, orders.to_json(), order.environment, say=order.say)

    def lost_port(self, log_folder: Path) -> bool:
        """Return False: the supervisor names a port that cannot be opened."""
        return False


def need(packages: tuple[str, ...], purpose: str) -> None:
    """Raise MissingExtra for the first of these packages that is not installed."""
    for package in packages:
        if not is_installed(package):
            raise MissingExtra.of(package, purpose)


def _limits(body: int, answer: int) -> dict[str, int]:
    """Return sizes of `http.Limits`: of a body, and of all bodies and all answers together, two of them at least."""
    from .http import Limits  # its packages are optional

    return {"body": body, "bodies": max(Limits.bodies, 2 * body), "answers": max(Limits.answers, 2 * answer)}


def _count(settings: Mapping[str, str], name: str) -> int:
    value = settings[name].strip()
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 2**31):
        raise InputError(f"{name}={value} is not a number. Expected a whole number above 0.", code="LX-SERVE-107")
    return int(value)
