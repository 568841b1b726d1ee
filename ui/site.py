"""What `lexport ui` answers: an address is a page about one folder. It only reads.

Every address begins with a token that is made at the start, so that other pages and users of this machine cannot ask.
Host and Origin are checked too, against names of other sites that lead to this machine.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from urllib.parse import parse_qsl

from ..errors import InputError, LexportError
from ..export.answered import pair
from ..loadtest.pages.side_by_side import html as loadtests_html
from ..loadtest.side_by_side import compare as compare_loadtests
from ..reports.vectors.word_map import script_digest
from . import comparison, pages
from .answers import Opened
from .drawn import Drawn
from .evaluations import Evaluations
from .library import Item, item_of, items

LONGEST_BODY = 1_000_000
"""Bytes of a request."""
_OPEN = 3  # items whose models are kept open
# What reading damaged or hostile files raises where no check has better words.
_DAMAGED = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
HTML = "text/html; charset=utf-8"
JSON = "application/json"


@dataclass(frozen=True)
class Reply:
    """An answer of the site."""

    status: int
    content: bytes
    kind: str = HTML
    script: str | None = None
    """The page's own script, as a policy names it (`nonce-…`, `sha256-…`); None: no script may run."""


class Site:
    """The pages about one folder, for one address. Threads may ask at the same time."""

    def __init__(self, folder: Path, host: str) -> None:
        """Show `folder` at `host` (NAME:PORT), under a new token."""
        self.token = secrets.token_urlsafe(18)
        self._folder = folder
        self._port = host.rpartition(":")[2]
        self._hosts = {host, f"localhost:{self._port}"}
        self._opened: dict[tuple[str, float], Opened] = {}
        self._evaluations = Evaluations()
        self._drawn = Drawn()
        self._lock = Lock()

    def close(self) -> None:
        """Close all models."""
        with self._lock:
            for opened in self._opened.values():
                opened.close()
            self._opened.clear()

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Answer one request; `headers` have names in lower case. Nothing that lies in the folder makes it fail."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts or origin not in (None, "null", f"http://{host}"):
            return _refused(403, f"This page is for http://{min(self._hosts)} alone.")
        if origin == "null" and method != "GET":
            return _refused(403, "A page without an address may not ask.")
        path, _, query = target.partition("?")
        token, *place = path.removeprefix("/").split("/")
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return _refused(404, "The address has no token, or an old one. Use the one that lexport ui has printed.")
        try:
            return self._routed(method, place, dict(parse_qsl(query)), body)
        except LexportError as error:
            why = error.message
        except _DAMAGED as error:
            why = f"It is damaged, or not as lexport writes it ({type(error).__name__}: {str(error)[:300]})."
        if method == "POST":
            return Reply(422, json.dumps({"error": why}).encode(), JSON)
        return Reply(422, pages.problem(why).encode())

    def _routed(self, method: str, place: list[str], given: Mapping[str, str], body: bytes) -> Reply:
        script = secrets.token_urlsafe(12)
        match method, place:
            case "GET", [""]:
                return Reply(200, pages.index(items(self._folder), self._folder).encode())
            case "GET", ["item", key]:
                return Reply(200, self._item_page(self._item(key), script).encode(), script=f"nonce-{script}")
            case "GET", ["loadtest", key]:
                return Reply(200, (self._item(key, "loadtest").path / "report.html").read_bytes())
            case "GET", ["report", key]:
                with self._lock:
                    return Reply(200, self._drawn.page("report", self._item(key)).encode())
            case "GET", ["map", key]:
                with self._lock:
                    return Reply(200, self._drawn.page("map", self._item(key)).encode(), script=script_digest())
            case "GET", ["evaluation", key]:
                item = self._item(key, "run")
                with self._lock:
                    return Reply(200, self._evaluations.page(item).encode())
            case "GET", ["texts", key]:
                item = self._item(key, "run")
                with self._lock:
                    found = self._evaluations.of(item).behind(given.get("truth", ""), given.get("answer", ""))
                return Reply(200, pages.texts(item, found, given).encode())
            case "GET", ["compare"]:
                one, other = self._item(given.get("a", "")), self._item(given.get("b", ""))
                return self._compared(one, other, script)
            case "GET", ["differing"]:
                one, other = self._item(given.get("a", ""), "run"), self._item(given.get("b", ""), "run")
                with self._lock:
                    paired = pair(self._evaluations.of(one), self._evaluations.of(other))
                return Reply(200, pages.differing(one, other, paired).encode())
            case "POST", ["answer", key]:
                return Reply(200, json.dumps(self._answer(self._item(key), body)).encode(), JSON)
        return _refused(404, "There is nothing at this address.")

    def _item(self, key: str, kind: str | None = None) -> Item:
        item = item_of(self._folder, key)
        if item is None or kind not in (None, item.kind):
            raise InputError(
                f"There is no item {key[:40]!r} in {self._folder}. Load the first page again.", code="LX-UI-003"
            )
        if item.problem is not None:
            raise InputError(f"{item.name} cannot be shown. Make it again: {item.problem}", code="LX-UI-002")
        return item

    def _item_page(self, item: Item, script: str) -> str:
        with self._lock:
            try:
                opened: Opened | None = self._open(item) if item.kind != "loadtest" else None
                problem = None
            except LexportError as error:
                opened, problem = None, error.message
            except _DAMAGED as error:
                opened, problem = None, f"It cannot be opened ({type(error).__name__}: {str(error)[:300]})."
        return pages.item(item, opened, problem, script)

    def _compared(self, one: Item, other: Item, script: str) -> Reply:
        """Return the page of two load tests, or of two runs or archives with their load tests in this folder."""
        if one.kind == other.kind == "loadtest":
            return Reply(200, loadtests_html(compare_loadtests(one.path, other.path)).encode())
        if "loadtest" in (one.kind, other.kind):
            raise InputError(
                f"{one.name} and {other.name} cannot be compared: expected two load tests, or runs and archives. "
                "Choose another one.",
                code="LX-UI-011",
            )
        tests = [item for item in items(self._folder) if item.kind == "loadtest" and item.problem is None]
        of_one, of_other = (
            [test for test in tests if item.path.stem in dict(test.facts)["archives"].split(", ")]
            for item in (one, other)
        )
        pairs = list(zip(of_one[:1], of_other[:1], strict=False))  # the newest of each
        page = comparison.compare(one, other, script, pairs)
        return Reply(200, page.encode(), script=f"nonce-{script}")

    def _open(self, item: Item) -> Opened:
        place = (item.key, item.changed)
        if place not in self._opened:
            while len(self._opened) >= _OPEN:
                self._opened.pop(next(iter(self._opened))).close()
            self._opened[place] = Opened(item)
        return self._opened[place]

    def _answer(self, item: Item, body: bytes) -> dict[str, object]:
        try:
            asked = json.loads(body)
            text, lang = asked["text"], asked.get("lang")
            if not isinstance(text, str) or not isinstance(lang, str | None):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise InputError('The request is not JSON with "text". Send {"text": "…"}.', code="LX-UI-004") from None
        with self._lock:
            return self._open(item).answer(text, lang)


def _refused(status: int, why: str) -> Reply:
    return Reply(status, pages.problem(why).encode())
