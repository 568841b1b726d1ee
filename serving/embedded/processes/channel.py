"""Lines of JSON between a supervisor and one of its processes: questions, and their answers in any order."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from ....errors import LexportError, SystemProblem
from ...supervision import from_json, to_json

_LONGEST = 1 << 24  # bytes of a line

Answerer = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Does what a question asks for, by its name and facts, and returns a JSON value."""


class Closed(Exception):
    """The other side has gone."""


class Channel:
    """One side of a connected pair of sockets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answerer | None) -> None:
        """Have `answer` do what the other side asks for; None if it asks for nothing."""
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed = False
        """Whether the other side has gone."""

    @classmethod
    async def over(cls, end: socket.socket, answer: Answerer | None = None) -> Channel:
        """Return a channel over a connected socket, which it closes in the end."""
        reader, writer = await asyncio.open_connection(sock=end, limit=_LONGEST)
        return cls(reader, writer, answer)

    async def ask(self, question: str, **facts: Any) -> Any:
        """Return the answer to a question.

        Raises the LexportError that the other side's answerer raised; Closed if it goes before it answers.
        """
        if self.closed:
            raise Closed
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send({"ask": question, "number": number, "facts": facts})
        try:
            return await future
        finally:
            self._waiting.pop(number, None)

    async def run(self) -> None:
        """Read until the other side has gone; then every question that waits raises Closed."""
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except (OSError, ValueError):  # it was killed while it wrote
            pass
        finally:
            self.closed = True
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(Closed())
                    future.exception()  # its waiter may have gone
            self._writer.close()

    def _take(self, message: Mapping[str, Any]) -> None:
        if "ask" in message:
            task = asyncio.ensure_future(self._reply(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        future = self._waiting.get(message["number"])
        if future is None or future.done():
            return
        if "problem" in message:
            future.set_exception(from_json(message["problem"]))
        else:
            future.set_result(message["answer"])

    async def _reply(self, message: Mapping[str, Any]) -> None:
        reply: dict[str, Any] = {"number": message["number"]}
        try:
            assert self._answer is not None
            reply["answer"] = await self._answer(message["ask"], message["facts"])
        except LexportError as error:
            reply["problem"] = to_json(error)
        except Exception as error:
            problem = SystemProblem(
                f"A process of the server failed: {type(error).__name__}: {error}. Look into the server's logs.",
                code="LX-SERVE-110",
            )
            reply["problem"] = to_json(problem)
        self._send(reply)

    def _send(self, message: Mapping[str, Any]) -> None:
        with suppress(OSError, RuntimeError):
            self._writer.write(json.dumps(message).encode() + b"\n")
