"""Tables of `inspect`, `verify` and `diff` for people. Programs use --json."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.markdown import Markdown
from rich.rule import Rule
from rich.text import Text

from ..errors import RefusedError
from ..export.archive.diff import Comparison
from ..export.archive.foreign import ForeignArchive, other_imports
from ..export.archive.format.pickles import Pickle
from ..export.archive.format.reader import EVIDENCE
from ..export.archive.inspect import Inspection
from ..export.archive.recorded import AgainstRecording
from ..export.archive.recordings import SHAPES
from ..export.evidence.load import LoadEvidence, LoadRow, read_load
from ..messages.escaping import visible_lines
from ..reports.evidence_table import evidence
from ..reports.numbers import at_least, measured
from ..reports.tables import Line, Quoted, Table, megabytes, new_table, reading, share, titled

_SHOWN = 12  # words, members and flips at most
_WIDTH = 60  # of a text


def inspection(found: Inspection) -> Group:
    """Return the archive's evidence, members and model card.

    Raises RefusedError for evidence without the fields that lexport writes.
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
        ("gate", "passed" if own["refused"] is None else f"refused: {own['refused']}"),
    ):
        facts.add_row(name, value)
    members = _members(found.members)
    return Group(
        facts,
        evidence(values),
        *([_load(read_load(values["load"]))] if "load" in values else []),
        Text(""),
        titled(f"{found.path.name}, {megabytes(found.size)}", members),
        Rule(),
        Quoted(Markdown(visible_lines(found.card), hyperlinks=False)),
    )


def _load(load: LoadEvidence) -> Any:
    """Return the load test in the evidence."""
    columns = ("runs", "req/s", "p50 ms", "p90", "p95", "p99", "p99.9", "failed", "batch", "queue ms", "limited by")
    table = new_table("load test", *columns)
    for row in load.rows:
        table.add_row(
            row.cell,
            *(str(row.runs), at_least(row.requests_per_second, row.client_limit)),
            *map(measured, (row.p50_ms, row.p90_ms, row.p95_ms, row.p99_ms, row.p99_9_ms)),
            *(f"{row.failures:,}", measured(row.batch_texts), measured(row.queue_ms), row.limited),
        )
    missed = sum(not one.passed for one in load.checks)
    judged = f"{len(load.checks)} of {len(load.objectives) * len(load.rows)} checks judged, {missed} missed"
    said = f"{', '.join(load.objectives)} ({judged})" if load.objectives else "none"
    return titled(f"Load test of {load.started[:10]} on {load.place}. Objectives: {said}", table)


def foreign_archive(found: ForeignArchive) -> Group:
    """Return the manifest, members and possible code of an archive that lexport did not make."""
    facts = new_table("not made by lexport" if found.kind == "archive" else "not made by lexport (a folder)", "")
    facts.columns[1].justify = "left"
    by = "a member" if found.own_handler else "not a member: TorchServe's own, or missing"
    settings = ", ".join(f"{name}: {value}" for name, value in found.settings.items())
    for name, value in (
        ("model", f"{found.name or 'no name'} {found.version or 'without a version'}"),
        ("packed by", f"torch-model-archiver {found.archiver}" if found.archiver else "unknown"),
        ("handler", f"{found.handler or 'none'} ({by})"),
        ("manifest", ", ".join(sorted(map(str, found.manifest)))),
        ("settings", settings or "none"),
        ("requirements", ", ".join(found.requirements) or "none"),
        ("sha256", found.digest or "of a file only"),
    ):
        facts.add_row(name, value)
    members = _members(found.members)
    parts: list[Any] = [facts, titled(f"{found.path.name}, {megabytes(found.size)}", members)]
    if found.pickles:
        table = new_table("pickle", "loading it would import")
        table.columns[1].justify = "left"
        for one in found.pickles[:_SHOWN]:
            table.add_row(str(one), _imported(one))
        if len(found.pickles) > _SHOWN:
            table.add_row(f"and {len(found.pickles) - _SHOWN} more", "")
        parts.append(table)
    parts.append(
        Text("What can run code or reach beyond the archive:" if found.unsafe else "Nothing unsafe was found.")
    )
    parts += [Line(f"  - {line}") for line in found.unsafe]
    parts.append(Text("The archive was only read: nothing was loaded, run or unpacked."))
    return Group(*parts)


def _imported(one: Pickle) -> str:
    others = other_imports(one)
    names = [
        *others[:_SHOWN],
        *(["…"] if len(others) > _SHOWN else []),
        *([] if one.complete else ["more that cannot be read"]),
    ]
    return ", ".join(names) or "only tensors and containers"


def _members(sizes: Mapping[str, int]) -> Table:
    """Return the largest members with their bytes."""
    members = new_table("member", "bytes")
    for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:_SHOWN]:
        members.add_row(name, f"{size:,}")
    if len(sizes) > _SHOWN:
        members.add_row(f"and {len(sizes) - _SHOWN} smaller ones", "")
    return members


def comparison(found: Comparison) -> Group:
    """Return the changes from one archive to the other.

    Raises RefusedError for measurements that cannot be compared.
    """
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
    if one.load and other.load:
        earlier = {row.cell: row for row in one.load.rows}
        for row in other.load.rows:
            if row.cell in earlier:
                _add_load(table, earlier[row.cell], row)
    parts: list[Any] = [table]
    if one.load and other.load and one.load.place != other.load.place:
        parts.append(Line(f"the load tests are of two machines: {one.load.place}; {other.load.place}"))
    elif bool(one.load) != bool(other.load):
        parts.append(Line(f"only {(one if one.load else other).version} has a load test in its evidence"))
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


def _add_load(table: Table, before: LoadRow, after: LoadRow) -> None:
    """Add what two load tests measured of the same worker set and load."""
    for name, one, other in (
        ("req/s", before.requests_per_second, after.requests_per_second),
        ("p99, ms", before.p99_ms, after.p99_ms),
    ):
        change = "" if one is None or other is None else f"{other / max(one, 1e-9) - 1:+.1%}"
        table.add_row(f"{after.cell}: {name}", measured(one), measured(other), change)


def against_recording(found: AgainstRecording) -> Group:
    """Return the changes for the texts of a recording if an archive answers them."""
    table = new_table("", "recorded", f"{found.name} {found.version}", "change")
    table.add_row("answered by", found.source, found.variant, "")
    table.add_row("way", found.way, "in this process", "")
    for name, before, after in (
        ("median, ms", found.before.median, found.after.median),
        ("p95, ms", found.before.p95, found.after.p95),
    ):
        table.add_row(name, f"{before:.3f}", f"{after:.3f}", f"{after / max(before, 1e-9) - 1:+.1%}")
    parts: list[Any] = [table]
    scores = "the recording has no scores of labels that both know"
    if found.mean_difference is not None and found.largest_difference is not None:
        scores = f"scores differ by {found.mean_difference:.4f} on average, at most by {found.largest_difference:.4f}"
    parts.append(
        Line(f"{len(found.flips):,} of {found.asked:,} texts have another label ({found.flip_share:.1%}); {scores}")
    )
    if found.failed:
        parts.append(Line(f"{found.failed:,} texts had no answer when they were recorded, and were left out"))
    if found.unread:
        parts.append(
            Line(
                f"{found.unread:,} answers have no label that can be read and were left out, such as {found.example}"
            )
        )
        parts.append(Text(f"Read are: {SHAPES}."))
    if found.labels_before or found.labels_after:
        parts.append(
            Line(
                "labels that only one gave, which count as other labels: recorded "
                f"{', '.join(found.labels_before[:_SHOWN]) or 'none'}; archive "
                f"{', '.join(found.labels_after[:_SHOWN]) or 'none'}"
            )
        )
    if found.flips:
        flips = new_table("text", "recorded", "score", "archive", "score ", "difference")
        for flip in found.flips[:_SHOWN]:
            flips.add_row(
                repr(_cut(flip.text)),
                flip.before,
                _number(flip.before_score),
                flip.after,
                _number(flip.after_score),
                _number(flip.difference),
            )
        parts.append(flips)
    return Group(*parts)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


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
        table.add_row(repr(_cut(flip.text)), flip.before, flip.after, f"{flip.difference:.4f}")
    return table


def _listed(words: list[str], what: str) -> str:
    shown = ", ".join(words[:_SHOWN]) + (", …" if len(words) > _SHOWN else "")
    return f"{len(words):,} {what}" + (f" ({shown})" if words else "")
