"""The engine TorchServe: Java, and a Python process for every worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ...export.archive.trust import code
from ...storage.atomic import write_file
from .. import folders, launch
from ..settings import properties
from ..settings.addresses import Address
from ..settings.user_settings import UserSettings, read_user_settings
from ..state import Server
from ..store import place
from ..tokens import Tokens
from .health import logs
from .health.ready import wait_until_ready
from .java import find_java, java_command
from .settings import check_model_api, derive

if TYPE_CHECKING:
    from ..engines import Given
    from ..start import Start

SUPERVISOR = "lexport.serving.torchserve.supervisor"


class TorchServe:
    """See `serving.engines.Engine`."""

    name = "torchserve"

    def __init__(self) -> None:
        """Find Java. Raises MissingExtra if there is none."""
        self._java = find_java()

    def read_settings(self, given: Given) -> UserSettings:
        """Return what is kept of the user's settings. Raises RefusedError if they open what is to stay closed."""
        check_model_api(given.settings, given.trust)
        return read_user_settings(given.own, given.archives, count=given.count)

    def start(self, order: Start, endpoints: dict[str, Address]) -> Server:
        """Start TorchServe on these ports and return when each of its workers is ready."""
        store, plan = order.folder / folders.STORE, order.plan
        command = java_command(self._java, order.folder, order.settings.get("vmargs", ""))

        def accept(copy: Path) -> str:
            return f"its code may run: {code.accept(copy, order.trust)}"

        names = place(order.archives, store, accept, order.say)
        derived = derive(order.settings, endpoints, plan, order.archives, names, store, order.limits)
        text = properties.render(derived, "Made by lexport serve for one server; changes here are lost.")
        write_file(order.folder / folders.SETTINGS, text.encode())
        order.say(
            f"Starting TorchServe on Java {self._java.version}: {', '.join(map(str, order.archives))}; workers on "
            f"{plan.device}: {plan.total}, threads of each: {plan.threads}."
        )
        server = run(
            order.described(endpoints),
            command,
            order.environment,
            order.tokens,
            bound=order.bound,
            health=endpoints.get("health"),
        )
        wait_until_ready(server, plan, order.archives, timeout=order.timeout, say=order.say)
        return server

    def lost_port(self, log_folder: Path) -> bool:
        """Return whether the last start ended because another process had taken a port."""
        return logs.lost_port(log_folder)


def run(
    server: Server,
    command: list[str],
    environment: Mapping[str, str],
    tokens: Tokens | None,
    *,
    bound: bool,
    health: Address | None = None,
) -> Server:
    """Start the supervisor of `server`, which starts TorchServe with `command`; probes are answered at `health`.

    `tokens` are those that TorchServe accepts after every start. The settings must exist already. With `bound` the
    server ends when this process does. Raises SystemProblem if Java cannot be started.
    """
    orders = {
        "command": command,
        "tokens": None if tokens is None else asdict(tokens),
        "health": None if health is None else [health.host, health.port],
        "bound": bound,
    }
    return launch.start(server, SUPERVISOR, orders, environment)
