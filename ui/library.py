"""What lies in a folder: runs, archives and reports of load tests, with what can be said of each at a glance."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
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
    problem: str | None = None
    """Why it cannot be used; None where nothing is wrong at a glance."""

    @property
    def key(self) -> str:
        """Return its name in an address."""
        return hashlib.sha256(f"{self.kind}:{self.name}".encode(errors="surrogateescape")).hexdigest()[:16]

    @property
    def when(self) -> str:
        """Return when it was last changed, in local time."""
        return datetime.fromtimestamp(self.changed).isoformat(sep=" ", timespec="minutes")


def items(folder: Path) -> list[Item]:
    """Return what lies in a folder and those inside, the newest first. Nothing in it can make this fail."""
    found = [_described(kind, path, folder) for kind, path in _find(folder)]
    return sorted(found, key=lambda item: (-item.changed, item.name))[:MOST]


def next_command(item: Item) -> str:
    """Return the command that an item waits for."""
    own = shlex.quote(item.name)
    facts = dict(item.facts)
    if item.kind == "archive":
        return f"lexport serve {own}"
    if "variants" not in facts:
        return f"lexport export {own}"
    return f"lexport {'evaluate ' + own if facts['variants'].startswith('0 ') else f'archive {own} --version 1.0'}"


def _find(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the kind and path of each item. Links to folders are not followed."""
    for root, folders, files in islice(os.walk(folder, onerror=lambda _: None), _FOLDERS):
        here = Path(root)
        deep = len(here.relative_to(folder).parts) >= DEPTH
        folders[:] = [] if deep else sorted(one for one in folders if one[:1] != "." and one not in _SKIPPED)
        if "run.json" in files:
            yield "run", here
        if {"results.json", "report.html"} <= set(files):
            yield "loadtest", here
        yield from (("archive", here / one) for one in sorted(files) if one.endswith(".mar") and one[:1] != ".")


def _described(kind: str, path: Path, folder: Path) -> Item:
    name = str(path.relative_to(folder))
    try:
        changed = path.stat().st_mtime
    except OSError:
        changed = 0.0
    try:
        facts = {"run": _run, "archive": _archive, "loadtest": _loadtest}[kind](path)
    except LexportError as error:
        return Item(kind, path, name, changed, problem=error.message)
    except OSError as error:
        return Item(kind, path, name, changed, problem=f"It cannot be read: {error.strerror}.")
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        return Item(kind, path, name, changed, problem=f"It is not as lexport writes it ({type(error).__name__}).")
    return Item(kind, path, name, changed, tuple(facts.items()))


def read_json(path: Path) -> Any:
    """Return the value of a JSON file. Raises ValueError, RecursionError, or OSError, for one too large too."""
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"more than {_LARGEST:,} bytes")
    return json.loads(path.read_text(encoding="utf-8"))


def _run(path: Path) -> dict[str, str]:
    info, metrics = read_json(path / "run.json"), read_json(path / "metrics.json")
    metric = next(name for name in _HEADLINES if name in metrics["test"])
    facts = {
        "recipe": str(info["recipe"]["name"]),
        "data": str(info["data"]["name"]),
        metric.replace("_", " "): f"{float(metrics['test'][metric]):.4f}",
        "training texts": f"{int(info['data']['train']):,}",
    }
    evidence = path / "export" / "evidence.json"
    if evidence.is_file():
        variants = read_json(evidence)["variants"]
        passed = sum(one["refused"] is None for one in variants)
        facts["variants"] = f"{passed} of {len(variants)} passed"
    return facts


def _archive(path: Path) -> dict[str, str]:
    found = read_archive(path)
    return {
        "model": f"{found.name} {found.version}",
        "variant": found.variant or "not made by lexport",
        "size": f"{path.stat().st_size / 1e6:.1f} MB",
    }


def _loadtest(path: Path) -> dict[str, str]:
    found = read_json(path / "results.json")
    rows = found["rows"]
    best = max((float(row["requests_per_second"]) for row in rows), default=0.0)
    return {
        "archives": ", ".join(dict.fromkeys(str(row["archive"]) for row in rows)),
        "runs": str(len(rows)),
        "most requests/s": f"{best:,.0f}",
        "objectives": "none" if not found["objectives"] else "met" if found["passed"] else "missed",
    }
