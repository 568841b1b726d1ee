"""What a benchmark found: printed as Markdown while it runs, and written as a JSON document where that is asked for.

Both come from the same values. `docs/benchmarks/` keeps the document of the last measurement of each benchmark, and
`python docs/generate` makes docs/benchmarks.md of them.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lexport.benchmarks.figures import place, say, table, told
from lexport.benchmarks.questions import QUESTIONS
from lexport.storage.atomic import json_bytes, write_file

_UNIT = re.compile(
    r"(?:^|[ ,:])(million words/s|requests/s|GB/s|µs a text|MB a minute|points|seconds|ms|MiB|MB|s)(?=$|[ ,:])"
)


@dataclass(frozen=True)
class Verdict:
    """A limit, what was found and whether it held."""

    asked: str
    found: str
    held: bool


@dataclass(frozen=True)
class Column:
    """A column of a table. unit: of its figures, "" for words and plain numbers; align: left or right."""

    name: str
    unit: str
    align: str


@dataclass(frozen=True)
class Table:
    """Cells as they are shown, a list a row."""

    columns: list[Column]
    rows: list[list[str]]


@dataclass(frozen=True)
class Part:
    """Tables below one title, with the sentences above and below them."""

    title: str
    above: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    below: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Document:
    """One measurement. command: what was run; date: of its start; minutes: how long it took."""

    benchmark: str
    title: str
    question: str
    command: str
    date: str
    minutes: int
    machine: dict[str, str | int | float]
    versions: dict[str, str]
    parts: list[Part]
    limits: list[Verdict]
    remarks: list[str]


class Report:
    """The tables and limits of one run of a benchmark, in the order in which they are found."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Start the clock. `options`: what `add_options` below added, and `quick`."""
        self._options = options
        self._started = time.time()
        self._parts: list[Part] = []

    def part(self, title: str) -> None:
        """Begin a part of this title."""
        self._parts.append(Part(title))
        print(f"### {title}\n")

    def text(self, sentences: str) -> None:
        """Add sentences to the part: above its tables or, after the first of them, below."""
        part = self._parts[-1]
        (part.below if part.tables else part.above).append(sentences)
        print(f"{sentences}\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], units: Mapping[str, str] = {}) -> None:
        """Add a table to the part, its first column to the left; `units` of columns whose names do not say them."""
        described = [
            Column(name, units.get(name) or unit_of(name), "right" if place else "left")
            for place, name in enumerate(columns)
        ]
        self._parts[-1].tables.append(Table(described, [list(row) for row in rows]))
        print(table(columns, rows))

    def close(self, verdicts: Sequence[Verdict] = ()) -> int:
        """Print the limits and where they were measured, write the document, return the exit code."""
        if verdicts:
            rows = [[one.asked, one.found, "yes" if one.held else "NO"] for one in verdicts]
            print(table(["asked", "found", "held"], rows))
        document = self._document(verdicts)
        print(f"{document.date}, {document.minutes} minutes; {told(document.machine, document.versions)}")
        if self._options.json:
            write_file(self._options.json, json_bytes(asdict(document)))
        if self._options.quick:
            say("quick settings: no verdict")
            return 0
        return 0 if all(one.held for one in verdicts) else 1

    def _document(self, verdicts: Sequence[Verdict]) -> Document:
        name = Path(sys.argv[0]).stem
        question = QUESTIONS[name]
        machine, versions = place()
        return Document(
            benchmark=name,
            title=question.title,
            question=question.question,
            command=self._command(),
            date=time.strftime("%Y-%m-%d", time.gmtime(self._started)),
            minutes=round((time.time() - self._started) / 60),
            machine=machine,
            versions=versions,
            parts=self._parts,
            limits=list(verdicts),
            remarks=list(question.remarks),
        )

    def _command(self) -> str:
        """Return the command without the file that it writes."""
        words = sys.argv[1:]
        if "--json" in words:
            place = words.index("--json")
            words = words[:place] + words[place + 2 :]
        return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument(
        "--json", type=Path, help="a file for the tables and limits, such as docs/benchmarks/NAME.json"
    )


def unit_of(name: str) -> str:
    """Return the unit that the name of a column states, "" where it states none."""
    found = _UNIT.search(name)
    return found[1] if found else ""
