"""How a command says why it ended: a line for people, or JSON for what collects the logs of containers."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from .escaping import json_visible

_state = {"json": False}


def use_json(asked: bool) -> None:
    """Have this process say it as JSON from now on, or as text."""
    _state["json"] = asked


def is_json() -> bool:
    """Return whether this process says it as JSON."""
    return _state["json"]


def json_line(message: str, *, level: str = "info", moment: float | None = None, **facts: Any) -> str:
    """Return a line of JSON: time (UTC), level, message, then those `facts` that are not empty.

    `level` is info, warning or error; `moment` in seconds since 1970, None: now.
    """
    at = datetime.fromtimestamp(time.time() if moment is None else moment, UTC)
    known = {name: value for name, value in facts.items() if value not in (None, "")}
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": stamp, "level": level, "message": message, **known}
    return json_visible(json.dumps(line, ensure_ascii=False))
