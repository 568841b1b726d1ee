"""What lies in a folder: runs, archives and reports of load tests, with what can be said of each at a glance."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import LexportError
from ..serving.store import read as read_archive

DEPTH = 4
"""Folders within folders that are looked into."""
MOST = 500
"""Items that are listed; the newest."""
_FOLDERS = 5_000
_LARGEST = 16 * 2**20  # bytes of a JSON file that is read
_HEADLINES = ("accuracy", "micro_f1", "recall_at_1")
_SKIPPED = frozenset({"node_modules", "__pycache__", "build", "dist", "export"})

Described = tuple[dict[str, str], str]
"""What is said of an item, as names and values, and the command that it waits for, with {} for its name."""


@dataclass(frozen=True)
class Item:
    """A run, an archive or a load test."""

    kind: str
    """`run`, `archive` or `loadtest`."""
    path: Path
    """Its folder or file."""
    name: str
    """Its path within the folder that is looked at."""
    changed: float
    """When it was last changed, in seconds since 1970."""
    facts: tuple[tuple[str, str], ...] = ()
    """What is said of it, as names and values."""
    following: str = ""
    """The command that it waits for; empty for a load test."""
    problem: str | None = None
    """Why it cannot be used; None where nothing is wrong at a glance."""

    @property
    def key(self) -> str:
        """Return its name in an address."""
        return hashlib.sha256(f"{self.kind}:{self.name}".encode(errors="surrogateescape")).hexdigest()[:16]

    @property
    def when(self) -> str:
        """Return when it was last changed, in local time; nothing for a time that no calendar has."""
        try:
            return datetime.fromtimestamp(self.changed).isoformat(sep=" ", timespec="minutes")
        except (ValueError, OverflowError, OSError):
            return ""


def items(folder: Path) -> list[Item]:
    """Return what lies in a folder and those inside, the newest first. Nothing in it can make this fail."""
    found = sorted(_find(folder), key=lambda item: (-item.changed, item.name))
    return [_described(item) for item in found[:MOST]]


def item_of(folder: Path, key: str) -> Item | None:
    """Return the item with this `key`, described; None if there is none."""
    return next((_described(item) for item in _find(folder) if item.key == key), None)


def _find(folder: Path) -> Iterator[Item]:
    """Yield each item, without its facts. Links to folders are not followed."""
    for root, folders, files in islice(os.walk(folder, onerror=lambda _: None), _FOLDERS):
        here = Path(root)
        deep = len(here.relative_to(folder).parts) >= DEPTH
        folders[:] = [] if deep else sorted(one for one in folders if one[:1] != "." and one not in _SKIPPED)
        if "run.json" in files:
            yield _item("run", here, folder)
        if {"results.json", "report.html"} <= set(files):
            yield _item("loadtest", here, folder)
        for one in sorted(files):
            if one.endswith(".mar") and one[:1] != ".":
                yield _item("archive", here / one, folder)


def _item(kind: str, path: Path, folder: Path) -> Item:
    try:
        changed = path.stat().st_mtime
    except OSError:  # gone meanwhile
        changed = 0.0
    return Item(kind, path, str(path.relative_to(folder)), changed)


def _described(item: Item) -> Item:
    """Return an item with its facts and the command that it waits for, or with its problem."""
    try:
        facts, following = _DESCRIBERS[item.kind](item.path)
    except LexportError as error:
        return replace(item, problem=error.message)
    except OSError as error:
        return replace(item, problem=f"It cannot be read: {error.strerror}.")
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        return replace(item, problem=f"It is not as lexport writes it ({type(error).__name__}).")
    return replace(item, facts=tuple(facts.items()), following=following.format(shlex.quote(item.name)))


def read_json(path: Path) -> Any:
    """Return the value of a JSON file. Raises ValueError, RecursionError, or OSError, for one too large too."""
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"more than {_LARGEST:,} bytes")
    return json.loads(path.read_text(encoding="utf-8"))


def _run(path: Path) -> Described:
    info, metrics = read_json(path / "run.json"), read_json(path / "metrics.json")
    [metric] = [name for name in _HEADLINES if name in metrics["test"]][:1]
    facts = {
        "recipe": str(info["recipe"]["name"]),
        "data": str(info["data"]["name"]),
        metric.replace("_", " "): f"{float(metrics['test'][metric]):.4f}",
        "training texts": f"{int(info['data']['train']):,}",
    }
    evidence = path / "export" / "evidence.json"
    if not evidence.is_file():
        return facts, "lexport export {}"
    variants = read_json(evidence)["variants"]
    passed = sum(one["refused"] is None for one in variants)
    facts["variants"] = f"{passed} of {len(variants)} passed"
    return facts, "lexport archive {} --version 1.0" if passed else "lexport evaluate {}"


def _archive(path: Path) -> Described:
    found = read_archive(path)
    facts = {
        "model": f"{found.name} {found.version}",
        "variant": found.variant or "not made by lexport",
        "size": f"{path.stat().st_size / 1e6:.1f} MB",
    }
    return facts, "lexport serve {}"


def _loadtest(path: Path) -> Described:
    found = read_json(path / "results.json")
    rows = found["rows"]
    best = max((float(row["requests_per_second"]) for row in rows), default=0.0)
    facts = {
        "archives": ", ".join(dict.fromkeys(str(row["archive"]) for row in rows)),
        "runs": str(len(rows)),
        "most requests/s": f"{best:,.0f}",
        "objectives": "none" if not found["objectives"] else "met" if found["passed"] else "missed",
    }
    return facts, ""


_DESCRIBERS: dict[str, Callable[[Path], Described]] = {"run": _run, "archive": _archive, "loadtest": _loadtest}
