"""Let a listening socket take no new connections and lose none of those that are under way. Linux only."""

from __future__ import annotations

import ctypes
import socket
import struct

_ATTACH_FILTER = 26
# A socket filter, (operation, if true, if false, value) each: load the byte of TCP flags; keep its SYN and ACK bits;
# SYN without ACK requests a new connection and is dropped (0 bytes kept), everything else passes.
_DROP_SYN = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
_UNACCEPTED = 24  # where `struct tcp_info` has the connections that a listening socket has not handed out


def drop_new(listening: socket.socket) -> None:
    """Drop the first packet of every new connection; those under way are completed.

    A client that connects meanwhile is refused at its second attempt, a second later, when the socket is closed. This
    cannot be undone. Raises OSError where the system does not allow it.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN))
    # The kernel's struct sock_fprog: how many steps, and where they are.
    filters = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(program))
    listening.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, filters)


def unaccepted(listening: socket.socket) -> int:
    """Return how many connections wait to be accepted. Raises OSError where the system does not tell."""
    [count] = struct.unpack_from("I", listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), _UNACCEPTED)
    return int(count)
