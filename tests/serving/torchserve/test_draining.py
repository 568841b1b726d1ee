"""Ending a real TorchServe without losing a request."""

from __future__ import annotations

import collections
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from lexport.errors import SystemProblem
from lexport.handlers.runtime.draining import CONTROL, busy_name
from lexport.serving import Server, serve, stop
from lexport.serving.torchserve.draining import Drained, drain
from lexport.serving.torchserve.listeners import NotPermitted, refuse_new

pytestmark = [
    pytest.mark.usefixtures("java"),
    pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="only Linux lists its sockets"),
]

CONNECTIONS = 32
NAME = "multilabel"


@pytest.fixture
def server(task_archive: Callable[[str], Path], tmp_path: Path) -> Iterator[Server]:
    running = serve([task_archive(NAME)], workers="cpu:1", state_dir=tmp_path / "state", port=0)
    yield running
    for pid in (running.supervisor, running.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    with contextlib.suppress(SystemProblem):  # stopped already
        stop(running.state_dir)


def port_of(server: Server) -> int:
    return int(server.inference_url.rpartition(":")[2])


def drained(server: Server, limit: float = 30.0) -> Drained:
    """Drain in the supervisor's place, which would start TorchServe again once it has ended."""
    psutil.Process(server.supervisor).suspend()
    token = server.token("management")
    return drain(
        server.pid, [port_of(server)], server.reports, limit=limit, management_url=server.management_url, token=token
    )


def end(server: Server) -> None:
    os.kill(server.pid, signal.SIGTERM)
    while psutil.pid_exists(server.pid) and psutil.Process(server.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(server.pid, os.WNOHANG)


class Client:
    """One connection that is kept alive, and what became of what was sent on it."""

    def __init__(self, server: Server) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=60)
        self.headers = {"Authorization": f"Bearer {server.token()}", "Content-Type": "application/json"}
        self.retry_after: str | None = None

    def ask(self, texts: list[str]) -> str:
        """`answered`, `refused` by name, `not sent` because no connection was made, or `lost`."""
        if self.connection.sock is None:
            try:
                self.connection.connect()
            except OSError:
                return "not sent"
        try:
            self.connection.request("POST", f"/predictions/{NAME}", json.dumps({"texts": texts}), self.headers)
            response = self.connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            return f"lost: {error!r}"
        if response.status == 200:
            return "answered" if len(answer) == len(texts) else f"wrong answer: {answer}"
        self.retry_after = response.headers["Retry-After"]
        named = (response.status, answer.get("error")) == (503, "The server is stopping.")
        return "refused" if named else f"wrong answer: {answer}"

    def close(self) -> None:
        self.connection.close()

    def loop(self, outcomes: collections.Counter[str]) -> None:
        """Ask again and again until no connection can be made."""
        with contextlib.closing(self):
            while outcomes["stop"] == 0:
                outcome = self.ask(["goal", "rain and wind"])
                outcomes[outcome] += 1
                if outcome == "not sent":
                    return


@contextlib.contextmanager
def load(server: Server) -> Iterator[collections.Counter[str]]:
    outcomes: collections.Counter[str] = collections.Counter()
    threads = [threading.Thread(target=Client(server).loop, args=(outcomes,)) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
        deadline = time.monotonic() + 30
        for thread in threads:
            thread.join(timeout=max(deadline - time.monotonic(), 0.0))
    finally:
        outcomes["stop"] = 1
        for thread in threads:
            thread.join()


def skip_if_not_permitted(result: Drained) -> None:
    if result.open_because:
        pytest.skip(f"this process may not refuse the server's connections: {result.open_because}")


@pytest.mark.long
def test_no_request_is_lost_when_a_server_under_load_is_stopped(server: Server) -> None:
    with load(server) as outcomes:
        while outcomes["answered"] < 20 * CONNECTIONS:
            time.sleep(0.05)
        stop(server.state_dir)
    told = (server.logs / "supervisor.log").read_text(encoding="utf-8")
    if "could not be refused" in told:
        pytest.skip(f"the supervisor may not refuse the server's connections: {told}")
    assert "All requests were answered after" in told
    assert outcomes["not sent"] == CONNECTIONS
    assert set(outcomes) == {"answered", "refused", "not sent", "stop"}
    assert 0 < outcomes["refused"] <= CONNECTIONS


def test_what_is_in_flight_is_answered_and_a_stuck_worker_does_not_hold_up_the_end(server: Server) -> None:
    (worker,) = psutil.Process(server.pid).children()
    busy = server.reports / busy_name(worker.pid)
    assert busy.read_bytes() == (server.reports / CONTROL).read_bytes() == b"\0"
    with contextlib.closing(Client(server)) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.ask, ["goal and rain " * 100] * 1000)
        while busy.read_bytes() == b"\0":
            pass
        worker.suspend()
        began = time.monotonic()
        stuck = drained(server, limit=1.0)
        assert time.monotonic() - began < 3.0
        skip_if_not_permitted(stuck)
        assert not stuck.idle
        assert f"a batch at worker {worker.pid}" in stuck.in_flight
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port_of(server)), timeout=5)
        threading.Timer(1.0, worker.resume).start()
        assert drained(server).idle
        end(server)
        assert answer.result() == "answered"


@pytest.mark.long
def test_a_request_that_comes_later_on_an_open_connection_is_refused_by_name(server: Server) -> None:
    with contextlib.closing(Client(server)) as client:
        assert client.ask(["goal"]) == "answered"
        skip_if_not_permitted(drained(server))
        assert client.ask(["goal"]) == "refused"
        assert client.retry_after == "1"
        assert client.ask(["goal"]) == "not sent"
    before = psutil.Process(server.pid).cpu_times().user
    time.sleep(2.0)
    assert psutil.Process(server.pid).cpu_times().user - before < 1.0, "closed ports keep the frontend busy"


def test_a_server_that_has_ended_already_is_not_waited_for(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    result = drain(process.pid, [1], tmp_path, limit=30.0, management_url="http://127.0.0.1:1", token="")
    assert not result.idle
    assert "does not answer" in result.in_flight
    assert "No such process" in result.open_because
    assert result.seconds < 10


def test_other_processes_ports_are_not_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with pytest.raises(NotPermitted, match="other than"):
            refuse_new(os.getppid(), [listening.getsockname()[1]])
        socket.create_connection(listening.getsockname()).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::"])
def test_connections_under_way_are_accepted_before_new_ones_are_refused(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::")
    except OSError as error:
        pytest.skip(f"no {host} here: {error}")
    with listening:
        address = ("127.0.0.1" if host == "::" else host, listening.getsockname()[1])
        with socket.create_connection(address) as early, ThreadPoolExecutor(1) as pool:
            early.sendall(b"request")
            done = pool.submit(refuse_new, os.getpid(), [address[1]])
            time.sleep(0.2)
            accepted, _ = listening.accept()
            done.result()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, timeout=5)
            with accepted:
                assert accepted.recv(10) == b"request"
                accepted.sendall(b"answer")
                assert early.recv(10) == b"answer"
