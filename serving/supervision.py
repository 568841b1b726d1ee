"""What a supervisor and the process that starts it say to each other.

`launch.start` runs a supervisor, the process above a server's others, and writes its orders, a line of JSON, to its
standard input; later KEEP or READY. The supervisor answers with lines of JSON: `say` is progress for the user, and
the last one is `started` or has a `problem`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..errors import InputError, LexportError, RefusedError, SystemProblem
from ..messages.escaping import visible

KEEP = "keep\n"
"""The server is ready and outlives the process that started it."""
READY = "ready\n"
"""The server is ready and ends with the process that started it."""
LOG = "supervisor.log"

MAX_RESTARTS = 5
"""How often what a supervisor keeps running may die in a row before it gives up."""
STEADY = 60.0
"""Seconds that it must have run for the row to be over."""


def pause_before(restart: int) -> float:
    """Return the seconds before a restart, the first in a row being 1: at once, then after 1, 2, 4, 8 s."""
    return 0.0 if restart <= 1 else 2.0 ** (restart - 2)


def read_orders() -> dict[str, Any] | None:
    """Return the orders; None if the process that started this one has died."""
    line = b""
    while not line.endswith(b"\n"):
        block = os.read(0, 1)
        if not block:
            return None
        line += block
    orders: dict[str, Any] = json.loads(line)
    return orders


def say(line: str) -> None:
    """Have the starting process show a line."""
    _tell(say=line)


def answer_started() -> None:
    """Tell the starting process that all went well, and nothing more."""
    _tell(started=True)
    _say_no_more()


def answer_problem(error: Exception) -> None:
    """Tell the starting process why not, and nothing more. An error that is not lexport's is wrapped in one."""
    if not isinstance(error, LexportError):
        error = SystemProblem(
            f"The supervisor could not start the server: {type(error).__name__}: {error}. Look into its {LOG}.",
            code="LX-SERVE-108",
        )
    _tell(problem=to_json(error))
    _say_no_more()


def to_json(error: LexportError) -> dict[str, Any]:
    """Return an error for another process."""
    return {"message": error.message, "below": error.below, "code": error.code, "exit": error.exit_code}


def from_json(facts: Mapping[str, Any]) -> LexportError:
    """Return the error that another process has made JSON of: with its exit code, its message and its own code."""
    kinds = {1: RefusedError, 2: InputError, 3: SystemProblem}
    return kinds[facts["exit"]](facts["message"], facts["below"], code=facts["code"])


def log(line: str) -> None:
    """Write a line to the supervisor's log."""
    os.write(2, f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {visible(line)}\n".encode(errors="replace"))


def _tell(**facts: Any) -> None:
    with suppress(BrokenPipeError):  # the starting process has stopped waiting
        data = json.dumps(facts).encode() + b"\n"
        while data:
            data = data[os.write(1, data) :]


def _say_no_more() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
