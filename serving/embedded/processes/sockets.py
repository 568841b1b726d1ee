"""The sockets of an address that several processes share."""

from __future__ import annotations

import socket


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
