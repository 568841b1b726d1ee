"""A server's events as lines of JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lexport.messages.last_words import json_line
from lexport.serving.folders import LOGS
from lexport.serving.monitoring.entries import Entry
from lexport.serving.monitoring.journal import Journal, facts_of, line_of

from ..test_state import server

AT = "2026-01-02T03:04:05"


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ("Worker 0 was killed by signal 9 (Killed).", {"worker": 0}),
        ("Worker 12 is ready (pid 77).", {"worker": 12, "pid": 77}),
        ("TorchServe (pid 7) has ended: killed by signal 9 (Killed).", {"pid": 7}),
        ("topics 2.0 was registered.", {"model": "topics", "version": "2.0"}),
        ("topics 2.0 is answered by 3 workers.", {"model": "topics", "version": "2.0"}),
        ("a.b-c 1.0rc1 is the default of its name", {"model": "a.b-c", "version": "1.0rc1"}),
        (
            "topics 1.0: worker 9000 (pid 7) has ended and is started again (pid 8)",
            {"model": "topics", "version": "1.0", "worker": 9000, "pid": 7},
        ),
        ("topics 1.0: worker 9000: ValueError: no table", {"model": "topics", "version": "1.0"}),
        ("topics 1.0: its goldens passed in process 1 of 2.", {"model": "topics", "version": "1.0"}),
        ("The server has ended.", {}),
        ("The inference token was rotated.", {}),
        ("Starting TorchServe again (restart 1, 1 in a row).", {}),
    ],
)
def test_a_line_has_what_it_names(line: str, facts: dict[str, Any]) -> None:
    found = facts_of(line)
    assert {name: found.get(name) for name in facts} == facts
    assert {"model", "version"} & set(found) == {"model", "version"} & set(facts)


def test_times_are_of_utc_and_levels_those_of_the_events() -> None:
    events = {"start": "info", "end": "info", "change": "info", "restart": "warning", "death": "error"}
    for kind, level in {**events, "error": "error"}.items():
        found = json.loads(line_of(Entry(1_767_323_045.25, "supervisor.log", kind, "Worker 0 has said it.")))
        assert found == {
            "time": "2026-01-02T03:04:05.250Z",
            "level": level,
            "message": "Worker 0 has said it.",
            "event": kind,
            "log": "supervisor.log",
            "worker": 0,
        }


def test_a_line_is_one_line_whatever_it_says() -> None:
    said = "a\nb\u2028c\x1b[31m \u202e ü 漢"
    line = json_line(said, level="error", code="", details=None)
    assert line.isprintable()
    assert json.loads(line)["message"] == said
    assert set(json.loads(line)) == {"time", "level", "message"}


def test_it_tells_what_the_logs_have_since_the_last_look_without_requests(tmp_path: Path) -> None:
    lines: list[str] = []
    journal = Journal(lines.append)
    journal.look()  # there is no server yet
    journal.say("topics 1.0: verified.")
    logs = tmp_path / LOGS
    logs.mkdir()
    (logs / "supervisor.log").write_text(f"{AT} Worker 0 is ready (pid 7).\n")
    (logs / "access_log.0.jsonl").write_text('{"time":1.0,"id":"a","status":400,"bytes":1,"error":"E"}\n')
    with journal.following(replace(server(tmp_path), state_dir=tmp_path)):
        journal.look()
        journal.look()
        with (logs / "supervisor.log").open("a") as log:
            log.write(f"{AT} Worker 0 was killed by signal 9 (Killed).\n")
            log.write("no line yet")
        journal.look()
    assert [json.loads(line)["message"] for line in lines] == [
        "topics 1.0: verified.",
        "Worker 0 is ready (pid 7).",
        "Worker 0 was killed by signal 9 (Killed).",
    ]
