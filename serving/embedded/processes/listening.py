"""The addresses that a supervisor listens at by itself: management, metrics, and the one for probes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....errors import SystemProblem
from ... import folders
from ...settings.addresses import GRPC_MANAGEMENT
from ..access_log import AccessLog
from ..addresses.management import Management
from ..addresses.operations import Operations
from ..addresses.outcomes import Outcomes
from ..addresses.tokens import Bearer
from ..http import Server
from .orders import Orders

if TYPE_CHECKING:
    from ..grpc.server import Server as GrpcServer

_ACCESS_LOG = "access_log.{}.jsonl"


class Listening:
    """Of one supervisor."""

    def __init__(self, orders: Orders) -> None:
        """Listen at nothing yet."""
        self._orders = orders
        self._servers: list[Server] = []
        self._grpc: GrpcServer | None = None
        self._log: AccessLog | None = None

    async def open(self, purpose: str, handle: Any, **more: Any) -> Server:
        """Have `handle` answer requests at an address of the orders. Raises SystemProblem."""
        server = Server(handle, **more)
        await self._listen(server, purpose, "--port")
        self._servers.append(server)
        return server

    async def open_management(self, operations: Operations, bearer: Bearer) -> None:
        """Answer at the management address, and over gRPC where the orders have it. Raises SystemProblem."""
        orders = self._orders
        self._log = AccessLog(self.log_file("management"))
        outcomes = Outcomes(self._log.note_other)
        management = Management(
            operations, bearer, outcomes, model_api=orders.model_api, most_workers=orders.most_workers
        )
        server = await self.open("management", management.handle, admit=management.admit, refuse=outcomes.refuse)
        if GRPC_MANAGEMENT in orders.addresses:
            from ..grpc.management import add_to
            from ..grpc.server import Server as GrpcServer

            self._grpc = GrpcServer(
                bearer, outcomes.called, largest=0, connections=100, room=server.room, unread=server.unread
            )
            add_to(self._grpc, management)
            await self._listen(self._grpc, GRPC_MANAGEMENT, "grpc_management_port in the settings")

    def log_file(self, name: object) -> Path:
        """Return the access log of a process that answers, by its number, or of an address."""
        return self._orders.server.state_dir / folders.LOGS / _ACCESS_LOG.format(name)

    async def close(self) -> None:
        """Cut what is open."""
        for server in self._servers:
            server.close()
        if self._grpc is not None:
            await self._grpc.drain(0.0)
        if self._log is not None:
            self._log.close()

    async def _listen(self, server: Server | GrpcServer, purpose: str, option: str) -> None:
        host, port = self._orders.addresses[purpose]
        try:
            await server.start(host, port)
        except OSError as error:
            raise SystemProblem(
                f"The address {host}:{port} ({purpose}) cannot be opened: {error.strerror or error}. Choose another "
                f"port with {option}.",
                code="LX-SERVE-105",
            ) from None
