"""Take another process's new connections, without its knowledge and without a connection lost. Linux only.

The two listen at the same address (SO_REUSEPORT), and a program in the kernel says who gets a connection
(SO_ATTACH_REUSEPORT_CBPF, socket(7)). The program has to be told who asks: what comes from SOURCE goes to the other
process, so that this one can pass on what it gets.
"""

from __future__ import annotations

import ctypes
import socket
import struct

BACKLOG = 1_024
"""Connections that the system completes before they are accepted."""
SOURCE = "127.76.88.1"
"""The address from which this process asks the other one."""
_ATTACH = 51  # SO_ATTACH_REUSEPORT_CBPF
_NETWORK = 0xFFF00000  # SKF_NET_OFF: offsets into the head of the IP packet
_THEIRS, _OURS = 0, 1  # places in the group: in the order in which the sockets began to listen
_LOAD_BYTE, _LOAD_WORD, _AND, _IF_EQUAL, _RETURN = 0x30, 0x20, 0x54, 0x15, 0x06
# (operation, if true, if false, value) each: a packet of IP version 4 from SOURCE is theirs, all else ours.
_STEER = (
    (_LOAD_BYTE, 0, 0, _NETWORK),
    (_AND, 0, 0, 0xF0),
    (_IF_EQUAL, 0, 3, 0x40),
    (_LOAD_WORD, 0, 0, _NETWORK + 12),
    (_IF_EQUAL, 0, 1, int.from_bytes(socket.inet_aton(SOURCE))),
    (_RETURN, 0, 0, _THEIRS),
    (_RETURN, 0, 0, _OURS),
)
_BACK = ((_RETURN, 0, 0, _THEIRS),)


def beside(theirs: socket.socket) -> socket.socket:
    """Return a socket that listens where another process's does, and gets its new connections. Raises OSError."""
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    ours = socket.socket(theirs.family, socket.SOCK_STREAM)
    try:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            ours.setsockopt(socket.SOL_SOCKET, option, 1)
        if theirs.family == socket.AF_INET6:
            only = theirs.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            ours.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        ours.bind(theirs.getsockname())
        ours.listen(BACKLOG)  # the two are no group before that
        _attach(ours, _STEER)
    except OSError:
        ours.close()
        raise
    return ours


def give_back(ours: socket.socket) -> None:
    """Let new connections go to the other process again. Raises OSError."""
    _attach(ours, _BACK)


def _attach(to: socket.socket, steps: tuple[tuple[int, int, int, int], ...]) -> None:
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    # The kernel's struct sock_fprog: how many steps, and where they are.
    to.setsockopt(socket.SOL_SOCKET, _ATTACH, struct.pack("HP", len(steps), ctypes.addressof(program)))
