"""What a worker shares with whoever stops its server."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lexport.handlers.runtime.draining import CONTROL, Switch, busy_name
from lexport.handlers.worker import Worker

from ..test_worker import Context

REQUEST = {"body": b"goal"}


class Watching(Context):
    """Notes what the worker's byte says while a batch is answered."""

    def __init__(self, busy: Path, count: int) -> None:
        super().__init__(Path(), [{}] * count)
        self.busy = busy
        self.seen: set[bytes] = set()

    def get_all_request_header(self, idx: int) -> Mapping[str, Any]:
        self.seen.add(self.busy.read_bytes())
        return super().get_all_request_header(idx)


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEXPORT_REPORT_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def worker(reports: Path, unpacked: Path) -> Worker:
    return Worker(Context(unpacked))


def test_a_worker_is_busy_while_it_answers(worker: Worker, reports: Path) -> None:
    busy = reports / busy_name(os.getpid())
    assert busy.read_bytes() == (reports / CONTROL).read_bytes() == b"\0"
    assert busy.stat().st_mode & 0o777 == (reports / CONTROL).stat().st_mode & 0o777 == 0o600
    context = Watching(busy, 2)
    assert len(worker.handle([REQUEST, REQUEST], context)) == 2
    assert context.seen == {b"\1"}
    assert busy.read_bytes() == b"\0"
    with pytest.raises(AttributeError):
        worker.handle([REQUEST], None)
    assert busy.read_bytes() == b"\0"


def test_a_stopping_worker_refuses_by_name_even_if_it_starts_then(
    worker: Worker, reports: Path, unpacked: Path
) -> None:
    (reports / CONTROL).write_bytes(b"\1")
    for one in (worker, Worker(Context(unpacked))):
        context = Context(Path(), [{}, {}])
        bodies = [json.loads(body) for body in one.handle([REQUEST, REQUEST], context)]
        assert context.statuses == {0: 503, 1: 503}
        assert [context.told[position]["Retry-After"] for position in (0, 1)] == ["1", "1"]
        assert (
            bodies
            == [
                {
                    "error": "The server is stopping.",
                    "expected": "the same request again in a second, or at another server",
                    "code": "LX-HTTP-066",
                }
            ]
            * 2
        )


def test_a_byte_left_by_a_process_of_the_same_number_is_cleared(reports: Path) -> None:
    (reports / busy_name(os.getpid())).write_bytes(b"\1")
    Switch()
    assert (reports / busy_name(os.getpid())).read_bytes() == b"\0"


def test_a_link_is_not_followed(reports: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "file"
    elsewhere.write_text("content")
    (reports / CONTROL).symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic links"):
        Switch()
    assert elsewhere.read_text() == "content"


def test_a_worker_keeps_its_bytes_when_the_folder_is_gone(worker: Worker, reports: Path) -> None:
    shutil.rmtree(reports)
    assert worker.handle([REQUEST], Context(Path(), [{}]))


@pytest.mark.parametrize("folder", [None, "", "absent"])
def test_without_the_folder_nothing_is_shared(
    folder: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEXPORT_REPORT_DIR", raising=False)
    if folder is not None:
        monkeypatch.setenv("LEXPORT_REPORT_DIR", folder)
    switch = Switch()
    switch.busy[0] = 1
    assert switch.stopping[0] == 0
    assert list(tmp_path.iterdir()) == []
