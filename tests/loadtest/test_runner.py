from __future__ import annotations

import csv
import io
import json
import os
import signal
import threading
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import psutil
import pytest

from lexport.errors import InputError, SystemProblem
from lexport.loadtest import locust_process as client
from lexport.loadtest import servers
from lexport.loadtest.locust_process import Load, Target
from lexport.loadtest.report import FILES
from lexport.loadtest.runner import loadtest
from lexport.loadtest.targets import Subject, golden_requests, subjects, texts_file

from ..refusals import refused
from .conftest import GOOD, HANDLER, Stub, make_archive


def children() -> list[str]:
    """The command lines of living child processes."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(child.cmdline()))
    return found


def test_whole_test_with_a_report(stubbed: Stub, mar: Path, tmp_path: Path) -> None:
    said: list[str] = []
    out = tmp_path / "out"
    report = loadtest(
        [mar],
        worker_sets=("cpu:1", "gpu:1"),
        users=(1, 2),
        duration=0.5,
        warmup=0.2,
        slo=["p99=0.001ms"],
        unknown_share=0.0,
        out=out,
        say=said.append,
    )
    assert [(row.workers, row.users) for row in report.rows] == [("cpu:1", 1), ("cpu:1", 2)]
    assert all(row.answered > 5 and row.failures == 0 and row.seconds >= 0.5 for row in report.rows)
    assert all(0 < row.client_cpu <= 1.1 for row in report.rows)
    assert [missing.reason for missing in report.not_run] == ["no CUDA device"]
    assert said[-1] == "gpu:1 not run: no CUDA device"
    assert not report.passed
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert set(stubbed.bodies) == {b"a good film"}  # the archive's golden text
    assert stubbed.requests[0][1]["Authorization"] == "Bearer key"
    lines = list(csv.DictReader(io.StringIO((out / "results.csv").read_text())))
    assert [line["slo"] for line in lines] == ["missed p99", "missed p99", ""]
    assert "onnx-int8" in (out / "report.html").read_text()


def test_failing_server_is_reported(stubbed: Stub, mar: Path) -> None:
    stubbed.answer = lambda number, body: GOOD if number % 2 else (500, b"{}")
    report = loadtest([mar], worker_sets=["cpu:1"], users=[1], duration=0.5, warmup=0)
    assert report.rows[0].reasons == {"HTTP 500": report.rows[0].failures}
    assert "Requests failed in 1 of 1 runs" in report.warnings[0]
    assert "a single run" in report.warnings[1]


def test_ctrl_c_leaves_nothing(stubbed: Stub, mar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def pressed(number: int, body: bytes) -> tuple[int, bytes]:
        if number == 20:
            assert any("locust" in command for command in children())
            os.kill(os.getpid(), signal.SIGINT)
        return GOOD

    stubbed.answer = pressed
    with pytest.raises(KeyboardInterrupt):
        loadtest([mar], worker_sets=["cpu:1"], users=[2], duration=30, warmup=0, out=tmp_path / "out")
    assert not any("locust" in command for command in children())
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_an_archive_that_no_gpu_runs_is_not_run_on_one(
    stubbed: Stub, archive_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "find_gpus", lambda: 1)
    report = loadtest([archive_of("torchscript-int4")], worker_sets=["gpu:1"], users=[1], duration=1)
    [missing] = report.not_run
    assert missing.reason.startswith("torchscript-int4 runs only on the CPU: its int4 table")


def test_gpu_server_that_cannot_start_is_not_run(stubbed: Stub, mar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*options: object) -> AbstractContextManager[Target]:
        raise SystemProblem("The worker cannot use CUDA.", "Traceback", code="LX-TEST-001")

    monkeypatch.setattr(servers, "open_server", broken)
    monkeypatch.setattr(servers, "find_gpus", lambda: 1)
    report = loadtest([mar], worker_sets=["gpu:1"], users=[1], duration=1)
    assert report.rows == ()
    assert report.not_run[0].reason == "The worker cannot use CUDA."
    with refused(SystemProblem, "LX-TEST-001", "CUDA"):
        loadtest([mar], worker_sets=["cpu:1"], users=[1], duration=1)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"worker_sets": ["tpu:1"]}, ("LX-SERVE-014", "'tpu:1'", "DEVICE:NUMBER")),
        ({"worker_sets": []}, ("LX-LOAD-021", "--workers")),
        ({"worker_sets": ["cpu:1", "cpu:1"]}, ("LX-LOAD-022", "cpu:1, cpu:1")),
        ({"users": [0]}, ("LX-LOAD-023", "--users 0", "1 to 1000")),
        ({"users": [1001]}, ("LX-LOAD-023", "--users 1001", "1 to 1000")),
        ({"users": range(1, 62), "worker_sets": ["cpu:1"]}, ("LX-LOAD-027", "61 loads", "60")),
        ({"duration": float("nan")}, ("LX-LOAD-024", "--duration nan", "0.5 to 3600 s")),
        ({"duration": 0.1}, ("LX-LOAD-024", "--duration 0.1", "0.5 to 3600 s")),
        ({"warmup": -1}, ("LX-LOAD-025", "-1 s", "0 to 3600 s")),
        ({"repeat": 0}, ("LX-LOAD-088", "--repeat 0", "1 to 50")),
        ({"unknown_share": 1.1}, ("LX-LOAD-026", "--unknown-share 1.1", "0 to 1")),
        ({"slo": ["p99=fast"]}, ("LX-LOAD-009", "'p99=fast'")),
        ({"texts": Path("absent.txt")}, ("LX-LOAD-029", "absent.txt")),
        ({"need": -1.0, "slo": ["p99=1s"]}, ("LX-LOAD-132", "--need -1")),
        ({"need": 1e10, "slo": ["p99=1s"]}, ("LX-LOAD-132", "1,000,000,000")),
        ({"need": 100.0}, ("LX-LOAD-133", "--need 100", "--slo p99=50ms")),
    ],
)
def test_bad_options(stubbed: Stub, mar: Path, options: dict[str, object], error: tuple[str, ...]) -> None:
    with refused(InputError, *error):
        loadtest([mar], **options)  # type: ignore[arg-type]
    assert stubbed.bodies == []


def test_taken_out_folder_is_refused_before_anything_runs(stubbed: Stub, mar: Path) -> None:
    with refused(InputError, "LX-LOAD-020"):
        loadtest([mar], out=mar.parent)
    assert stubbed.bodies == []


def test_locust_that_fails_says_why(mar: Path, tmp_path: Path) -> None:
    load = Load(1, 0.0, 1.0, tmp_path / "absent.txt", 0.0, 0)
    with refused(SystemProblem, "LX-LOAD-007", "code 2 and no measurements: Cannot read the texts"):
        client.run(Target("http://127.0.0.1:9", "m", ""), load, tmp_path)


def test_archives_are_told_apart(mar: Path, tmp_path: Path) -> None:
    other = make_archive(tmp_path / "films-int8.mar")
    assert [subject.label for subject in subjects([mar])] == ["films-1.0"]
    assert [subject.label for subject in subjects([mar, other])] == ["films-1.0", "films-int8"]
    with refused(InputError, "LX-LOAD-028"):
        subjects([mar, mar])


def test_texts_come_from_the_caller_or_the_goldens(mar: Path, tmp_path: Path) -> None:
    (subject,) = subjects([mar])
    given = texts_file(["one", " ", "zwei\nlines"], subject, tmp_path)
    assert given is not None
    assert given.read_text() == '{"text": "one"}\n{"text": "zwei\\nlines"}\n'
    (without,) = subjects([make_archive(tmp_path / "b.mar", texts=["", " "])])
    assert texts_file(None, without, tmp_path) is None


def test_goldens_are_asked_in_their_language_and_with_their_images(tmp_path: Path) -> None:
    lines = [
        {"text": "one", "lang": "en", "trained": {}, "variant": {}},
        {"text": " ", "lang": "en"},
        {"text": "", "image": [0.5, 1.0]},
        {"text": "two"},
        ["text"],
    ]
    path = tmp_path / "joint.mar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("golden.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    asked = golden_requests(path)
    assert asked == [{"text": "one", "lang": "en"}, {"image": [0.5, 1.0]}, {"text": "two"}]
    file = texts_file(None, Subject(path, "joint-1.0", "joint", {}), tmp_path)
    assert file is not None
    assert [json.loads(line) for line in file.read_text().splitlines()] == asked
    assert texts_file(file, Subject(path, "joint-1.0", "joint", {}), tmp_path) == file.resolve()


@pytest.mark.parametrize("line", ["[]", '{"txt": "a"}', '{"image": 1}', "text", "1"])
def test_a_file_with_a_line_that_asks_nothing_is_refused(mar: Path, tmp_path: Path, line: str) -> None:
    (subject,) = subjects([mar])
    path = tmp_path / "asked.jsonl"
    path.write_text('{"text": "a", "lang": "en"}\n\n{"image": [1]}\n' + line + "\n")
    with refused(InputError, "LX-LOAD-032", "4", '"text"', '"image"'):
        texts_file(path, subject, tmp_path)


@pytest.mark.long
def test_real_torchserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mar = make_archive(tmp_path / "films-1.0.mar", handler=HANDLER)  # no evidence, so no goldens to wait for
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before, running = threading.active_count(), children()  # another file's server may run
    report = loadtest(
        [mar], worker_sets=["cpu:1"], users=[4], duration=1, warmup=0.5, trust_code=True, out=tmp_path / "out"
    )
    (row,) = report.rows
    assert row.failures == 0, row.reasons
    assert row.answered > 20
    assert (tmp_path / "out" / "report.html").exists()
    assert sorted(children()) == sorted(running)
    assert list(scratch.iterdir()) == []
    assert threading.active_count() == before
