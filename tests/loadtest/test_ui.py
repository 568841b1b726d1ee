"""Locust's own web page: beside a measured run, and with the locustfile alone, in one process or several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lexport.errors import RefusedError
from lexport.loadtest import cells
from lexport.loadtest.locust_process import Load, Target, free_port, run
from lexport.loadtest.runner import loadtest
from lexport.loadtest.targets import Endpoint

from ..refusals import refused
from .conftest import LOCUSTFILE, Stub

pytestmark = pytest.mark.long  # servers are started and loaded again and again

LOAD = Load(2, 0.0, 4.0, None, 0.0, 0)


def ask(port: int, path: str, **fields: str) -> Any:
    """The page's answer, as JSON where it is that; None while it is not there. Fields are posted."""
    data = urllib.parse.urlencode(fields).encode() if fields else None
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=10) as answer:
            content = answer.read()
    except OSError:
        return None
    return json.loads(content) if content[:1] == b"{" else content.decode()


def stop(port: int) -> None:
    """What the page's button does: a POST, or in older versions of Locust a GET."""
    assert ask(port, "/stop", by="a test") or ask(port, "/stop")


def until(port: int, path: str, wanted: Callable[[Any], Any]) -> Any:
    """The first answer that is wanted."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = ask(port, path)
        if found is not None and wanted(found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{path} was never as wanted")


def runs(found: dict[str, Any]) -> bool:
    return bool(found["state"] == "running" and found["total_rps"] > 0)


@pytest.mark.parametrize(
    "load",
    [LOAD, replace(LOAD, arrivals="constant", rate=50.0), replace(LOAD, processes=2)],
    ids=["closed", "open", "two processes"],
)
def test_a_measured_run_shows_the_page_and_ends_by_itself(stub: Stub, tmp_path: Path, load: Load) -> None:
    load = replace(load, page=free_port())
    seen: list[Any] = []
    looking = Thread(target=lambda: seen.append(until(load.page, "/stats/requests", runs)))
    looking.start()
    measured = run(Target(stub.url, "m", ""), load, tmp_path)
    looking.join()
    assert measured["answered"] > 50
    assert measured["processes"] == load.processes
    assert seen[0]["stats"][0]["name"] == "/predictions/m"
    assert ask(load.page, "/") is None  # it has ended with the run


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (stop, "was stopped before its end"),
        (lambda port: ask(port, "/swarm", user_count="3", spawn_rate="3"), "had its number of users changed"),
    ],
    ids=["stopped", "other users"],
)
def test_a_run_that_somebody_changes_in_the_page_is_not_reported(
    stub: Stub, tmp_path: Path, change: Callable[[int], object], reason: str
) -> None:
    load = replace(LOAD, duration=30.0, page=free_port())

    def look_and_change() -> None:
        until(load.page, "/stats/requests", runs)
        change(load.page)

    changing = Thread(target=look_and_change)
    changing.start()
    with refused(RefusedError, "LX-LOAD-110", reason):
        run(Target(stub.url, "m", ""), load, tmp_path)
    changing.join()


def test_the_command_tells_the_address_and_writes_its_report(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "SETTLE", 0.1)
    said: list[str] = []
    options: dict[str, Any] = {"users": [1, 2], "duration": 0.5, "warmup": 0.0, "expect": "label"}
    report = loadtest(endpoint=Endpoint(f"{stub.url}/ask"), ui=True, out=tmp_path / "out", say=said.append, **options)
    assert said[0].startswith("Locust's page: http://127.0.0.1:")
    assert [row.users for row in report.rows] == [1, 2]
    assert (tmp_path / "out" / "report.html").is_file()


@contextmanager
def locust(folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Plain Locust with our locustfile, in a process group of its own."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("LOCUST_", "LEXPORT_"))}
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--model", "m", *options]
    log = (folder / f"locust-{len(list(folder.iterdir()))}.log").open("wb")
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=known | {"XDG_STATE_HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one process", "two processes"])
def test_the_locustfile_alone_is_started_and_stopped_in_locusts_page(
    stub: Stub, tmp_path: Path, processes: tuple[str, ...]
) -> None:
    port = free_port()
    inner = str(free_port())
    ports = ("--master-bind-port", inner, "--master-port", inner) if processes else ()
    where = ("--web-host", "127.0.0.1", "--web-port", str(port), "-H", stub.url)
    with locust(tmp_path, *where, *processes, *ports):
        until(port, "/", lambda page: "Locust" in page)
        if processes:
            until(port, "/stats/requests", lambda found: len(found["workers"]) == 2)
        assert stub.bodies == []
        assert ask(port, "/swarm", user_count="4", spawn_rate="4", host=stub.url)["success"]
        found = until(port, "/stats/requests", runs)
        assert (found["fail_ratio"], found["stats"][0]["name"]) == (0, "/predictions/m")
        stop(port)
        until(port, "/stats/requests", lambda found: found["state"] == "stopped")
        sent = len(stub.bodies)
        time.sleep(0.5)
        assert len(stub.bodies) <= sent + 4  # at most what was under way


def test_a_master_and_workers_in_process_groups_of_their_own_share_one_schedule(stub: Stub, tmp_path: Path) -> None:
    port = str(free_port())
    result = tmp_path / "result.json"
    shared = ("-H", stub.url, "--arrivals", "constant", "--rate", "40", "--measure", "3")
    workers = ("--worker", "--master-port", port, *shared, "--result", str(result))
    master = ("--master", "--master-bind-port", port, "--headless", "--expect-workers", "2", "-u", "2", "-r", "2")
    with (
        locust(tmp_path, *workers) as one,
        locust(tmp_path, *workers) as other,
        locust(tmp_path, *master, *shared, "--result", str(result)) as first,
    ):
        assert len({os.getpgid(process.pid) for process in (one, other, first)}) == 3
        assert [process.wait(60) for process in (first, one, other)] == [0, 0, 0]
    measured = json.loads(result.read_text())
    assert measured["processes"] == 2
    assert (measured["answered"], measured["failures"]) == (120, 0)
    assert len(stub.bodies) == 120
