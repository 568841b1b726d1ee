"""An HTTP server whose latency is planned: a delay, and a stall that comes again and again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

ANSWER = b'{"label": "positive"}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


@dataclass
class Planned:
    """Answers after `delay` seconds. Each `every` seconds it does nothing for `stall`."""

    delay: float
    stall: float = 0.0
    every: float = 1.0
    port: int = 0
    asked: list[float] = field(default_factory=list)
    """When requests came, on the clock of `time.monotonic`."""
    late: list[float] = field(default_factory=list)
    """How long after the planned time each was answered, in seconds: what a busy machine adds."""

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}/ask"

    def percentile_ms(self, percent: float) -> float:
        """Return what is planned, in ms, for requests that come at any time."""
        stalled = self.stall / self.every  # the share that comes in a stall, and waits for up to its length
        waits = self.stall * max(0.0, 1 - (1 - percent / 100) / stalled) if stalled else 0.0
        return (self.delay + waits) * 1000

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection, one after the other."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                came = time.monotonic()
                self.asked.append(came)
                due = came + max(0.0, self.stall - came % self.every) + self.delay
                await asyncio.sleep(due - time.monotonic())
                self.late.append(time.monotonic() - due)
                writer.write(HEAD % len(ANSWER) + ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    @contextmanager
    def running(self) -> Iterator[Planned]:
        """Context manager: the server at a free port of this machine, in a thread."""
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self.handle, "127.0.0.1", 0, backlog=1000))
        self.port = server.sockets[0].getsockname()[1]
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(_ended(server), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _ended(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
