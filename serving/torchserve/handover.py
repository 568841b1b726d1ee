"""Hand TorchServe's listening socket to another process of the same user. Linux only.

The process above TorchServe may duplicate its sockets, being its parent; others may not, where the kernel's Yama
module has its default. It answers at a Unix socket in the server's temporary folder, which is the user's alone.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .listeners import NotPermitted, duplicate_listening

_NAME = "handover"
_SECONDS = 10.0
_MOST = 8  # sockets of one port: one for each family and address
_LONGEST = 4096  # bytes of a reason


class Handover:
    """The side of the process above TorchServe."""

    def __init__(self, folder: Path) -> None:
        """Listen in a folder, in place of who did before. Raises OSError."""
        path = folder / _NAME
        with suppress(FileNotFoundError):
            path.unlink()
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(str(path))
        self._listening.listen(4)
        self._listening.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that can be read when somebody asks."""
        return self._listening.fileno()

    def answer(self, pid: int, ports: Sequence[int]) -> None:
        """Give whoever asks the sockets with which process `pid` listens at `ports`, or say why not."""
        with suppress(OSError):
            asking, _ = self._listening.accept()
            with asking:
                asking.settimeout(_SECONDS)
                try:
                    found = duplicate_listening(pid, ports)
                except NotPermitted as reason:
                    asking.send(str(reason).encode()[:_LONGEST])
                    return
                try:
                    socket.send_fds(asking, [b"\0"], [one.fileno() for one in found])
                finally:
                    for one in found:
                        one.close()

    def close(self) -> None:
        """Answer nobody any more."""
        self._listening.close()


def listening_sockets(folder: Path) -> list[socket.socket]:
    """Return duplicates of the sockets at which TorchServe listens for requests; `folder` is its temporary one.

    Raises NotPermitted where the system does not allow it.
    """
    if sys.platform != "linux":
        raise NotPermitted("only Linux can do that")
    asking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with asking:
        asking.settimeout(_SECONDS)
        try:
            asking.connect(str(folder / _NAME))
            told, descriptors, _, _ = socket.recv_fds(asking, _LONGEST, _MOST)
        except OSError as error:
            raise NotPermitted(f"the process above TorchServe does not answer: {error.strerror or error}") from None
    if told != b"\0":
        raise NotPermitted(told.decode(errors="replace") or "the process above TorchServe said nothing")
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]
