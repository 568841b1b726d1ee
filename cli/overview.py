"""What `lexport` alone shows: the runs, archives and server that are here, and what can be done next."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

_MOST = 8  # of each kind are shown, the newest
_STORE = Path("model_store")
_HEADLINES = ("accuracy", "micro_f1", "recall_at_1")


def runs(folder: Path) -> list[Path]:
    """Return the newest run folders in a folder and in the folders directly inside it, the newest first."""
    found = [*folder.glob("*/run.json"), *folder.glob("*/*/run.json")]
    return [path.parent for path in islice(sorted(found, key=_changed, reverse=True), _MOST)]


def archives(folder: Path) -> list[Path]:
    """Return the newest archives of the model store in a folder, the newest first."""
    found = (folder / _STORE).glob("[!.]*.mar")
    return list(islice(sorted(found, key=_changed, reverse=True), _MOST))


def overview(folder: Path) -> Iterator[Any]:
    """Yield what to show about a folder: tables of the runs and archives, and lines."""
    from ..reports.tables import new_table, titled

    trained, packed, address = runs(folder), archives(folder), _server()
    if trained:
        table = new_table("run", "on the test texts", "next")
        for run in trained:
            table.add_row(str(run.relative_to(folder)), _score(run), _after(run, folder))
        yield titled("Runs", _aligned(table))
    if packed:
        table = new_table("archive", "made", "next")
        for path in packed:
            made = datetime.fromtimestamp(_changed(path)).isoformat(sep=" ", timespec="minutes")
            own = str(path.relative_to(folder))
            table.add_row(own, made, f"lexport {'deploy' if address else 'serve'} {shlex.quote(own)}")
        yield titled("Archives", _aligned(table))
    if address:
        yield f"A server of yours runs at {address}: lexport status shows what it serves."
    if not trained and not packed:
        yield "No run and no archive is here. The whole job on sample data, in some minutes:  lexport demo"
        yield "With texts and labels of yours:  lexport train reviews.csv --out reviews"
    yield "All commands:  lexport --help"


def _aligned(table: Any) -> Any:
    for column in table.columns:
        column.justify = "left"
    return table


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # gone meanwhile
        return 0.0


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object; nothing for a file that is missing or damaged, which the command for it explains."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _score(run: Path) -> str:
    test = _read(run / "metrics.json").get("test")
    found = test if isinstance(test, dict) else {}
    known = [
        f"{name.replace('_', ' ')} {found[name]:.4f}" for name in _HEADLINES if isinstance(found.get(name), float)
    ]
    return known[0] if known else "?"


def _after(run: Path, folder: Path) -> str:
    """Return the command that a run waits for."""
    own = shlex.quote(str(run.relative_to(folder)))
    variants = _read(run / "export" / "evidence.json").get("variants")
    if not isinstance(variants, list):
        return f"lexport export {own}"
    if all(isinstance(one, dict) and one.get("refused") for one in variants):
        return f"lexport evaluate {own}"
    return f"lexport archive {own} --version 1.0"


def _server() -> str | None:
    """Return the address of this user's own server, None if none runs."""
    from ..errors import LexportError
    from ..serving.folders import default_state_dir
    from ..serving.process import is_running
    from ..serving.state import load

    try:
        server = load(default_state_dir())
    except LexportError:
        return None
    return server.inference_url if server and is_running(server) else None
