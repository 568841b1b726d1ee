"""The pages of `lexport ui`, filled from templates in reports/templates/ui/."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation.tasks import TASKS
from ..export.answered import Paired
from ..export.evidence.evidence import read_evidence
from ..reports.evaluation_tables import line
from ..reports.evidence_table import variants_of
from ..reports.pages import Cell, render
from ..reports.tables import share
from ..reports.training import Curves, curves
from .library import Item, read_json

if TYPE_CHECKING:
    from .answers import Opened

_MOST_TEXTS = 500  # of a list
_KINDS = {"run": "Runs", "archive": "Archives", "loadtest": "Load tests"}


def index(found: Sequence[Item], folder: Path) -> str:
    """Return the first page: everything in the folder."""
    groups = [
        {"title": title, "kind": kind, "items": own}
        for kind, title in _KINDS.items()
        if (own := [item for item in found if item.kind == kind])
    ]
    whole = [item for kind in _KINDS for item in found if item.kind == kind and item.problem is None]
    comparable = [
        ("Compare two", [item for item in whole if item.kind != "loadtest"]),
        ("Compare two load tests", [item for item in whole if item.kind == "loadtest"]),
    ]
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
        curves=_curves(one.path) if one.kind == "run" else None,
        script=script,
    )


def texts(one: Item, found: Sequence[Mapping[str, Any]], given: Mapping[str, str]) -> str:
    """Return the texts of one cell of a confusion matrix, by `truth` and `answer` of the address."""
    rows = [[share(text["confidence"]), Cell(line(text["text"]), "long")] for text in found[:_MOST_TEXTS]]
    truth, answer = given.get("truth", ""), given.get("answer", "")
    more = f" The first {_MOST_TEXTS}." if len(found) > _MOST_TEXTS else ""
    return render(
        "ui/texts.html",
        title=f"{truth}, answered as {answer}",
        in_short=f"{len(found):,} test texts of {one.name}, those with the highest score first.{more}",
        one=one,
        rows=rows,
    )


def differing(one: Item, other: Item, found: Paired) -> str:
    """Return the texts that one of two runs has right and the other wrong."""
    low, high = found.interval
    groups = [
        {"title": f"{winner} alone is right: {len(texts):,}", "rows": [_differing(text) for text in shown]}
        for winner, texts in (("A", found.only_one), ("B", found.only_other))
        if (shown := texts[:_MOST_TEXTS])
    ]
    return render(
        "ui/differing.html",
        title="Texts that one has right and the other wrong",
        in_short=f"A: {one.name} · B: {other.name}",
        one=one,
        other=other,
        shared=found.shared,
        both=found.both,
        neither=found.shared - found.both - len(found.only_one) - len(found.only_other),
        difference=f"{found.difference:+.4f} [{low:+.4f}, {high:+.4f}]",
        most=_MOST_TEXTS,
        groups=groups,
    )


def _differing(text: Mapping[str, Any]) -> list[str | Cell]:
    scores = f"{share(text['one_score'])} / {share(text['other_score'])}"
    return [text["label"], text["one"], text["other"], scores, Cell(line(text["text"]), "long")]


def problem(message: str) -> str:
    """Return the page of something that cannot be shown."""
    return render("ui/problem.html", title="This cannot be shown", in_short="", message=message)


def _variants(folder: Path) -> dict[str, Any] | None:
    """Return the evidence of a run's variants; None if it was not exported."""
    exported = (folder / "export" / "evidence.json").is_file()
    return variants_of(asdict(read_evidence(folder))) if exported else None


def _curves(folder: Path) -> Curves | None:
    """Return the charts of a run's training; None where it kept no losses."""
    test = read_json(folder / "metrics.json")["test"]
    heads = {name: head for task in TASKS.values() for name, head in task.HEADLINES.items()}
    score = next(head for name, head in heads.items() if name in test and name != "macro_f1")
    return curves(read_json(folder / "run.json")["training"], score)
