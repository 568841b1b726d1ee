"""The process above the embedded engine's others: it starts them, starts them again, and answers for the server.

`launch.start` runs it (`supervision` says how they talk). `supervisor.py` listens at the management and metrics
addresses and at the one for probes, extracts archives, and tells the processes that answer what to load. SIGTERM ends
the server, its requests answered first. The end of the input before KEEP ends it too, because the process that
started the server has died then.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Protocol, TypeVar

from ....errors import SystemProblem
from ...supervision import answer_problem, answer_started, log, read_orders
from .orders import Orders
from .supervisor import Supervisor


class Supervising(Protocol):
    """What runs a server."""

    abandoned: bool
    """Whether the process that started the server has died before it was to outlive it."""

    async def start(self) -> None:
        """Start everything, and return when it answers. Raises LexportError or OSError."""

    async def end(self, drain: float | None = None) -> None:
        """Answer what has been asked, within the server's time to drain or `drain` seconds, and end everything."""


AnyOrders = TypeVar("AnyOrders", bound=Orders)


def main() -> int:
    """Run one server until it must stop. Return 0 after a requested stop, 1 if it could not be started."""
    return run(Orders, Supervisor)


def run(kind: type[AnyOrders], supervisor: Callable[[AnyOrders], Supervising]) -> int:
    """Do what `main` says with orders of this `kind` and the supervisor that is made of them."""
    os.umask(0o077)
    orders = read_orders()
    if orders is None:
        return 1  # the process that started this one has died
    return asyncio.run(_run(kind.parse(orders), supervisor))


async def _run(orders: AnyOrders, make: Callable[[AnyOrders], Supervising]) -> int:
    supervisor = make(orders)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    starting = asyncio.ensure_future(supervisor.start())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([starting, stopping], timeout=orders.timeout, return_when=asyncio.FIRST_COMPLETED)
    problem: BaseException | None = None
    if starting.done():
        problem = starting.exception()
    elif not stopping.done():
        problem = SystemProblem(
            f"After {orders.timeout:g} s the server is not ready. Raise --timeout, or look into "
            f"{orders.server.logs}.",
            code="LX-SERVE-109",
        )
    if problem is not None or not starting.done():
        starting.cancel()
        await supervisor.end(0.0)
        if isinstance(problem, Exception):
            answer_problem(problem)
        return 1 if problem else 0
    answer_started()
    _watch_input(orders, supervisor, stop)
    await stop.wait()
    await supervisor.end()
    return 0


def _watch_input(orders: Orders, supervisor: Supervising, stop: asyncio.Event) -> None:
    """Stop the server if the process that started it ends before it says that the server outlives it."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        message = os.read(0, 1024)
        if message and not orders.bound:  # KEEP
            loop.remove_reader(0)
        elif not message:
            loop.remove_reader(0)
            log("The process that started this server has ended, and the server ends with it.")
            supervisor.abandoned = True
            stop.set()

    loop.add_reader(0, look)
