"""Ports: which are free, and which process uses the others."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from contextlib import ExitStack

import psutil

from ...errors import InputError, SystemProblem
from .addresses import HIGHEST_PORT, Address

_OPTIONS = {**dict.fromkeys(("inference", "management", "metrics"), "--port"), "health": "--health"}
"""The option that sets the port, by purpose of the HTTP endpoint."""


def check_free(endpoints: Mapping[str, Address]) -> None:
    """Check that nothing listens on any endpoint's port yet; port 0 is always free.

    Raises SystemProblem with the port, the process that uses it (where known) and the remedy; InputError if two
    endpoints share a port.
    """
    purposes: dict[int, str] = {}
    for purpose, endpoint in endpoints.items():
        if endpoint.port == 0:
            continue
        if endpoint.port in purposes:
            raise InputError(
                f"Port {endpoint.port} is set for {purposes[endpoint.port]} and {purpose}: give each its own.",
                code="LX-SERVE-047",
            )
        purposes[endpoint.port] = purpose
        try:
            with _bound(endpoint):
                pass
        except OSError as error:
            raise SystemProblem(_explain(purpose, endpoint, error), code="LX-SERVE-048") from None


def explain_lost(endpoints: Mapping[str, Address]) -> str:
    """Return which of the endpoints' ports another process took after `check_free`, in words."""
    try:
        check_free(endpoints)
    except SystemProblem as problem:
        return str(problem)
    ports = ", ".join(str(endpoint.port) for endpoint in endpoints.values() if endpoint.port)
    return (
        f"A port was in use when TorchServe wanted it (one of {ports}), and is free again. Try once more, or choose "
        "other ports with --port (--port 0 takes any free ones)."
    )


def pick_free(endpoints: Mapping[str, Address]) -> dict[str, Address]:
    """Replace port 0 of the HTTP endpoints by ports that are free now; another process may still take one."""
    picked = dict(endpoints)
    with ExitStack() as held:  # held together, so that they differ
        for purpose in (one for one in _OPTIONS if one in endpoints):
            while picked[purpose].port == 0 or picked[purpose].port > HIGHEST_PORT:
                try:
                    taken = held.enter_context(_bound(Address(endpoints[purpose].host, 0)))
                except OSError as error:
                    raise SystemProblem(_explain(purpose, endpoints[purpose], error), code="LX-SERVE-049") from None
                picked[purpose] = Address(endpoints[purpose].host, taken.getsockname()[1])
    return picked


def _bound(endpoint: Address) -> socket.socket:
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # As TorchServe does; without it a port stays taken for a minute after its server has stopped.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((endpoint.host, endpoint.port))
    except BaseException:
        server.close()
        raise
    return server


def _explain(purpose: str, endpoint: Address, error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        expected = "Expected one of its own, such as 127.0.0.1."
        return f"{endpoint.host} is not an address of this machine ({purpose}). {expected}"
    option = _OPTIONS.get(purpose, "--port")
    if error.errno == errno.EACCES:
        return (
            f"Port {endpoint.port} ({purpose}) is reserved for the administrator. Choose 1024 or more with {option}."
        )
    remedy = (
        f"Stop that, or choose another port with {option} ({option} 0 takes any free one)."
        if purpose in _OPTIONS
        else f"Stop that, or change {purpose.lower().replace(' ', '_')}_port in the settings (0 takes any free one)."
    )
    return f"Port {endpoint.port} ({purpose}) is in use{_holder(endpoint.port)}. {remedy}"


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections("inet"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    break
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:  # another user's process
        pass
    return ""
