"""Which lines of which files are useful, and what is shown of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lexport.errors import InputError, SystemProblem
from lexport.serving.monitoring.entries import Entry, Reader
from lexport.serving.monitoring.files import Logs, base_name
from lexport.serving.monitoring.reading import last_error, logs

from ...refusals import refused

AT = "2026-01-02T03:04:05"
MODEL = f"{AT},678 [INFO ] W-9000-topics_1.0-stdout MODEL_LOG - "
TS = "org.pytorch.serve.wlm"
SERVER = "org.pytorch.serve.ModelServer"


def kinds(file: str, *lines: str) -> list[tuple[str, str]]:
    reader = Reader(file, 0.0)
    return [(entry.kind, entry.line) for entry in map(reader.read, lines) if entry.kind]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("TorchServe runs (pid 7).", "start"),
        ("Worker 0 is ready (pid 7).", "start"),
        ("TorchServe (pid 7) has ended: killed by signal 9 (Killed).", "death"),
        ("Worker 0 was killed by signal 9 (Killed).", "death"),
        ("Starting TorchServe again (restart 1, 1 in a row).", "restart"),
        ("topics 2.0 was registered.", "change"),
        ("topics 2.0 is answered by 3 workers.", "change"),
        ("topics 2.0 is a canary: it gets 10.0% of the requests.", "change"),
        ("topics 2.0 is no longer a canary.", "change"),
        ("Nobody has watched the canary of topics for 30 s.", "error"),
        ("All requests were answered after 0.1 s.", "end"),
        ("The server has ended.", "end"),
        ("Unanswered after 10.0 s: 3.", "error"),
    ],
)
def test_every_line_of_the_supervisor_is_useful(line: str, kind: str) -> None:
    assert kinds("supervisor.log", f"{AT} {line}") == [(kind, line)]


def test_of_a_traceback_the_last_line_is_useful() -> None:
    trace = ["Traceback (most recent call last):", '  File "a.py", line 1', "    f()", "ValueError: no table"]
    assert kinds("supervisor.log", *trace, "later") == [("death", "ValueError: no table")]
    said = [("death", "topics 1.0: worker 9000: ValueError: no table")]
    assert kinds("model_log.log", *(MODEL + line for line in trace), MODEL + "later") == said


def test_a_worker_that_starts_a_second_time_had_ended() -> None:
    lines = [f"{MODEL}[PID]7", f"{MODEL}Torch worker started.", f"{MODEL}[PID]8"]
    assert kinds("model_log.log", *lines) == [
        ("start", "topics 1.0: worker 9000 starts (pid 7)"),
        ("death", "topics 1.0: worker 9000 (pid 7) has ended and is started again (pid 8)"),
    ]


def test_of_torchserve_changes_warnings_and_errors_are_useful() -> None:
    lines = [
        f"{AT},000 [DEBUG] main {TS}.ModelVersionedRefs - Adding new version 2.0 for model topics",
        f"{AT},000 [DEBUG] main {TS}.ModelVersionedRefs - Setting default version to 2.0 for model topics",
        f"{AT},000 [DEBUG] main {TS}.ModelManager - updateModel: topics, count: 2",
        f"{AT},000 [WARN ] main {SERVER} - Invalid model config in mar, minWorkers:0, maxWorkers:0",
        f"{AT},000 [INFO ] main {SERVER} - Metrics API bind to: http://127.0.0.1:1",
        f"{AT},000 [ERROR] main {TS}.WorkerThread - Backend worker error",
    ]
    assert kinds("ts_log.log", *lines) == [
        ("change", "topics 2.0 was registered"),
        ("change", "topics 2.0 is the default of its name"),
        ("change", "topics: the number of workers is set to 2"),
        ("error", "WorkerThread: Backend worker error"),
    ]


def test_of_the_access_log_refusals_are_useful() -> None:
    answered = {"time": 5.0, "id": "a", "model": "topics", "version": "1.0", "status": 200, "bytes": 1, "ms": 1.0}
    lines = [
        json.dumps(answered),
        json.dumps(answered | {"status": 400}),
        json.dumps({"time": 6.5, "id": "b", "status": 404, "bytes": 1, "error": "ModelNotFoundException"}),
        json.dumps({"time": 7.0, "left_out": 12}),
        "damaged",
        "[" * 100_000,
    ]
    assert kinds("access_log.0.jsonl", *lines) == [
        ("refused", "topics 1.0: a request was answered 400 (id a)"),
        ("refused", "a request was answered 404, ModelNotFoundException (id b)"),
        ("error", "12 lines of the access log were left out"),
    ]


def test_what_others_wrote_cannot_disturb_a_terminal() -> None:
    assert kinds("supervisor.log", f"{AT} TorchServe runs\x1b[2J") == [("start", r"TorchServe runs\x1b[2J")]


def test_rotated_files_have_the_name_under_which_they_were_written() -> None:
    assert base_name("ts_log.3.log") == "ts_log.log"
    assert base_name("access_log.0.jsonl.2") == "access_log.0.jsonl"
    assert base_name("java.before.log") == "java.before.log"


def write(path: Path, *seconds: int) -> None:
    with path.open("a") as file:
        file.writelines(f"2026-01-02T03:04:{second:02} line {second}\n" for second in seconds)


def lines_of(found: list[Entry]) -> list[str]:
    return [entry.line for entry in found]


def test_files_are_merged_by_time_and_a_line_is_read_once_it_is_whole(tmp_path: Path) -> None:
    write(tmp_path / "supervisor.log", 1, 4)
    write(tmp_path / "java.log", 2, 3)
    with Logs(tmp_path) as files:
        assert lines_of(list(files.read())) == ["line 1", "line 2", "line 3", "line 4"]
        with (tmp_path / "java.log").open("a") as half:
            half.write("2026-01-02T03:04:05 li")
        assert list(files.read()) == []
        with (tmp_path / "java.log").open("a") as half:
            half.write("ne 5\n")
        assert lines_of(list(files.read())) == ["line 5"]


def test_a_rotation_loses_and_repeats_nothing(tmp_path: Path) -> None:
    log = tmp_path / "ts_log.log"
    write(log, 1)
    with Logs(tmp_path) as files:
        assert lines_of(list(files.read())) == ["line 1"]
        write(log, 2)
        log.rename(tmp_path / "ts_log.1.log")
        write(log, 3)
        log.rename(tmp_path / "ts_log.2.log")
        write(log, 4)
        assert lines_of(list(files.read())) == ["line 2", "line 3", "line 4"]
        (tmp_path / "ts_log.1.log").unlink()
        assert list(files.read()) == []


def test_a_new_log_folder_in_the_place_of_the_old_one_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    write(folder / "supervisor.log", 1)
    with Logs(folder) as files:
        assert lines_of(list(files.read())) == ["line 1"]
        write(folder / "supervisor.log", 2)
        folder.rename(tmp_path / "logs.previous")
        folder.mkdir()
        write(folder / "supervisor.log", 3)
        assert lines_of(list(files.read())) == ["line 2", "line 3"]


def test_links_pipes_and_other_files_are_left_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    write(secret, 1)
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "ts_log.log").symlink_to(secret)
    os.mkfifo(folder / "java.log")
    write(folder / "core", 2)
    with Logs(folder) as files:
        assert list(files.read()) == []


def test_the_last_error_is_found_at_the_end_of_long_files(tmp_path: Path) -> None:
    assert last_error(tmp_path) is None
    line = json.dumps({"time": 1.0, "id": "a", "status": 200, "bytes": 1}) + "\n"
    failed = json.dumps({"time": 9.0, "id": "b", "status": 503, "bytes": 1}) + "\n"
    (tmp_path / "access_log.0.jsonl").write_text(failed.replace("9.0", "0.5") + line * 20_000 + failed + line)
    (tmp_path / "access_log.1.jsonl").write_text(failed.replace("9.0", "2.0"))
    error = last_error(tmp_path)
    assert error is not None
    assert (error.time, error.file, error.kind) == (9.0, "access_log.0.jsonl", "refused")


def test_a_folder_without_logs_and_a_negative_number_are_refused(tmp_path: Path) -> None:
    with refused(SystemProblem, "LX-SERVE-200", tmp_path):
        logs(tmp_path)
    with refused(InputError, "LX-SERVE-201", -1):
        logs(tmp_path, last=-1)
