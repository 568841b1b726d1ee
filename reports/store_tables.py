"""Tables of a model store: its archives and its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from .tables import Line, Table, megabytes, new_table, share, shown, titled

_DIGEST = 12  # characters of a digest are shown, as docker and git do


def archives(store: str, entries: Sequence[Mapping[str, Any]]) -> Group:
    """Return a table of archives, and a line for each that would not be accepted."""
    table = new_table("model", "version", "sha256", "size", "variant", "signed by", "evidence")
    for position, column in enumerate(table.columns):
        column.justify = "right" if position == 3 else "left"
    for one in entries:
        if one["name"] is not None:
            table.add_row(
                one["name"],
                _version(one),
                (one["digest"] or "")[:_DIGEST],
                megabytes(one["size"]) if one["size"] else "folder",
                one["variant"] or ("?" if one["problem"] else "not lexport's"),
                _signer(one),
                _evidence(one),
            )
    bad = [one for one in entries if one["problem"]]
    parts: list[RenderableType] = [
        titled(f"{store}: {len(entries)} archive{'' if len(entries) == 1 else 's'}", table)
    ]
    if any(one["served"] for one in entries):
        parts.append(Text("* the running server answers with it by default, + when a request names its version"))
    parts += [Line(_problem(one), "red") for one in bad]
    return Group(*parts)


def events(found: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of what happened in a store, the newest last."""
    heads = {name: name for name in ("time", "action", "name", "version", "digest", "before", "command", "user")}
    heads |= {"name": "model", "digest": "sha256", "before": "default before"}
    if not any(one["before"] for one in found):
        del heads["before"]
    table = new_table(*heads.values())
    for column in table.columns:
        column.justify = "left"
    for one in found:
        cells = {**one, "digest": one["digest"][:_DIGEST]}
        table.add_row(*[cells[name] for name in heads])
    return table


def _problem(one: Mapping[str, Any]) -> str:
    """Return what is wrong with a file, which it names."""
    path, problem = str(one["path"]), str(one["problem"])
    return problem if path in problem else f"{path}: {problem}"


def _version(one: Mapping[str, Any]) -> Text:
    mark = " *" if one["default"] else " +" if one["served"] else ""
    return shown(f"{one['version']}{mark}", "red" if one["problem"] else "")


def _signer(one: Mapping[str, Any]) -> str:
    if one["fingerprint"] is None:
        return "?" if one["problem"] else "unsigned"
    return str(one["signer"] or one["fingerprint"])


def _evidence(one: Mapping[str, Any]) -> str:
    measured = one["measured"]
    if measured is None:
        return ""
    metric = f"{measured['metric'].replace('_', ' ')} {share(measured['value'])}"
    return f"{metric}, gates {measured['gates']}, p95 {measured['p95_ms']:.3f} ms"
