"""What `inspect`, `verify` and `diff` show of archives: tables for people. Machines use --json."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Group
from rich.markdown import Markdown
from rich.rule import Rule
from rich.text import Text

from ..errors import RefusedError
from ..export.archive.diff import Comparison
from ..export.archive.format.reader import EVIDENCE
from ..export.archive.inspect import Inspection
from ..messages.escaping import visible_lines
from ..reports.tables import Line, Quoted, evidence, megabytes, new_table, reading, share, titled

_SHOWN = 12  # words, members and flips at most
_WIDTH = 60  # of a text


def inspection(found: Inspection) -> Group:
    """The archive's own evidence, what it holds, and the model card.

    Raises RefusedError for evidence that lacks what lexport writes into it.
    """
    with reading(f"{found.path}: {EVIDENCE}", RefusedError):
        return _inspection(found)


def _inspection(found: Inspection) -> Group:
    values = found.evidence
    own = next(one for one in values["variants"] if one["name"] == found.variant)
    machine, created = values["machine"], time.strftime("%Y-%m-%d", time.gmtime(values["created"]))
    facts = new_table("archive", "")
    facts.columns[1].justify = "left"
    for name, value in (
        ("model", f"{found.name} {found.version}, variant {found.variant}"),
        ("signed", "no" if found.fingerprint is None else f"by {found.fingerprint}"),
        ("learned from", f"{values['run']['data']['name']}, SHA-256 {values['run']['data']['digest'][:16]}…"),
        ("recipe", f"{values['run']['recipe']}, seed {values['run']['seed']}"),
        ("goldens", f"{found.goldens} requests that every worker answers before it is ready"),
        ("measured", f"{created} on {machine['processor']}, {machine['cores']} cores"),
        ("with", ", ".join(f"{package} {version}" for package, version in found.needs.items())),
        ("gates", ", ".join(f"{gate} {limit:g}" for gate, limit in values["gates"].items())),
        ("gate says", "passed" if own["refused"] is None else f"refused: {own['refused']}"),
    ):
        facts.add_row(name, value)
    members = new_table("member", "bytes")
    for name, size in sorted(found.members.items(), key=lambda item: -item[1])[:_SHOWN]:
        members.add_row(name, f"{size:,}")
    if len(found.members) > _SHOWN:
        members.add_row(f"and {len(found.members) - _SHOWN} smaller ones", "")
    return Group(
        facts,
        evidence(values),
        Text(""),
        titled(f"{found.path.name}, {megabytes(found.size)}", members),
        Rule(),
        Quoted(Markdown(visible_lines(found.card), hyperlinks=False)),
    )


def comparison(found: Comparison) -> Group:
    """What changed from one archive to the other. Raises RefusedError for measurements that cannot be compared."""
    with reading(f"{EVIDENCE} of one of the archives", RefusedError):
        return _comparison(found)


def _comparison(found: Comparison) -> Group:
    one, other = found.before, found.after
    table = new_table("", f"{one.name} {one.version}", f"{other.name} {other.version}", "change")
    table.add_row("variant", one.variant, other.variant, "" if one.variant == other.variant else "differs")
    metrics = ("", "") if one.metric != other.metric else (share(one.value), share(other.value))
    change = f"{other.value - one.value:+.4f}" if one.metric == other.metric else "not the same metric"
    if one.data != other.data:
        change += " (other data)"
    table.add_row(f"test {one.metric.replace('_', ' ')}", *metrics, change)
    table.add_row("size", megabytes(one.size), megabytes(other.size), f"{other.size / max(one.size, 1) - 1:+.1%}")
    for size in one.latency.keys() & other.latency.keys():
        before, after = one.latency[size], other.latency[size]
        table.add_row(f"batch {size}, ms", f"{before:.3f}", f"{after:.3f}", f"{after / before - 1:+.1%}")
    parts: list[Any] = [table]
    if found.words_added or found.words_gone:
        parts.append(Line(f"words: {_listed(found.words_added, 'added')}; {_listed(found.words_gone, 'gone')}"))
    parts.append(Line(_answers(found)))
    if found.flips:
        parts.append(_flips(found))
    if found.same:
        parts.append(Text("Every member is the same, byte for byte."))
    else:
        members = new_table("member", "")
        members.columns[1].justify = "left"
        for name, what in found.members.items():
            members.add_row(name, what)
        parts.append(members)
    return Group(*parts)


def _answers(found: Comparison) -> str:
    if found.answers is not None:
        return f"answers were not compared: {found.answers}"
    return (
        f"{len(found.flips)} of {found.asked} golden requests are answered differently; the largest difference is "
        f"{found.largest_difference:.2g}"
    )


def _flips(found: Comparison) -> Any:
    table = new_table("text", "before", "after", "difference")
    for flip in found.flips[:_SHOWN]:
        text = flip.text if len(flip.text) <= _WIDTH else flip.text[: _WIDTH - 1] + "…"
        table.add_row(repr(text), flip.before, flip.after, f"{flip.difference:.4f}")
    return table


def _listed(words: list[str], what: str) -> str:
    shown = ", ".join(words[:_SHOWN]) + (", …" if len(words) > _SHOWN else "")
    return f"{len(words):,} {what}" + (f" ({shown})" if words else "")
