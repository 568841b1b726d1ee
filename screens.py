"""What commands show: tables for people. Machines use --json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text


def _table(*columns: str) -> Table:
    """A table whose first column is text and the others figures."""
    table = Table(box=box.SIMPLE_HEAD)
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right")
    return table


def megabytes(size: float) -> str:
    """Bytes as MB with one decimal."""
    return f"{size / 1e6:.1f} MB"


def _titled(title: str, table: Table) -> Group:
    """A table under a title that may be wider than it."""
    return Group(Text(title, style="bold"), table)


def evidence(values: Mapping[str, Any]) -> Group:
    """Every exported variant beside the trained model."""
    columns = ["variant", "accuracy", "macro-F1", "flips", "largest Δ", "size", "batch 1", "batch 32", "gate"]
    table = _table(*columns)
    trained = values["trained"]["test"]
    table.add_row("trained model", _share(trained["accuracy"]), _share(trained["macro_f1"]), *[""] * 6)
    for variant in values["variants"]:
        test = variant["test"]
        table.add_row(
            variant["name"],
            _share(test["accuracy"]),
            _share(test["macro_f1"]),
            f"{test['flips']}/{test['texts']}",
            f"{test['largest_difference']:.1e}",
            megabytes(variant["size"]),
            f"{variant['latency']['1']['median_ms']:.3f}",
            f"{variant['latency']['32']['median_ms']:.2f}",
            Text("refused", "red") if variant["refused"] else Text("passed", "green"),
        )
    return _titled("On the test texts; batch 1 and 32 in ms from texts to answers, on one thread", table)


def metrics(title: str, values: Mapping[str, Any]) -> Group:
    """Precision, recall and F1 by label."""
    table = _table("label", "precision", "recall", "F1", "texts")
    for label, one in values["per_class"].items():
        table.add_row(
            label, _share(one["precision"]), _share(one["recall"]), _share(one["f1"]), f"{one['support']:,}"
        )
    return _titled(title, table)


def confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> Group:
    """Truth by row, answers by column."""
    table = _table("", *labels)
    for label, row in zip(labels, matrix, strict=True):
        table.add_row(label, *[f"{count:,}" for count in row])
    return _titled("Confusion: truth by row, answers by column", table)


def answers(texts: Sequence[str], found: Sequence[Mapping[str, Any]]) -> Table:
    """Texts with what the model says of them."""
    table = _table("text", "label", "score", "tokens", "unknown")
    table.columns[1].justify = "left"
    for text, answer in zip(texts, found, strict=True):
        shown = text if len(text) <= 60 else text[:59] + "…"
        counts = (str(answer["tokens"]) + ("+" if answer["truncated"] else ""), str(answer["unknown"]))
        table.add_row(repr(shown), answer["label"], f"{answer['score']:.4f}", *counts)
    return table


def status(values: Mapping[str, Any]) -> Group:
    """Models and workers of a running server."""
    state = "healthy" if values["healthy"] else "not healthy"
    title = f"{values['inference_url']} (pid {values['pid']}, {state})"
    table = _table("model", "version", "worker", "pid", "device", "state", "memory")
    for model in values["models"]:
        for worker in model["workers"]:
            memory = megabytes(worker["memory_bytes"]) if worker["memory_bytes"] else ""
            cells = (str(worker["id"]), str(worker["pid"]), worker["device"], worker["state"], memory)
            table.add_row(model["name"], model["version"], *cells)
    return _titled(title, table)


def _share(value: float) -> str:
    return f"{value:.4f}"
