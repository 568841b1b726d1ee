"""Faults under load: every request ends in an answer or an error that the client names."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lexport.client import Client, NoServer, QueueFull
from lexport.errors import LexportError
from lexport.serving import Server, running, serve, status, stop

pytestmark = pytest.mark.long
TEXT = "goal rain oven"


@pytest.fixture
def server(archive_of: Callable[[str], Path], tmp_path: Path) -> Iterator[Server]:
    started = serve(
        [archive_of("onnx-int8")], engine="embedded", workers="cpu:2", port=0, state_dir=tmp_path / "state"
    )
    yield started
    stop(started.state_dir)


class Load:
    """Clients in threads, each of which asks as soon as it has an answer or an error."""

    def __init__(self, server: Server, clients: int) -> None:
        self.answers: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.strange: list[BaseException] = []
        self._ended = threading.Event()
        self._server = server
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)  # nobody waits for ever

    def _ask(self) -> None:
        with Client(state_dir=self._server.state_dir, timeout=30) as client:
            while not self._ended.is_set():
                try:
                    [answer] = client.predict("topics", [TEXT])
                    self.answers[str(answer)] += 1
                except LexportError as error:
                    self.codes[error.code] += 1
                except BaseException as error:
                    self.strange.append(error)
                    return


def test_a_process_killed_every_second(server: Server) -> None:
    load, deaths = Load(server, 32), 20
    for number in range(deaths):
        time.sleep(1.0)
        processes = psutil.Process(server.supervisor).children()
        processes[number % len(processes)].kill() if processes else None
    load.end()
    assert load.strange == []
    assert len(load.answers) == 1  # all of them alike
    assert sum(load.answers.values()) > 1_000
    # No connection, or no room: the client says which.
    assert set(load.codes) <= {NoServer.code, QueueFull.code}, load.codes
    until(lambda: status(server.state_dir)["problems"] == [], 60)
    # Of twenty seconds each process waits 15 before its sixth start: pauses grow.
    assert running(server.state_dir).restarts >= 6
    with Client(state_dir=server.state_dir) as client:
        [again] = client.predict("topics", [TEXT])
    assert {str(again)} == set(load.answers)


def until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
