"""The access log of a process: a line of JSON for each request, without anything of its text."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from logging import LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Model, Question

_EVERY = 0.5  # seconds between two writes
_MOST_BYTES, _FILES = 16 << 20, 3
_MOST_LINES = 100_000  # that wait to be written; further ones are counted and left out


class AccessLog:
    """Lines are collected and written twice a second, into a file of at most 16 MiB and three before it.

    A thread writes: where the disk is busy the system makes a writer wait for a tenth of a second, and would with it
    every request.
    """

    def __init__(self, path: Path) -> None:
        """Write to `path`, from the running loop."""
        # Nothing is formatted per request by `logging`, which would cost more than a small model's answer.
        self._file = RotatingFileHandler(path, maxBytes=_MOST_BYTES, backupCount=_FILES, encoding="utf-8", delay=True)
        self._writer = ThreadPoolExecutor(1, "lexport-access-log")
        self._lines: list[str] = []
        self._left_out = 0
        self._writing: Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def note(self, question: Question, model: Model, status: int, size: int, seconds: float) -> None:
        """Collect the line of an answered request."""
        # The id has no character that JSON escapes, nor has a name.
        self._add(
            f'{{"time":{time.time():.3f},"id":"{question.id}","model":"{model.name}","version":"{model.version}",'
            f'"status":{status},"bytes":{size},"ms":{seconds * 1000:.3f}}}'
        )

    def note_other(self, identity: str, status: int, size: int, error: str) -> None:
        """Collect the line of a request that no model has answered. `error`: a name of the refusal, "" for none."""
        named = f',"error":"{error}"' if error else ""
        self._add(f'{{"time":{time.time():.3f},"id":"{identity}","status":{status},"bytes":{size}{named}}}')

    def close(self) -> None:
        """Write what is left."""
        if self._timer is not None:
            self._timer.cancel()
        self._writer.shutdown()
        if self._lines:
            self._append(self._taken())
        self._file.close()

    def _add(self, line: str) -> None:
        if len(self._lines) >= _MOST_LINES:
            self._left_out += 1
            return
        self._lines.append(line)
        if self._timer is None:
            self._timer = self._loop.call_later(_EVERY, self._write)

    def _write(self) -> None:
        if self._writing is not None and not self._writing.done():
            # The disk does not keep up: lines wait here, where their number has a limit.
            self._timer = self._loop.call_later(_EVERY, self._write)
            return
        self._timer = None
        self._writing = self._writer.submit(self._append, self._taken())

    def _taken(self) -> list[str]:
        if self._left_out:
            self._lines.append(json.dumps({"time": round(time.time(), 3), "left_out": self._left_out}))
            self._left_out = 0
        lines, self._lines = self._lines, []
        return lines

    def _append(self, lines: list[str]) -> None:
        # A full disk is told on the process's output and loses the lines, not the requests.
        self._file.handle(LogRecord("access", 0, "", 0, "\n".join(lines), None, None))
