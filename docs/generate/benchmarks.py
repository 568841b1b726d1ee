"""Write docs/benchmarks.md from the documents in docs/benchmarks/ that the benchmarks wrote with --json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lexport.benchmarks.figures import told
from lexport.benchmarks.questions import QUESTIONS

PAGE = Path(__file__).parents[1] / "benchmarks.md"
FOLDER = PAGE.with_suffix("")

Document = dict[str, Any]


def documents() -> dict[str, list[tuple[str, Document]]]:
    """Return the documents with their file names, by benchmark, in the order of its questions."""
    found: dict[str, list[tuple[str, Document]]] = {name: [] for name in QUESTIONS}
    for path in sorted(FOLDER.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        found[document["benchmark"]].append((path.name, document))
    return {name: own for name, own in found.items() if own}


def page() -> str:
    """Return docs/benchmarks.md."""
    every = documents()
    places = _places(every)
    limits = [limit for own in every.values() for _, document in own for limit in document["limits"]]
    held = sum(limit["held"] for limit in limits)
    lines = [
        "# Benchmarks",
        "",
        f"{len(every)} benchmarks, {len(limits)} limits asked of them, {held} held. `make bench` measures all again;",
        "`python docs/generate` writes this page from the JSON documents that it leaves in `docs/benchmarks/`. One",
        "alone: the command above its tables, with `--json FILE`. A benchmark exits with 1 if it misses a limit.",
        "",
        "What was tried on the way, changed or left out: [experiments](experiments.md). What is commonly advised",
        "about `nn.Embedding`, measured: [claims](claims.md).",
        "",
        "## What was asked",
        "",
        "| benchmark | asked | found | held |",
        "| -- | -- | --: | -- |",
        *_summary(every),
    ]
    for own in every.values():
        lines += _section(own, places)
    lines += ["", "## Machines and versions", ""]
    for place, letter in places.items():
        lines += [f"- **{letter}**: {place}"]
    return "\n".join(lines) + "\n"


def _summary(every: dict[str, list[tuple[str, Document]]]) -> list[str]:
    """Return a row for each limit, and for each benchmark without one its question."""
    rows = []
    for own in every.values():
        title = own[0][1]["title"]
        link = f"[{title}](#{_anchor(title)})"
        limits = [limit for _, document in own for limit in document["limits"]]
        for place, limit in enumerate(limits):
            held = "yes" if limit["held"] else "**no**"
            rows.append(f"| {'' if place else link} | {limit['asked']} | {limit['found']} | {held} |")
        if not limits:
            rows.append(f"| {link} | {own[0][1]['question']} | no limit: see its tables | |")
    return rows


def _section(own: Sequence[tuple[str, Document]], places: dict[str, str]) -> list[str]:
    """Return a benchmark's question, its runs with their tables, and how they are read."""
    first = own[0][1]
    lines = ["", f"## {first['title']}", "", f"**{first['question']}**"]
    shared = [remark for remark in first["remarks"] if all(remark in document["remarks"] for _, document in own)]
    for remark in shared:
        lines += ["", remark]
    for file, document in own:
        minutes = document["minutes"]
        took = f", {minutes} minutes" if minutes else ""
        place = f"machine [{places[_place(document)]}](#machines-and-versions)"
        lines += ["", f"    {document['command']}", ""]
        lines += [f"{document['date']}{took}, {place}; [JSON](benchmarks/{file})"]
        for remark in document["remarks"]:
            if remark not in shared:
                lines += ["", remark]
        for part in document["parts"]:
            lines += _part(part)
    return lines


def _part(part: dict[str, Any]) -> list[str]:
    lines = ["", f"### {part['title']}"]
    for sentences in part["above"]:
        lines += ["", sentences]
    for table in part["tables"]:
        columns = table["columns"]
        rule = ["--:" if column["align"] == "right" else "--" for column in columns]
        rows = [[column["name"] for column in columns], rule, *table["rows"]]
        lines += ["", *("| " + " | ".join(row) + " |" for row in rows)]
    for sentences in part["below"]:
        lines += ["", sentences]
    return lines


def _places(every: dict[str, list[tuple[str, Document]]]) -> dict[str, str]:
    """Return a letter for each different machine with its versions."""
    found = dict.fromkeys(_place(document) for own in every.values() for _, document in own)
    return {place: chr(ord("A") + number) for number, place in enumerate(found)}


def _place(document: Document) -> str:
    return told(document["machine"], document["versions"])


def _anchor(title: str) -> str:
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in "_- ")
    return kept.replace(" ", "-")
