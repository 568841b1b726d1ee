"""The sockets of an address that several processes share, and how many connections a process has room for."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
from contextlib import suppress

_MOST = 4_096  # connections; each takes some 10 KiB while it is idle
_MOST_GRPC = 1_024
_OTHERS = 124  # open files of a process besides its connections


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that alone is bound to an address. Raises OSError if that is in use."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        # From here on others of this user may be bound to it as well. Set before, it would let another server's
        # first socket in.
        if hasattr(socket, "SO_REUSEPORT"):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        made.close()
        raise
    return made


def beside(first: socket.socket) -> socket.socket:
    """Return another socket that is bound to the address of `first`: the system divides connections over both.

    Raises OSError where the system has no SO_REUSEPORT.
    """
    made = socket.socket(first.family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(first.getsockname())
    except OSError:
        made.close()
        raise
    return made


def room_for_connections(*, grpc: bool) -> tuple[int, int]:
    """Return how many connections this process may hold open, over HTTP and over gRPC (0 without `grpc`).

    It lets the process open so many files, if it is allowed to. Linux doubles a process's table of open files when
    it is full, and a process with threads waits for every core then: 30 to 300 ms in which nothing is answered, at
    the 64th, 128th, 256th … connection. So it is made large once.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST + _MOST_GRPC if grpc else _MOST
    wanted = most + _OTHERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    connections = most if soft == resource.RLIM_INFINITY else max(2, min(most, soft - _OTHERS))
    with suppress(OSError):  # the limit was lowered below what is open
        os.close(fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, connections + _OTHERS - 1))
    over_grpc = max(1, connections * _MOST_GRPC // most) if grpc else 0
    return connections - over_grpc, over_grpc
