"""What `lexport` alone shows: the runs, archives and server that are here, and what can be done next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MOST = 8  # of each kind are shown, the newest


def overview(folder: Path) -> Iterator[Any]:
    """Yield what to show about a folder: tables of the runs and archives, and lines."""
    from ...reports.tables import new_table, titled
    from ...ui.library import items

    found = items(folder)
    for kind, title in (("run", "Runs"), ("archive", "Archives")):
        own = [item for item in found if item.kind == kind]
        if not own:
            continue
        table = new_table(kind, "what it is", "next")
        for column in table.columns:
            column.justify = "left"
        for item in own[:_MOST]:
            facts = ", ".join(f"{name} {value}" for name, value in item.facts)
            table.add_row(item.name, item.problem or facts, item.following)
        left = f"the newest {_MOST} of {len(own):,}" if len(own) > _MOST else ""
        yield titled(title, table, left)
    address = _server()
    if address:
        yield f"A server of yours runs at {address}: lexport status shows what it serves."
    if found:
        yield "To look at them in a browser:  lexport ui"
    else:
        yield "No run and no archive is here. The whole job on sample data, in some minutes:  lexport demo"
        yield "With texts and labels of yours:  lexport train reviews.csv --out reviews"
    yield "All commands:  lexport --help"


def _server() -> str | None:
    """Return the address of this user's own server, None if none runs."""
    from ...errors import LexportError
    from ...serving.folders import default_state_dir
    from ...serving.process import is_running
    from ...serving.state import load

    try:
        server = load(default_state_dir())
    except LexportError:
        return None
    return server.inference_url if server and is_running(server) else None
