"""What a connection waits for."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """One of them at a time."""

    FRESH = "its first byte"
    IDLE = "the first byte of another request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    ANSWER = "an answer of ours"
    LAST = "the last answers of ours; nothing more is read"
    LINGER = "the client to read the last answer and close"
