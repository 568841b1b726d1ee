"""The process that is connected to a Ray cluster.

It is not the supervisor: Ray ends a driver whose cluster is lost, and a process that has left a cluster joins no
other one well. The supervisor starts it with the descriptor of a channel, asks, and starts another one to connect
again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ...embedded.processes.channel import Channel
from ..cluster import Cluster
from ..orders import ModelOrder


def main() -> int:
    """Do what the supervisor asks for until it has gone."""
    channel = socket.socket(fileno=int(sys.argv[3]))
    # The supervisor decides: Ctrl-C in a terminal reaches this process too.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(_serve(channel))
    sys.stdout.flush()
    sys.stderr.flush()
    # Ray's own end of a driver would wait for a cluster that may have gone.
    os._exit(0)


async def _serve(channel: socket.socket) -> None:
    await (await Channel.over(channel, _Driver().answer)).run()


class _Driver:
    """Answers what the supervisor asks; changes come one after the other, and looks do not wait for them."""

    def __init__(self) -> None:
        self._cluster: Cluster | None = None
        self._changes = ThreadPoolExecutor(1, "lexport-changes")
        self._looks = ThreadPoolExecutor(1, "lexport-looks")
        self._questions: Mapping[str, Callable[..., Any]] = {
            "connect": self._connect,
            "put": self._put,
            "apply": self._apply,
            "remove": self._remove,
            "look": self._look,
            "close": self._close,
        }

    async def answer(self, question: str, facts: Mapping[str, Any]) -> Any:
        """Do what a question of the supervisor asks for."""
        thread = self._looks if question == "look" else self._changes
        call = partial(self._questions[question], **facts)
        return await asyncio.get_running_loop().run_in_executor(thread, call)

    def _connect(self, address: str | None, host: str, port: int) -> str:
        self._cluster = Cluster.connect(address, host=host, port=port)
        return self._cluster.inference_url

    def _put(self, path: str) -> str:
        return self._joined.put(Path(path))

    def _apply(self, order: Mapping[str, Any], within: float) -> None:
        self._joined.apply(ModelOrder.parse(order), within)

    def _remove(self, name: str) -> None:
        self._joined.remove(name)

    def _look(self) -> dict[str, Any]:
        cluster = self._joined
        return {
            "replicas": [asdict(one) for one in cluster.counts()],
            "nodes": [asdict(one) for one in cluster.nodes()],
        }

    def _close(self, stop_apps: bool) -> None:
        self._joined.close(stop_apps=stop_apps)

    @property
    def _joined(self) -> Cluster:
        assert self._cluster is not None
        return self._cluster
