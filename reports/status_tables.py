"""The screens of `lexport status` and `lexport logs`; what is not known of a figure is shown as –."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement

from .tables import Line, megabytes, new_table

NONE = "–"
_STYLES = {
    **dict.fromkeys(("death", "error"), "red"),
    **dict.fromkeys(("refused", "restart"), "yellow"),
    **dict.fromkeys(("start", "end", "change"), "green"),
}


def status(values: Mapping[str, Any]) -> Group:
    """Return a running server with the figures of its models, and its workers."""
    state = "healthy" if values["healthy"] else "not healthy"
    parts: list[RenderableType] = [
        Line(f"{values['inference_url']} ({values['engine']}, pid {values['pid']}, {state})", "bold"),
        Line(f"up {duration(values['uptime_seconds'])}, memory of all processes {_memory(values)}"),
        Line(f"requests/s, p50, p99 and unknown words {_span(values['models'])}", "dim"),
        _Fitting(values["models"]),
    ]
    if values["last_error"] is not None:
        parts.append(
            Line(f"last error: {values['last_error']['time'][:19]} {values['last_error']['line']}", "yellow")
        )
    return Group(*parts)


def look(moment: str, values: Mapping[str, Any] | None, note: str, problem: str) -> Group:
    """Return one look of several: its time, whether the server was started again, and the server or why not."""
    parts: list[RenderableType] = [Line(moment, "bold")]
    parts += [Line(line, "yellow") for line in (note, problem) if line]
    if values is not None:
        parts += [Line(line, "red") for line in values["problems"]]
        parts.append(status(values))
    return Group(*parts)


def entry(values: Mapping[str, Any], *, everything: bool) -> Line:
    """Return a line of a log for a terminal: `entry_text` in the colour of its kind."""
    return Line(entry_text(values, everything=everything), _STYLES.get(values["kind"], ""))


def entry_text(values: Mapping[str, Any], *, everything: bool) -> str:
    """Return a line of a log with its time; where every line is shown, with the name of its file."""
    file = f"{values['file']}: " if everything else ""
    return f"{values['time'][:19]} {file}{values['line']}"


def duration(seconds: float) -> str:
    """Return a time in its two largest units: `3 d 4 h`, `12 min 5 s`, `7 s`."""
    for large, name, small, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= large:
            return f"{seconds // large:.0f} {name} {seconds % large // small:.0f} {smaller}"
    return f"{int(seconds)} s"


class _Fitting:
    """Tables of models and workers; where they are too wide for the screen, a few short lines for each."""

    def __init__(self, models: list[Mapping[str, Any]]) -> None:
        self._models = models

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        tables = (_models(self._models), _workers(self._models))
        endless = options.update_width(10_000)
        if all(Measurement.get(console, endless, table).maximum <= options.max_width for table in tables):
            yield from tables
        else:
            yield from _lines(self._models)


def _models(models: list[Mapping[str, Any]]) -> RenderableType:
    heads = ("requests", "requests/s", "p50", "p99", "unknown", "waiting")
    table = new_table("model", "version", "variant", *heads)
    for model in models:
        table.add_row(model["name"], _version(model), model["variant"] or NONE, *_figures(model))
    return table


def _workers(models: list[Mapping[str, Any]]) -> RenderableType:
    table = new_table("model", "version", "worker", "pid", "device", "threads", "state", "memory")
    for model in models:
        for worker in model["workers"]:
            table.add_row(model["name"], model["version"], *_worker(worker))
    return table


def _lines(models: list[Mapping[str, Any]]) -> Iterator[RenderableType]:
    for model in models:
        requests, rate, p50, p99, unknown, waiting = _figures(model)
        yield Line(f"{model['name']} {_version(model)}, {model['variant'] or NONE}", "bold")
        yield Line(f"  requests {requests}, {rate} a second")
        yield Line(f"  p50 {p50}, p99 {p99}")
        yield Line(f"  unknown {unknown}, waiting {waiting}")
        for worker in model["workers"]:
            identity, pid, device, threads, state, memory = _worker(worker)
            yield Line(f"  worker {identity}: {state}, {memory or NONE}")
            yield Line(f"    pid {pid}, {device}, threads {threads or NONE}")


def _version(model: Mapping[str, Any]) -> str:
    return f"{model['version']} (default)" if model["default"] else str(model["version"])


def _figures(model: Mapping[str, Any]) -> tuple[str, str, str, str, str, str]:
    """Return requests, their rate, p50, p99, the share of unknown words, and how many wait."""
    recent = model["recent"]
    of = model if recent is None else recent
    rate = None if recent is None else recent["requests_per_second"]
    return (
        NONE if model["requests"] is None else f"{model['requests']:,}",
        NONE if rate is None else f"{rate:,.1f}",
        _milliseconds(of["p50_seconds"]),
        _milliseconds(of["p99_seconds"]),
        NONE if of["unknown_share"] is None else f"{of['unknown_share']:.1%}",
        f"{model['queue_waiting']} of {model['queue_waiting'] + model['queue_free']}",
    )


def _worker(worker: Mapping[str, Any]) -> tuple[str, ...]:
    memory = megabytes(worker["memory_bytes"]) if worker["memory_bytes"] else ""
    threads = str(worker["threads"] or "")
    device = f"{worker['device']} on {worker['node']}" if worker.get("node") else worker["device"]
    return str(worker["id"]), str(worker["pid"]), device, threads, worker["state"], memory


def _milliseconds(seconds: float | None) -> str:
    return NONE if seconds is None else f"{seconds * 1000:,.1f} ms"


def _memory(values: Mapping[str, Any]) -> str:
    return NONE if values["total_memory_bytes"] is None else megabytes(values["total_memory_bytes"])


def _span(models: list[Mapping[str, Any]]) -> str:
    """Return which time the figures are of."""
    seconds = [model["recent"]["seconds"] for model in models if model["recent"] is not None]
    return f"of the last {seconds[0]:.1f} s" if seconds else "since the engine's start"
