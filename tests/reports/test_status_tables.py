"""The screens of status and logs: wide and narrow, of one look and between two."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from lexport.reports import status_tables as screens

WORKER = {"id": "9000", "pid": 7, "device": "cpu", "threads": 1, "state": "ready", "memory_bytes": 0}
MODEL: dict[str, Any] = {
    "name": "reviews",
    "version": "1.0",
    "variant": "onnx-int8",
    "default": True,
    "queue_waiting": 3,
    "queue_free": 97,
    "requests": 1_234,
    "p50_seconds": 0.0012,
    "p99_seconds": 0.025,
    "unknown_share": 0.125,
    "recent": None,
    "workers": [WORKER],
}
VALUES: dict[str, Any] = {
    "healthy": True,
    "problems": [],
    "engine": "embedded",
    "inference_url": "http://127.0.0.1:8080",
    "pid": 1,
    "uptime_seconds": 3_725.0,
    "total_memory_bytes": 210_000_000,
    "last_error": None,
    "models": [MODEL],
}
RECENT = {
    "seconds": 2.0,
    "requests_per_second": 25.0,
    "p50_seconds": 0.001,
    "p99_seconds": 0.002,
    "unknown_share": None,
}


def lines(screen: RenderableType, width: int = 120) -> list[str]:
    target = io.StringIO()
    Console(file=target, width=width).print(screen)
    return target.getvalue().splitlines()


def row(shown: list[str]) -> list[str]:
    return next(line.split() for line in shown if line.split()[:1] == ["reviews"])


def test_one_look_has_totals_since_the_start_and_no_rate() -> None:
    shown = lines(screens.status(VALUES))
    assert shown[:3] == [
        "http://127.0.0.1:8080 (embedded, pid 1, healthy)",
        "up 1 h 2 min, memory of all processes 210.0 MB",
        "requests/s, p50, p99 and unknown words since the engine's start",
    ]
    figures = ["1,234", "–", "1.2", "ms", "25.0", "ms", "12.5%", "3", "of", "100"]
    assert row(shown) == ["reviews", "1.0", "(default)", "onnx-int8", *figures]
    assert any(line.split() == ["reviews", "1.0", "9000", "7", "cpu", "1", "ready"] for line in shown)


def test_between_two_looks_rates_are_shown_instead() -> None:
    shown = lines(screens.status({**VALUES, "models": [{**MODEL, "recent": RECENT}]}))
    assert "of the last 2.0 s" in shown[2]
    assert row(shown)[4:] == ["1,234", "25.0", "1.0", "ms", "2.0", "ms", "–", "3", "of", "100"]


def test_what_the_engine_does_not_say_is_a_dash() -> None:
    unknown = dict.fromkeys(("requests", "p50_seconds", "p99_seconds", "unknown_share", "variant"))
    shown = lines(screens.status({**VALUES, "total_memory_bytes": None, "models": [{**MODEL, **unknown}]}))
    assert shown[1].endswith("memory of all processes –")
    assert row(shown)[3:] == ["–", "–", "–", "–", "–", "–", "3", "of", "100"]


def test_a_narrow_screen_has_short_lines_with_everything() -> None:
    shown = lines(screens.status(VALUES), width=40)
    assert shown[4:] == [
        "requests/s, p50, p99 and unknown ",
        "    words since the engine's start",
        "reviews 1.0 (default), onnx-int8",
        "  requests 1,234, – a second",
        "  p50 1.2 ms, p99 25.0 ms",
        "  unknown 12.5%, waiting 3 of 100",
        "  worker 9000: ready, –",
        "    pid 7, cpu, threads 1",
    ]


def test_a_look_tells_restarts_problems_and_why_the_server_could_not_be_asked() -> None:
    shown = lines(screens.look("12:00", {**VALUES, "problems": ["1 of 2 workers are down"]}, "Started again.", ""))
    assert shown[:3] == ["12:00", "Started again.", "1 of 2 workers are down"]
    assert lines(screens.look("12:00", None, "", "It has ended.")) == ["12:00", "It has ended."]


def test_an_entry_has_its_time_and_among_all_lines_its_file() -> None:
    entry = {"time": "2026-01-02T03:04:05.678+00:00", "file": "ts_log.log", "kind": "error", "line": "no table"}
    assert screens.entry_text(entry, everything=False) == "2026-01-02T03:04:05 no table"
    assert screens.entry_text(entry, everything=True) == "2026-01-02T03:04:05 ts_log.log: no table"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3_600, "1 h 0 min"), (90_061, "1 d 1 h")]
)
def test_a_duration_has_its_two_largest_units(seconds: float, shown: str) -> None:
    assert screens.duration(seconds) == shown
