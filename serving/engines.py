"""The engines: their names, and what one does for a server's life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import InputError
from ..export.archive.trust.rule import Trust
from .settings.addresses import Address
from .settings.user_settings import UserSettings
from .state import Server
from .store import Archive

if TYPE_CHECKING:
    from .start import Start

TITLES = {"torchserve": "TorchServe", "embedded": "the embedded engine", "ray": "Ray Serve"}
"""The engines by name, with their names in sentences."""
ENGINES = ("torchserve", "embedded")
"""Those that serve on one machine."""


@dataclass(frozen=True)
class Given:
    """What an engine is asked to serve, and with what settings."""

    archives: Sequence[Archive]
    own: Mapping[str, str]
    """Settings of the user's file."""
    settings: Mapping[str, str]
    """All that apply."""
    trust: Trust
    count: int | None
    """Workers of each model that the command line names."""
    env: Sequence[str] = ()
    """Variables of the environment that its processes get besides those that they need."""


class Engine(Protocol):
    """What serves archives. All engines answer TorchServe's HTTP interface and are stopped by their supervisor."""

    @property
    def name(self) -> str:
        """Its name in `--engine`."""

    def read_settings(self, given: Given) -> UserSettings:
        """Return what it keeps of the user's settings. Raises for archives and settings that it refuses."""

    def start(self, order: Start, endpoints: dict[str, Address]) -> Server:
        """Start a server on these ports and return when all of its models can answer.

        Raises SystemProblem; what has been started then is ended by the caller.
        """

    def lost_port(self, log_folder: Path) -> bool:
        """Return whether the last start ended because another process had taken a port."""


def check_engine(name: str) -> None:
    """Raise InputError if there is no such engine."""
    if name not in TITLES:
        raise InputError(f"There is no engine {name!r}. Expected {', '.join(ENGINES)} or ray.", code="LX-SERVE-103")


def engine_of(name: str) -> Engine:
    """Return an engine by name. Raises InputError for another one, MissingExtra if it is not installed."""
    check_engine(name)
    if name == "embedded":
        from .embedded.engine import Embedded

        return Embedded()
    if name == "ray":
        from .ray.engine import Ray

        return Ray()
    from .torchserve.engine import TorchServe

    return TorchServe()
