"""The page that `lexport report` writes: what a model is, how good, its exports, how to call it, where it is from.

Its parts are those of the pages of an evaluation and of a load test, and the lines of the model card.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..evaluation.tasks import TASKS
from ..messages.escaping import visible
from ..storage import atomic as files
from .evaluation import blocks
from .evaluation_tables import line
from .evidence_table import variants_of
from .numbers import at_least, measured
from .pages import Cell, render
from .tables import share, with_interval
from .training import curves

_WORDS = 50
_TOKENS = 6  # of a table beside an explained text
_STRONGEST = 45  # percent of the colour behind the token that adds most
_ADDRESS = "127.0.0.1:8080"
# A line of the model card: "- **Name**: text".
_CARD_LINE = re.compile(r"- \*\*(.+?)\*\*: (.*)")


def write(found: Mapping[str, Any], target: Path) -> None:
    """Write the page of `export.report.report`, replacing one that is there. Raises InputError."""
    files.write_file(target, html(found).encode())


def html(found: Mapping[str, Any]) -> str:
    """Return the whole page."""
    evaluation = found["evaluation"]
    return render(
        "overview.html",
        title=_title(found),
        in_short=_in_short(found),
        about=_card_text(found["card"]),
        card=_card_lines(found["card"]),
        data=_data(found["data"]),
        curves=curves(found["training"], _headline(found["task"])) if found["training"] else None,
        leaderboard=_leaderboard(found["task"], found["leaderboard"]) if found["leaderboard"] else None,
        cross_validation=_folds(found["task"], found["cross_validation"]) if found["cross_validation"] else None,
        measured=found["measured"],
        seen=evaluation["seen"] if evaluation else 0,
        evaluation=evaluation is not None,
        **(blocks(evaluation, cells=found["behind"]) if evaluation else {}),
        variants=variants_of(found["evidence"], found["variant"]) if found["evidence"] else None,
        gates=_gates(found["evidence"]) if found["evidence"] else None,
        words=[[word, f"{count:,}"] for word, count in found["words"][:_WORDS]],
        more_words=max(0, len(found["words"]) - _WORDS),
        explanations=[_explanation(one) for one in found["explanations"]],
        loadtest=_loadtest(found["loadtest"]) if found["loadtest"] else None,
        calls=_calls(found),
        provenance=_facts(found["provenance"]),
        left_out=list(found["left_out"].items()),
    )


def _title(found: Mapping[str, Any]) -> str:
    return f"{found['name']} {found['version']}" if found["version"] else str(found["name"])


def _in_short(found: Mapping[str, Any]) -> str:
    what = "An archive" if found["kind"] == "archive" else "A run"
    evaluation = found["evaluation"]
    if evaluation is None:
        return what
    name = evaluation["metric"]
    count = f"{evaluation['count']:,} test texts"
    return f"{what} · {name.replace('_', ' ')} {with_interval(evaluation, name)} on {count}"


def _card_text(card: str) -> str:
    """Return the first paragraph of a model card."""
    lines = [one for one in card.splitlines() if one.strip() and not one.startswith("#")]
    return _plain(lines[0]) if lines else ""


def _card_lines(card: str) -> list[tuple[str, str]]:
    """Return the named lines of a model card."""
    found = (_CARD_LINE.fullmatch(one) for one in card.splitlines())
    return [(_plain(one[1]), _plain(one[2])) for one in found if one is not None]


def _plain(text: str) -> str:
    """Return Markdown as `messages.escaping.markdown` and the card write it as the text that it shows."""
    return re.sub(r"\\([\\`*\[\]<>|~&#!_])", r"\1", re.sub(r"(?<!\\)`", "", text))


def _data(data: Mapping[str, Any]) -> dict[str, Any]:
    parts = {part: int(data[part]) for part in ("train", "validation", "test")}
    every = max(1, sum(parts.values()))
    dropped = [f"{count:,} {reason}" for reason, count in data["dropped"].items() if count]
    facts = [
        ("data", data["name"]),
        ("split", data.get("split", {}).get("by", "by the hash of each text")),
        ("rows left out", ", ".join(dropped) or "none"),
        ("tokens of the validation texts that are unknown", f"{data['unknown_share']:.1%}"),
    ]
    untested = data.get("untested_labels")
    if untested:
        facts.append(("labels without a test text", ", ".join(untested)))
    return {"facts": facts, "rows": [[part, f"{count:,}", f"{count / every:.1%}"] for part, count in parts.items()]}


def _headline(task: str) -> str:
    """Return the name of a task's first metric."""
    return next(iter(TASKS[task].HEADLINES.values()))


def _leaderboard(task: str, board: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    heads = TASKS[task].HEADLINES
    rows = [
        [
            one["recipe"],
            *(share(one.get("cross_validated", one)[name]) for name in heads),
            f"{one['loss']:.4f}",
            f"{one['seconds']:.0f}",
        ]
        for one in board
    ]
    return {"heads": ["Recipe", *heads.values(), "Loss", "Seconds"], "rows": rows}


def _folds(task: str, found: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        [TASKS[task].HEADLINES[name], share(one["mean"]), share(one["deviation"])]
        for name, one in found["metrics"].items()
    ]
    return {"rows": rows, "folds": found["folds"], "tested": found["tested"], "texts": found["texts"]}


def _gates(evidence: Mapping[str, Any]) -> list[list[list[str | Cell]]]:
    return [
        [
            [
                variant["name"],
                gate["name"],
                f"{gate['limit']:g}",
                str(gate["told"]),
                Cell("passed", "good")
                if gate["held"]
                else Cell("refused" if gate["refuses"] else "slow", "bad" if gate["refuses"] else "soft"),
            ]
            for gate in variant["gates"]
        ]
        for variant in evidence["variants"]
        if variant["gates"]
    ]


def _explanation(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a text in pieces, each with the colour of what it adds to its best label."""
    logits = one["logits"]
    label = one.get("label") or max(logits, key=logits.__getitem__)
    tokens = one["tokens"]
    added = [float(token["contributions"][label]) for token in tokens]
    largest = max(map(abs, added), default=0.0) or 1.0
    pieces, end = [], 0
    text = one["text"]
    for token, value in zip(tokens, added, strict=True):
        pieces.append({"text": _line_kept(text[end : token["start"]]), "percent": 0, "title": "", "style": ""})
        pieces.append(
            {
                "text": _line_kept(text[token["start"] : token["end"]]),
                "percent": round(_STRONGEST * abs(value) / largest),
                "style": "for" if value >= 0 else "against",
                "title": f"{value:+.3f}",
            }
        )
        end = token["end"]
    pieces.append({"text": _line_kept(text[end:]), "percent": 0, "title": "", "style": ""})
    strongest = sorted(range(len(tokens)), key=lambda place: -abs(added[place]))[:_TOKENS]
    return {
        "label": label,
        "method": one["method"],
        "logit": f"{logits[label]:+.3f}",
        "bias": f"{one['bias'][label]:+.3f}",
        "pieces": [piece for piece in pieces if piece["text"]],
        "rows": [[line(tokens[place]["token"]), f"{added[place]:+.3f}"] for place in strongest],
    }


def _line_kept(text: str) -> str:
    """Return a piece of a text on one line, with a space for white space at its ends too."""
    return re.sub(r"\s+", " ", text)


def _loadtest(found: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        [
            str(row["archive"]),
            str(row["workers"]),
            f"{row['users'] or row.get('rate', 0):g}",
            at_least(row["requests_per_second"], row.get("client_limit")),
            *(measured(row[name]) for name in ("p50_ms", "p95_ms", "p99_ms")),
            Cell(f"{row['failures']:,}", "bad") if row["failures"] else "0",
        ]
        for row in found["rows"]
    ]
    heads = ["Archive", "Workers", "Users, or requests/s", "Requests/s", "p50, ms", "p95, ms", "p99, ms", "Failed"]
    return {
        "heads": heads,
        "rows": rows,
        "started": str(found.get("started", "")),
        "objectives": ", ".join(map(str, found.get("objectives", ()))),
        "passed": bool(found.get("passed")),
    }


def _calls(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return commands that serve and ask the model, with what each does."""
    name, version = visible(found["name"]), visible(found["version"] or "1.0")
    archive = shlex.quote(visible(found["provenance"].get("archive") or f"model_store/{name}-{version}.mar"))
    language = visible(found["languages"][0]) if found["languages"] else ""
    lang = f', "lang": "{language}"' if language else ""
    python = f', lang="{language}"' if language else ""
    steps = []
    if found["kind"] == "run":
        steps.append(
            ("Pack it", f"lexport archive {shlex.quote(visible(found['provenance']['run']))} --version {version}")
        )
    return [
        *steps,
        ("Serve it", f"lexport serve {archive}"),
        (
            "Ask it with curl; KEY is the inference key of the server's key_file.json",
            f'curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" '
            f'-d \'{{"text": "a text"{lang}}}\' http://{_ADDRESS}/predictions/{name}',
        ),
        (
            "Ask it from Python",
            f'import lexport\n\nwith lexport.Client("{_ADDRESS}") as client:\n    '
            f'print(client.predict("{name}", "a text"{python}))',
        ),
        ("Ask it without a server", f'lexport run {archive} "a text"'),
    ]


def _facts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for name, value in values.items():
        if value in (None, [], {}):
            continue
        if name in ("trained", "exported"):
            value = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(value))
        elif isinstance(value, Mapping):
            value = ", ".join(
                f"{key} {', '.join(one) if isinstance(one, list) else one}" for key, one in value.items()
            )
        elif isinstance(value, list):
            value = "; ".join(_event(one) for one in value)
        elif isinstance(value, int) and name == "bytes":
            value = f"{value:,}"
        found.append((name, str(value)))
    return found


def _event(event: Mapping[str, Any]) -> str:
    if "expanded" in event:
        return f"{event['expanded']['words_added']:,} words added to the run {event['expanded']['from'][:16]}…"
    return f"trained further, from the run {event['trained_from'][:16]}…"
