"""Refuse new connections to another process's ports and keep its open connections. Linux only.

TorchServe cannot do that itself: it closes its ports and every open connection at once. This module duplicates its
listening sockets into this process. That needs the right to trace the process: a parent has it, and the same user has
it where the kernel's Yama module allows it.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ..listening import drop_new

_ESTABLISHED, _SYN_RECEIVED, _LISTEN = 1, 3, 10  # the kernel's numbers of TCP states
_PIDFD_GETFD = 438
_SETTLE = 1.0  # seconds that connections made before have to be accepted; it takes some milliseconds


@dataclass(frozen=True)
class Connection:
    """A TCP socket of a process, as the kernel lists it."""

    port: int
    state: int
    sending: int
    """Bytes that the other side has not acknowledged."""
    received: int
    """Bytes that the process has not read; of a listening socket, connections it has not accepted."""
    inode: int


class NotPermitted(Exception):
    """The system does not let this process refuse another process's connections; the text has the reason."""


def connections(pid: int, ports: Sequence[int]) -> list[Connection]:
    """Return the IPv4 and IPv6 sockets at `ports`, of every process in the network of process `pid`; none if it is
    gone.
    """
    return [
        one for family in ("tcp", "tcp6") for one in _listed(Path(f"/proc/{pid}/net/{family}")) if one.port in ports
    ]


def unanswered(one: Connection) -> bool:
    """Return whether a connection has a request that was not read, or an answer that did not arrive."""
    return one.state == _ESTABLISHED and (one.sending > 0 or one.received > 0)


def refuse_new(pid: int, ports: Sequence[int]) -> None:
    """Refuse new connections to `ports`, where process `pid` listens; connections being set up are accepted first.

    A client that connects during the few milliseconds of the change is refused at its second attempt, a second later.
    This cannot be undone. Raises NotPermitted where the system does not allow it.
    """
    with ExitStack() as stack:
        listening = [stack.enter_context(one) for one in duplicate_listening(pid, ports)]
        try:
            for one in listening:
                drop_new(one)
            deadline = time.monotonic() + _SETTLE
            while _under_way(pid, ports) and time.monotonic() < deadline:
                time.sleep(0.005)
            for one in listening:
                one.shutdown(socket.SHUT_RD)
        except OSError as error:
            raise NotPermitted(f"{error.strerror}") from None


def duplicate_listening(pid: int, ports: Sequence[int]) -> list[socket.socket]:
    """Return duplicates of the sockets with which process `pid` listens at `ports`; none if nobody does.

    Raises NotPermitted where the system does not allow it, or another process listens there.
    """
    if sys.platform != "linux":
        raise NotPermitted("only Linux can do that")
    inodes = {one.inode for one in connections(pid, ports) if one.state == _LISTEN}
    found = list(_duplicates(pid, inodes))
    if inodes and not found:
        raise NotPermitted(f"a process other than {pid} listens at {' or '.join(map(str, ports))}")
    return found


def _under_way(pid: int, ports: Sequence[int]) -> bool:
    """Return whether there are connections that were asked for and not accepted yet."""
    return any(
        one.state == _SYN_RECEIVED or (one.state == _LISTEN and one.received) for one in connections(pid, ports)
    )


def _duplicates(pid: int, inodes: Collection[int]) -> Iterator[socket.socket]:
    """Yield sockets of a process, opened in this one."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    try:
        process = os.pidfd_open(pid)
    except OSError as error:
        raise NotPermitted(f"process {pid}: {error.strerror}") from None
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if (target := _target(entry)) in wanted:
                wanted.remove(target)  # it may be open there twice
                yield socket.socket(fileno=_duplicate(process, int(entry.name)))
    except OSError as error:
        raise NotPermitted(f"the sockets of process {pid}: {error.strerror}") from None
    finally:
        os.close(process)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # closed since the folder was listed
        return ""


def _duplicate(process: int, descriptor: int) -> int:
    system = ctypes.CDLL(None, use_errno=True)
    found = int(system.syscall(_PIDFD_GETFD, process, descriptor, 0))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found


def _listed(table: Path) -> Iterator[Connection]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        _, local, _, state, queues, _, _, _, _, inode, *_ = line.split()
        sending, _, received = queues.partition(":")
        port = int(local.rpartition(":")[2], 16)
        yield Connection(port, int(state, 16), int(sending, 16), int(received, 16), int(inode))
