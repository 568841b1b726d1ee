"""The pages of `lexport ui`, filled from templates in reports/templates/ui/."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..export.evidence.evidence import read_evidence
from ..reports.charts.losses import loss_curve
from ..reports.evidence_table import variants_of
from ..reports.pages import Cell, Figure, render
from ..reports.tables import share
from .evaluations import MOST_TEXTS
from .library import Item, read_json

if TYPE_CHECKING:
    from .answers import Opened

_KINDS = {"run": "Runs", "archive": "Archives", "loadtest": "Load tests"}


def index(found: Sequence[Item], folder: Path) -> str:
    """Return the first page: everything in the folder."""
    groups = [
        {"title": title, "kind": kind, "items": own}
        for kind, title in _KINDS.items()
        if (own := [item for item in found if item.kind == kind])
    ]
    comparable = [item for item in found if item.kind != "loadtest" and item.problem is None]
    return render(
        "ui/index.html",
        title="lexport",
        in_short=f"What lies in {folder}",
        groups=groups,
        comparable=comparable,
    )


def item(one: Item, opened: Opened | None, problem: str | None, script: str) -> str:
    """Return the page of a run or an archive: what it is, a text to try, its variants and its training.

    `problem` is why it could not be opened, `script` the nonce of the page's script.
    """
    own = shlex.quote(one.name)
    commands = [("next", one.following)]
    if one.kind == "run":
        commands += [("evaluation", f"lexport evaluate {own} --report evaluation.html")]
        commands += [("what is wrong with it", f"lexport diagnose {own}")]
    else:
        commands += [("its evidence", f"lexport inspect {own}"), ("one answer", f'lexport run {own} "a text"')]
    commands += [("the whole report", f"lexport report {own} --out report.html")]
    commands += [("a map of its words", f"lexport vectors map {own} --out map.html")]
    variants = _variants(one.path) if one.kind == "run" else None
    return render(
        "ui/item.html",
        title=one.name,
        in_short=", ".join(f"{name} {value}" for name, value in one.facts),
        one=one,
        problem=problem,
        languages=opened.languages if opened else (),
        can_answer=opened is not None,
        commands=commands,
        variants=variants,
        curve=_curve(one.path) if one.kind == "run" else None,
        script=script,
    )


def texts(one: Item, found: Sequence[Mapping[str, Any]], given: Mapping[str, str]) -> str:
    """Return the texts of one cell of a confusion matrix, by `truth` and `answer` of the address."""
    rows = [[share(text["confidence"]), Cell(text["text"], "long")] for text in found[:MOST_TEXTS]]
    truth, answer = given.get("truth", ""), given.get("answer", "")
    more = f" The first {MOST_TEXTS}." if len(found) > MOST_TEXTS else ""
    return render(
        "ui/texts.html",
        title=f"{truth}, answered as {answer}",
        in_short=f"{len(found):,} test texts of {one.name}, those with the highest score first.{more}",
        one=one,
        rows=rows,
    )


def compare(one: Item, other: Item, script: str) -> str:
    """Return two runs or archives beside each other, with one text to try on both."""
    names = list(dict.fromkeys(name for item in (one, other) for name, _ in item.facts))
    first, second = dict(one.facts), dict(other.facts)
    rows = [
        [name, first.get(name, "–"), second.get(name, "–"), _difference(first.get(name), second.get(name))]
        for name in names
    ]
    both_archives = one.kind == other.kind == "archive"
    quoted = f"{shlex.quote(one.name)} {shlex.quote(other.name)}"
    return render(
        "ui/compare.html",
        title="Compared",
        in_short=f"{one.name} and {other.name}",
        one=one,
        other=other,
        rows=rows,
        command=f"lexport diff {quoted}" if both_archives else None,
        script=script,
    )


def problem(message: str) -> str:
    """Return the page of something that cannot be shown."""
    return render("ui/problem.html", title="This cannot be shown", in_short="", message=message)


def _difference(one: str | None, other: str | None) -> str:
    """Return the difference of two numbers, nothing where they are not numbers."""
    try:
        change = float(str(other).replace(",", "")) - float(str(one).replace(",", ""))
    except ValueError:
        return ""
    return f"{change:+.4f}" if change % 1 else f"{change:+,.0f}"


def _variants(folder: Path) -> dict[str, Any] | None:
    """Return the evidence of a run's variants; None if it was not exported."""
    exported = (folder / "export" / "evidence.json").is_file()
    return variants_of(asdict(read_evidence(folder))) if exported else None


def _curve(folder: Path) -> Figure | None:
    """Return the validation losses of a run; None where none were kept."""
    training = read_json(folder / "run.json")["training"]
    losses, best = training.get("validation_losses") or (), training.get("best_epoch") or 0
    return loss_curve(losses, best, exact="strength" in training)
