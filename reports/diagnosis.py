"""What `lexport diagnose` found, for people: the screens of the command, and the page of `--out`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ..evaluation.diagnostics.findings import CHECKS, FINE, NOTE, SERIOUS, SEVERITIES, SKIPPED, WARNING
from ..storage import atomic as files
from .evaluation_tables import line
from .pages import Cell, render
from .tables import Line, Table, new_table, share, shown, text_table, titled

_COLOURS = {SERIOUS: "red", WARNING: "yellow", NOTE: "cyan", FINE: "green", SKIPPED: "dim"}
_BANNERS = {SERIOUS: "bad", WARNING: "note", NOTE: "plain"}
_ON_PAGE = 200
"""Rows of a table of texts or words on the page."""
_WORDS = 10
"""Words on the screen."""


def screens(found: Mapping[str, Any], most: int) -> Iterator[RenderableType]:
    """Yield one screen after the other of `Diagnosis.to_json`, with at most `most` texts in a table."""
    yield Line(f"{found['target']} and {found['texts']:,} texts of {found['data']}: {_in_short(found)}", "bold")
    yield _findings(found["findings"])
    errors, words, shared = found["label_errors"], found["words"], found["shared"]
    if words:
        table = new_table("unknown word", "times")
        for one in words[:_WORDS]:
            table.add_row(one["word"], f"{one['count']:,}")
        yield titled(f"Unknown words, {_first(_WORDS, len(words), 'words')}", table)
    if shared and most:
        table = text_table({"likeness": True, "part": False, "text": False, "other part": False})
        for one in shared[:most]:
            table.add_row(share(one["likeness"]), one["part"], line(one["text"]), one["other_part"])
        yield titled(f"In more than one part, {_first(most, len(shared), 'texts')}", table)
    if errors and most:
        table = text_table({"score": True, "given": False, "suggested": False, "text": False})
        for one in errors[:most]:
            table.add_row(share(one["score"]), _label(one["given"]), _label(one["suggested"]), line(one["text"]))
        yield titled(f"Labels that are likely wrong, {_first(most, len(errors), 'labels')}", table)


def write(found: Mapping[str, Any], target: Path) -> None:
    """Write the page of `Diagnosis.to_json`, replacing one that is there. Raises InputError."""
    files.write_file(target, html(found).encode())


def html(found: Mapping[str, Any]) -> str:
    """Return the whole page."""
    return render(
        "diagnosis.html",
        title=f"Diagnosis of {found['target']}",
        in_short=f"{found['texts']:,} texts of {found['data']} · {_in_short(found)}",
        worst=_worst(found["counts"]),
        findings=[_finding(one) for one in found["findings"] if one["severity"] not in (FINE, SKIPPED)],
        others=[_finding(one) for one in found["findings"] if one["severity"] in (FINE, SKIPPED)],
        errors=_rows(
            found["label_errors"],
            lambda one: [
                _label(one["given"]),
                _label(one["suggested"]),
                share(one["score"]),
                one["part"],
                Cell(line(one["text"]), "long"),
            ],
        ),
        words=_rows(found["words"], lambda one: [one["word"], f"{one['count']:,}"]),
        shared=_rows(
            found["shared"],
            lambda one: [
                one["part"],
                one["other_part"],
                share(one["likeness"]),
                Cell(line(one["text"]), "long"),
                Cell(line(one["other"]), "long"),
            ],
        ),
    )


def _in_short(found: Mapping[str, Any]) -> str:
    told = [
        f"{count} {severity}{'s' if count > 1 and severity in (WARNING, NOTE) else ''}"
        for severity, count in found["counts"].items()
        if count
    ]
    return ", ".join(told)


def _worst(counts: Mapping[str, int]) -> str:
    """Return the worst severity that there is."""
    return next((severity for severity in SEVERITIES if counts[severity]), FINE)


def _findings(values: Sequence[Mapping[str, Any]]) -> Table:
    table = new_table("", "what", "found")
    for column in table.columns:
        column.justify, column.overflow = "left", "fold"
    for one in values:
        colour = _COLOURS[one["severity"]]
        told = shown(one["found"])
        if one["why"]:
            told.append("\n").append_text(shown(one["why"], "dim"))
        if one["fix"]:
            told.append("\n").append_text(shown(f"→ {one['fix']}", colour))
        table.add_row(Text(one["severity"], colour), CHECKS[one["check"]], told)
    return table


def _finding(one: Mapping[str, Any]) -> dict[str, str]:
    severity = one["severity"]
    told = {name: one[name] for name in ("severity", "found", "why", "fix")}
    return told | {"check": CHECKS[one["check"]], "style": _BANNERS.get(severity, "")}


def _rows(values: Sequence[Mapping[str, Any]], cells: Any) -> dict[str, Any] | None:
    """Return the rows of a table of the page, and how many there are in all; None without any."""
    return {"rows": [cells(one) for one in values[:_ON_PAGE]], "count": len(values)} if values else None


def _label(label: str) -> str:
    return label or "(none)"


def _first(most: int, count: int, what: str) -> str:
    return f"the first {most:,} of {count:,} {what}" if count > most else f"{count:,} {what}"
