from __future__ import annotations

import json
import os
import pwd
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.serving.stores import history
from lexport.serving.stores.history import FILE, Event, last_defaults, read_history, record

from ...refusals import refused

LINE = {
    "time": "2026-01-31T12:00:00Z",
    "action": "add",
    "name": "topics",
    "version": "1.0",
    "digest": "ab" * 32,
    "command": "lexport store add",
    "user": "ada",
}


def event(store: Path, action: str = "add", version: str = "1.0", *, name: str = "topics", before: str = "") -> Event:
    return record(
        store, action, name=name, version=version, digest="ab" * 32, command=f"lexport {action}", before=before
    )


def test_what_was_recorded_is_read_again(tmp_path: Path) -> None:
    written = [event(tmp_path / "store"), event(tmp_path / "store", "promote", "1.1", before="1.0")]
    assert read_history(tmp_path / "store").events == written
    assert written[0].user == pwd.getpwuid(os.geteuid()).pw_name
    assert written[1].before == "1.0"


def test_a_line_is_one_json_object_that_other_programs_can_read(tmp_path: Path) -> None:
    event(tmp_path)
    [line] = (tmp_path / FILE).read_text().splitlines()
    values = json.loads(line)
    assert set(values) == set(LINE)
    assert values["time"].endswith("Z")


def test_lines_are_only_added(tmp_path: Path) -> None:
    event(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    event(tmp_path, "remove")
    assert (tmp_path / FILE).read_bytes().startswith(before)


def test_the_history_of_one_model(tmp_path: Path) -> None:
    event(tmp_path)
    event(tmp_path, name="films")
    assert [one.name for one in read_history(tmp_path, "films").events] == ["films"]
    assert read_history(tmp_path, "none").events == []


def test_a_store_without_history_has_an_empty_one(tmp_path: Path) -> None:
    assert read_history(tmp_path) == history.History([], [])
    assert read_history(tmp_path / "absent") == history.History([], [])


def test_a_torn_last_line_is_named_and_the_next_line_begins_anew(tmp_path: Path) -> None:
    first = event(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole + whole[:40])
    found = read_history(tmp_path)
    assert found.events == [first]
    [problem] = found.problems
    assert f"byte {len(whole):,}" in problem
    assert "interrupted" in problem
    second = event(tmp_path, "remove")
    found = read_history(tmp_path)
    assert found.events == [first, second]
    assert len(found.problems) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 4000,
        b'{"name": "topics"',
        json.dumps(LINE | {"name": "x\n../y"}).encode(),
        json.dumps(LINE | {"version": 1}).encode(),
        json.dumps(LINE | {"digest": "xyz"}).encode(),
        json.dumps(LINE | {"time": "yesterday"}).encode(),
        json.dumps(LINE | {"time": "2026-01-31T12:00:00"}).encode(),
        json.dumps(LINE | {"action": "RM -RF"}).encode(),
        json.dumps(LINE | {"user": "\x1b[2J"}).encode(),
        json.dumps(LINE | {"command": "a\rb"}).encode(),
        json.dumps(LINE | {"before": "../1"}).encode(),
        json.dumps(LINE | {"command": "x" * 5000}).encode(),
    ],
    ids=lambda line: repr(line[:30]),
)
def test_a_hostile_line_is_named_and_left_out(tmp_path: Path, line: bytes) -> None:
    good = json.dumps(LINE).encode()
    (tmp_path / FILE).write_bytes(b"\n".join([good, line, good]) + b"\n")
    found = read_history(tmp_path)
    assert [one.name for one in found.events] == ["topics", "topics"]
    [problem] = found.problems
    assert f"byte {len(good) + 1:,} " in problem
    assert len(problem) < 500


def test_what_a_line_has_beyond_what_is_known_is_ignored(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(LINE | {"later": [1, 2]}) + "\n")
    assert len(read_history(tmp_path).events) == 1


def test_of_a_long_history_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_MOST_BYTES", 1000)
    for number in range(20):
        event(tmp_path, version=str(number))
    lines = (tmp_path / FILE).read_bytes().splitlines(keepends=True)
    found = read_history(tmp_path)
    assert 1 <= len(found.events) < 6
    assert found.events[-1].version == "19"
    [problem] = found.problems
    assert f"the first {sum(map(len, lines[: -len(found.events)])):,} bytes were not read" in problem


def test_a_file_of_rubbish_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\n" * 2_000_000)
    with refused(InputError, "LX-SERVE-156", tmp_path / FILE, "1,000"):
        read_history(tmp_path)


def test_a_link_or_a_pipe_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine\n")
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    for use in (event, read_history):
        with refused(InputError, "LX-SERVE-156", tmp_path / FILE):
            use(tmp_path)
    assert (tmp_path / "elsewhere").read_text() == "mine\n"
    (tmp_path / FILE).unlink()
    os.mkfifo(tmp_path / FILE)
    for use in (event, read_history):
        with refused(InputError, "LX-SERVE-156", tmp_path / FILE):
            use(tmp_path)


def test_values_that_no_line_may_have_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="version"):
        event(tmp_path, version="1.0\n{}")
    assert not (tmp_path / FILE).exists()


RECORDING = """
import sys
from pathlib import Path
from lexport.serving.stores.history import record
sys.stdin.readline()
for number in range(50):
    record(Path(sys.argv[1]), "add", name=sys.argv[2], version=str(number), command="test")
"""


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", RECORDING, str(tmp_path), name], stdin=subprocess.PIPE)
        for name in ("a", "b", "c")
    ]
    for process in processes:
        process.communicate(b"go\n", timeout=60)
        assert process.returncode == 0
    found = read_history(tmp_path)
    assert found.problems == []
    assert len(found.events) == 150
    for name in ("a", "b", "c"):
        assert [one.version for one in found.events if one.name == name] == [str(number) for number in range(50)]


def test_a_line_that_the_disk_has_no_room_for_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    event(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lexport.serving.stores.history import record\n"
        "try:\n"
        "    record(Path(sys.argv[1]), 'add', name='topics', version='2.0', command='test')\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    room = len(before) + 20  # bytes that a file may have: the next line begins, and does not end
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "No space left on device\n"
    assert (tmp_path / FILE).read_bytes() == before


def events(*lines: str) -> list[Event]:
    """Events of the model topics: ACTION VERSION [BEFORE]."""
    return [
        Event("", action, "topics", version, "", "", "", *before)
        for action, version, *before in (line.split() for line in lines)
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], set()),
        (["add 1", "remove 1"], set()),
        (["deploy 1"], {"1"}),
        (["deploy 1", "deploy 2", "deploy 3"], {"2", "3"}),
        (["deploy 1", "deploy 2", "deploy 2"], {"1", "2"}),
        (["deploy 2 1"], {"1", "2"}),
        (["deploy 1", "deploy 2", "deploy 3", "rollback 2 3"], {"2", "3"}),
        (["deploy 1", "deploy 2", "deploy 3", "rollback 2", "rollback 1"], {"1", "2", "3"}),
        (["deploy 1", "promote 1", "deploy 2", "promote 2", "deploy 3"], {"1", "2", "3"}),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, list) else "",
)
def test_the_last_defaults(lines: list[str], expected: set[str]) -> None:
    assert last_defaults(events(*lines)).get("topics", set()) == expected


@given(st.binary(max_size=600))
def test_any_bytes_are_read_without_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    store = tmp_path_factory.mktemp("any")
    (store / FILE).write_bytes(content)
    found = read_history(store)
    assert len(found.events) + len(found.problems) == content.count(b"\n") + (content[-1:] not in (b"", b"\n"))
