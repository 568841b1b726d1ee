"""Ray Serve: the models of a server as applications on a cluster of several machines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...export.archive.verify import verify
from .. import folders, launch
from ..embedded.engine import Settings, need
from ..settings.addresses import HTTP, Address
from ..settings.user_settings import UserSettings
from ..state import Server
from ..store import place
from .control.startup import RayOrders

if TYPE_CHECKING:
    from ..engines import Given
    from ..start import Start

SUPERVISOR = "lexport.serving.ray.control.main"
PACKAGES = ("ray", "httptools", "python_multipart", "onnxruntime")
_MOST_REPLICAS = 9_999


class Ray:
    """See `serving.engines.Engine`."""

    name = "ray"

    def __init__(self) -> None:
        """Raise MissingExtra if a package is not installed that it needs."""
        need(PACKAGES, "Serving on a Ray cluster")

    def read_settings(self, given: Given) -> UserSettings:
        """Return what is kept of the user's settings, and a line on each setting that has no meaning here.

        Raises InputError for an archive that lexport did not make: its own code is not run here.
        """
        return Settings("Ray Serve", grpc=False).read(given)

    def start(self, order: Start, endpoints: dict[str, Address]) -> Server:
        """Have all models answered on the cluster, and return when each replica is ready."""

        def accept(copy: Path) -> str:
            verified = verify(copy, order.trust.keys)
            return f"verified, signed by {verified.signer}" if verified.signer else "verified"

        names = place(order.archives, order.folder / folders.STORE, accept, order.say)
        plan, most = order.plan, order.most_replicas
        server = replace(order.described(endpoints), cluster=order.cluster)
        where = f"at {order.cluster}" if order.cluster else "on this machine"
        order.say(f"Bringing {', '.join(map(str, order.archives))} to the Ray cluster {where}.")
        settings = Settings("Ray Serve", grpc=False)
        orders = RayOrders(
            server=server,
            tokens=order.tokens,
            addresses={
                purpose: (endpoint.host, endpoint.port)
                for purpose, endpoint in endpoints.items()
                if purpose in HTTP or purpose == "health"
            },
            models=settings.models(order, names),
            defaults=settings.defaults(order),
            keys=tuple(order.trust.keys),
            limits=settings.limits(order),
            model_api=settings.has_model_api(order),
            cores=_MOST_REPLICAS,  # how many there are to be is for the cluster to say
            gpus=0,
            timeout=order.timeout,
            bound=order.bound,
            threads=plan.threads,
            most={archive.name: most for archive in order.archives if most > plan.workers[archive.name]},
            former=() if order.former is None else tuple(order.former.models),
        )
        return launch.start(orders.server, SUPERVISOR, orders.to_json(), order.environment, say=order.say)

    def lost_port(self, log_folder: Path) -> bool:
        """Return False: the supervisor names a port that cannot be opened."""
        return False
