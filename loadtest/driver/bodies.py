"""The bodies that are sent: texts from a file, in a template, mixed with long, bad and listed ones."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

POOL = 2_000  # different bodies, sent in turn
POOL_BYTES = 64_000_000
LONG = 20_000  # characters of a long text, at least
LISTED = 8  # texts in a list
SHARES = ("long", "bad", "list")
TEXTS = (
    "A warm, quietly funny film that trusts its actors and never raises its voice.",
    "Two hours of noise and not one scene anybody will remember tomorrow.",
    "The first half drags, but the ending is worth the wait.",
    "I wanted to like it; the script would not let me.",
    "Beautifully shot, badly cut, and saved by a wonderful leading performance.",
    "It is the kind of comedy that explains every joke twice.",
)
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")  # scripts without spaces: each character is a token


class Body(NamedTuple):
    """A body to send."""

    content: bytes
    json: bool
    """Whether it is sent as JSON, not as plain text."""
    bad: bool
    """Whether a server is to refuse it."""


def read_requests(path: Path) -> list[dict[str, Any]]:
    """Return a file's requests without blank texts: JSON lines with "text" ("lang") or "image", or lines of text.

    Raises ValueError for a file without any.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"Cannot read the texts {path}: {error}. Expected UTF-8, one text or JSON a line.") from None
    if path.suffix in {".jsonl", ".ndjson"}:
        try:
            found = [request(json.loads(line)) for line in lines]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'{path} has a line that is no JSON object with "text" or "image": {error!r}.') from None
    else:
        found = [{"text": line.strip()} for line in lines]
    asked = [one for one in found if str(one.get("text", "image")).strip()]
    if not asked:
        raise ValueError(f"{path} has no text. Expected one text a line, or JSON lines with a field text or image.")
    return asked


def request(line: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a JSON line that make a request. Raises KeyError where there is neither."""
    if line.get("image") is not None:
        return {"image": line["image"]}
    return {"text": str(line["text"])} | ({} if line.get("lang") is None else {"lang": line["lang"]})


def parse_mix(words: str) -> dict[str, float]:
    """Return the shares of `long=5%,bad=1%,list=0.1`, 0 to 1. Raises ValueError for other words."""
    shares: dict[str, float] = {}
    for term in filter(None, map(str.strip, words.split(","))):
        match = re.fullmatch(rf"({'|'.join(SHARES)})\s*=\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)", term)
        if not match or match[1] in shares:
            raise ValueError(
                f"--mix {term!r} is not a share, or given twice; expected {', '.join(SHARES)}, each once, such as "
                "long=5%,bad=1%,list=10%."
            )
        shares[match[1]] = float(match[2]) / (100 if match[3] else 1)
    if sum(shares.values()) > 1:
        raise ValueError(f"--mix {words!r} adds up to more than 1; expected shares of all requests.")
    return shares


class Template:
    """A body with `{text}` in the place of the text: within a JSON document, or plain."""

    def __init__(self, words: str) -> None:
        """Take JSON with `{text}` inside a string or in the place of one, or any other text with `{text}`.

        Raises ValueError without `{text}`, or for what begins as JSON and is not.
        """
        if "{text}" not in words:
            raise ValueError(f'--body {words!r} has no {{text}}; expected such as {{"inputs": "{{text}}"}}.')
        self._parts = words.split("{text}")
        self.json = words.lstrip().startswith(("{", "[", '"')) and words.strip() != "{text}"
        self._quoted = self.json and _is_json('"x"'.join(self._parts))
        if self.json and not self._quoted and not _is_json("x".join(self._parts)):
            raise ValueError(f"--body {words!r} begins as JSON and is not JSON with a text in place of {{text}}.")

    def fill(self, text: str) -> str:
        """Return the body of a text."""
        if self.json:
            text = json.dumps(text) if self._quoted else json.dumps(text)[1:-1]
        return text.join(self._parts)


def _is_json(words: str) -> bool:
    try:
        json.loads(words)
    except (ValueError, RecursionError):
        return False
    return True


def invent(random_: random.Random) -> str:
    """Return a word of 8 to 12 letters that is in no vocabulary."""
    return "".join(random_.choice("zxqvkj") + random_.choice("aeiou") for _ in range(random_.randint(4, 6)))


class Bodies:
    """The bodies of a run, made before it starts; `next(bodies.turn)` is the next one to send."""

    def __init__(
        self,
        requests: list[dict[str, Any]],
        unknown_share: float,
        seed: int,
        content_type: str = "text",
        template: Template | None = None,
        mix: dict[str, float] | None = None,
    ) -> None:
        """Shuffle `requests` and replace `unknown_share` of their tokens, the same way for the same `seed`.

        All are sent as JSON where `content_type` is "json" or one is more than a text; with a `template` as that is.
        `mix` has the shares of all bodies that are long, bad or a list. Raises ValueError where they cannot be made.
        """
        texts = [one for one in requests if one.keys() == {"text"}]
        mix = mix or {}
        if template and len(texts) < len(requests):
            raise ValueError("--body places a text; texts with a language and images have no place in it.")
        if mix.get("list") and (template or not texts):
            raise ValueError("--mix list=… sends the texts of lexport's models; it takes no --body, and plain texts.")
        self.tokens = self.unknown = 0
        self._json = content_type == "json" or len(texts) < len(requests)
        self._template = template
        self._random = random.Random(seed)
        self._share = unknown_share
        self.all: list[Body] = []
        order = requests[:]
        self._random.shuffle(order)
        self._next = itertools.cycle(order)
        self._texts = itertools.cycle([one["text"] for one in order if one.keys() == {"text"}] or [""])
        kinds = [*mix, ""]
        weights = [*mix.values(), 1 - sum(mix.values())]
        size = 0
        while len(self.all) < POOL and size <= POOL_BYTES:
            self.all.append(self._body(self._random.choices(kinds, weights)[0] if mix else ""))
            size += len(self.all[-1].content)
        self.turn: Iterator[Body] = itertools.cycle(self.all)

    def _body(self, kind: str) -> Body:
        if kind == "list":
            listed = {"texts": [self._varied(next(self._texts)) for _ in range(LISTED)]}
            return Body(json.dumps(listed).encode(), json=True, bad=False)
        one = next(self._next)
        if kind == "long" and one.get("text"):
            one = one | {"text": " ".join([one["text"]] * (LONG // (len(one["text"]) + 1) + 1))}
        if "text" in one:
            one = one | {"text": self._varied(one["text"])}
        as_json = self._template.json if self._template else self._json
        words = self._template.fill(one["text"]) if self._template else json.dumps(one) if as_json else one["text"]
        content = words.encode("utf-8", "replace")
        if kind == "bad":  # JSON that ends too soon, or bytes that are not UTF-8
            content = content[: len(content) // 2] if as_json else b"\xff" + content
        return Body(content, as_json, bad=kind == "bad")

    def _varied(self, text: str) -> str:
        """Return a text with its share of unknown words."""
        return _WORD.sub(self._word, text)

    def _word(self, match: re.Match[str]) -> str:
        self.tokens += 1
        if self._random.random() >= self._share:
            return match.group()
        self.unknown += 1
        word = invent(self._random)
        return word if match.group().isascii() or len(match.group()) > 1 else f" {word} "
