"""Which answers count: those of lexport's models, every good status, or those with a value at a JSONPath."""

from __future__ import annotations

import json
import re
from typing import Any

OWN = frozenset(("label", "labels", "vector"))
_PART = re.compile(
    r"""\.(?P<name>[^.\[\]\s'"*]+)|\[(?P<index>-?[0-9]{1,9})\]|\[(?P<quote>['"])(?P<key>.*?)(?P=quote)\]"""
    r"""|(?P<all>\.\*|\[\*\])"""
)


class Expectation:
    """What an answer must be like to count."""

    def __init__(self, words: str) -> None:
        """`label`: 200 with a label, labels or a vector; `status`: any 2xx; `$.a.b`: any 2xx whose JSON has this.

        A JSONPath is `$` and any of `.name`, `['a name']`, `[0]`, `[-1]`, `.*` and `[*]`. Raises ValueError for
        other words.
        """
        self.words = words
        self._path = None if words in ("label", "status") else parse_path(words)

    def fault(self, status: int, content: bytes, *, bad: bool = False) -> str | None:
        """Return why an answer counts as failed, in a few words; None for one that counts.

        `bad`: the request was one that a server is to refuse, with a status of 4xx.
        """
        if bad:
            return None if 400 <= status < 500 else f"HTTP {status} to a bad request"
        if self.words == "status" and 200 <= status < 300:
            return None
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            return f"HTTP {status}, not JSON"
        if not 200 <= status < 300 or (self._path is None and status != 200):
            # TorchServe's errors have a type, lexport's own a code that is a word.
            named = (answer.get("type"), answer.get("code")) if isinstance(answer, dict) else ()
            return " ".join([f"HTTP {status}", *[name for name in named if isinstance(name, str)][:1]])
        if self._path is not None:
            return None if found(answer, self._path) else f"no {self.words} in the answer"
        answers = answer if isinstance(answer, list) and answer else [answer]
        own = all(isinstance(one, dict) and not OWN.isdisjoint(one) for one in answers)
        return None if own else "no label or vector in the answer"


def parse_path(words: str) -> list[str | int | None]:
    """Return the parts of a JSONPath: names, places in lists, and None for every member.

    Raises ValueError for what is not in the subset.
    """
    parts: list[str | int | None] = []
    place = 1
    while words.startswith("$") and place < len(words):
        match = _PART.match(words, place)
        if not match:
            break
        name = match["name"] if match["name"] is not None else match["key"]
        parts.append(None if match["all"] else name if name is not None else int(match["index"]))
        place = match.end()
    if not words.startswith("$") or place < len(words):
        raise ValueError(
            f"--expect {words!r} is not understood; expected label, status, or a JSONPath of names, places and stars "
            "such as $.predictions[0].label or $['top label'] or $[*].score."
        )
    return parts


def found(value: Any, path: list[str | int | None]) -> bool:
    """Return whether JSON has a value at a path, other than null."""
    if not path:
        return value is not None
    part, rest = path[0], path[1:]
    if part is None:
        members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return any(found(member, rest) for member in members)
    if isinstance(part, int):
        return isinstance(value, list) and -len(value) <= part < len(value) and found(value[part], rest)
    return isinstance(value, dict) and part in value and found(value[part], rest)
