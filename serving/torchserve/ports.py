"""Ports: free or not, and held by whom."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from contextlib import ExitStack

import psutil

from ...errors import InputError, SystemProblem
from .settings import HIGHEST_PORT, Address

_OPTIONS = {**dict.fromkeys(("inference", "management", "metrics"), "--port"), "health": "--health"}
"""By purpose of HTTP doors, the option that has their port."""


def check_free(doors: Mapping[str, Address]) -> None:
    """Make sure that nothing listens on any door's port yet; port 0 is always free.

    Raises SystemProblem naming the port, its holder where that can be known, and the way out; InputError if two
    doors share a port.
    """
    purposes: dict[int, str] = {}
    for purpose, door in doors.items():
        if door.port == 0:
            continue
        if door.port in purposes:
            raise InputError(f"Port {door.port} is set for {purposes[door.port]} and {purpose}: give each its own.")
        purposes[door.port] = purpose
        try:
            with _bound(door):
                pass
        except OSError as error:
            raise SystemProblem(_explain(purpose, door, error)) from None


def explain_lost(doors: Mapping[str, Address]) -> str:
    """Which of the doors' ports another process took after `check_free`, in words."""
    try:
        check_free(doors)
    except SystemProblem as problem:
        return str(problem)
    ports = ", ".join(str(door.port) for door in doors.values() if door.port)
    return (
        f"A port was in use when TorchServe wanted it (one of {ports}), and is free again. Try once more, or choose "
        "other ports with --port (--port 0 takes any free ones)."
    )


def pick_free(doors: Mapping[str, Address]) -> dict[str, Address]:
    """Replace port 0 of the HTTP doors by ports that are free now; another process may still take one."""
    picked = dict(doors)
    with ExitStack() as held:  # held together, so that they differ
        for purpose in (one for one in _OPTIONS if one in doors):
            while picked[purpose].port == 0 or picked[purpose].port > HIGHEST_PORT:
                try:
                    taken = held.enter_context(_bound(Address(doors[purpose].host, 0)))
                except OSError as error:
                    raise SystemProblem(_explain(purpose, doors[purpose], error)) from None
                picked[purpose] = Address(doors[purpose].host, taken.getsockname()[1])
    return picked


def _bound(door: Address) -> socket.socket:
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # As TorchServe does; without it a port stays taken for a minute after its server has stopped.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((door.host, door.port))
    except BaseException:
        server.close()
        raise
    return server


def _explain(purpose: str, door: Address, error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{door.host} is no address of this machine ({purpose}). Expected 127.0.0.1 or one of its own."
    option = _OPTIONS.get(purpose, "--port")
    if error.errno == errno.EACCES:
        return f"Port {door.port} ({purpose}) is reserved for the administrator. Choose 1024 or more with {option}."
    remedy = (
        f"Stop that, or choose another port with {option} ({option} 0 takes any free one)."
        if purpose in _OPTIONS
        else f"Stop that, or change {purpose.lower().replace(' ', '_')}_port in the settings (0 takes any free one)."
    )
    return f"Port {door.port} ({purpose}) is in use{_holder(door.port)}. {remedy}"


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections("inet"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    break
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:  # somebody else's process
        pass
    return ""
