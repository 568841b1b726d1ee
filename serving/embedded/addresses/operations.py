"""What the management address asks of the supervisor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..processes.canaries import Canaries
from ..processes.registry import Registry, Served


class Operations(Protocol):
    """What the supervisor does for the management address."""

    registry: Registry
    canaries: Canaries

    async def describe(self, served: Served) -> dict[str, Any]:
        """Return a version as TorchServe describes it."""

    async def describe_itself(self, served: Served) -> Any:
        """Return what the model says of itself. Raises Failure if no process can."""

    def check(self, file: str, name: str | None) -> None:
        """Raise Failure for what `register` would refuse by its name, LexportError for a file that is no archive."""

    async def register(self, file: str, name: str | None, options: Mapping[str, int]) -> Served:
        """Serve an archive of the store. Raises Failure, or the LexportError that kept it from being opened."""

    async def scale(self, served: Served, workers: int) -> None:
        """Have so many processes answer a version. Raises LexportError if one does not start."""

    def files(self) -> list[tuple[str, str, str]]:
        """Return file, name and version of each archive in the store that is not served."""

    def repository(self) -> list[tuple[str, str, bool]]:
        """Return name and version of each that is served or in the store, and whether it answers."""

    async def make_default(self, name: str, version: str) -> None:
        """Make a version its name's default. Raises Failure or LexportError."""

    async def unregister(self, served: Served) -> None:
        """Stop serving a version. Raises Failure or LexportError."""

    async def rotate(self) -> None:
        """Take the tokens of the key file that lies beside the server's. Raises LexportError."""
