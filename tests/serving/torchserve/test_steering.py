"""Connections of another process are taken and given back without its knowledge."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from pathlib import Path

import pytest

from lexport.serving.torchserve.handover import Handover, listening_sockets
from lexport.serving.torchserve.listeners import NotPermitted
from lexport.serving.torchserve.proxy.steering import SOURCE, beside, give_back

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can do that")

FAMILIES = [
    (socket.AF_INET, "127.0.0.1"),
    (socket.AF_INET, "0.0.0.0"),
    (socket.AF_INET6, "::ffff:127.0.0.1"),
    (socket.AF_INET6, "::"),
]


def listening(family: int, host: str) -> socket.socket:
    """A socket as Java opens it."""
    found = socket.socket(family)
    if family == socket.AF_INET6:
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((host, 0))
    found.listen(200)
    found.settimeout(5)
    return found


def who_gets(one: socket.socket, other: socket.socket, source: str = "127.0.0.1") -> tuple[int, int]:
    """How many of twenty new connections each of two sockets gets."""
    port = one.getsockname()[1]
    clients = [
        socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(source, 0)) for _ in range(20)
    ]
    counts = []
    for each in (one, other):
        each.setblocking(False)
        accepted = 0
        while True:
            try:
                each.accept()[0].close()
            except BlockingIOError:
                break
            accepted += 1
        counts.append(accepted)
    for client in clients:
        client.close()
    return counts[0], counts[1]


@pytest.mark.parametrize(("family", "host"), FAMILIES)
def test_new_connections_go_to_the_one_beside_until_they_are_given_back(family: int, host: str) -> None:
    # One connection is open all the time: the port can be shared although it has some.
    with (
        listening(family, host) as theirs,
        socket.create_connection(("127.0.0.1", theirs.getsockname()[1])),
        theirs.accept()[0],
        listening(socket.AF_INET, "127.0.0.1") as another,
    ):
        for _ in range(3):
            with beside(theirs) as ours:
                assert who_gets(theirs, ours) == (0, 20)
                assert who_gets(theirs, ours, SOURCE) == (20, 0)
                give_back(ours)
                assert who_gets(theirs, ours) == (20, 0)
            assert who_gets(theirs, another) == (20, 0)


def test_sockets_are_handed_over_by_the_process_above(tmp_path: Path) -> None:
    with pytest.raises(NotPermitted, match="the process above TorchServe does not answer: No such file"):
        listening_sockets(tmp_path)
    handover = Handover(tmp_path)
    with listening(socket.AF_INET, "127.0.0.1") as theirs:
        port = theirs.getsockname()[1]

        def answer() -> None:
            for pid in (os.getpid(), os.getppid()):
                select.select([handover], [], [], 10)
                handover.answer(pid, [port])

        above = threading.Thread(target=answer)
        above.start()
        try:
            [found] = listening_sockets(tmp_path)
            with found:
                assert found.getsockname() == theirs.getsockname()
            with pytest.raises(NotPermitted, match=f"process {os.getppid()}|other than {os.getppid()}"):
                listening_sockets(tmp_path)
        finally:
            above.join()
            handover.close()
