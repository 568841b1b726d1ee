"""Shapes and the dispatcher in locustfiles of other people, run by Locust itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ..conftest import Stub

CLOSED = """
from locust import HttpUser, constant_throughput, task
from lexport.loadtest.driver.shapes import {shape}

class Shape({shape}):
    users, seconds = {users}, 3

class User(HttpUser):
    wait_time = constant_throughput(10)

    @task
    def ask(self):
        self.client.post("/ask", data="a text")
"""

OPEN = """
import time
import gevent
from geventhttpclient import HTTPClient
from locust import User, constant, events, task
from lexport.loadtest.driver.arrivals import Spike, schedule
from lexport.loadtest.driver.dispatcher import Dispatcher

def send(http, due):
    http.request("POST", "/ask", b"a text").read()

class Waiting(User):
    wait_time = constant(1)

    @task
    def wait(self):
        pass

@events.test_start.add_listener
def start(environment, **_):
    connect = lambda: HTTPClient.from_url(environment.host)
    sender = Dispatcher(connect, send, lambda due: None, most=100)
    gevent.spawn(sender.run, schedule(Spike(5, 2), seed=1), time.perf_counter())
"""


def locust(stub: Stub, folder: Path, source: str, *options: str) -> None:
    (folder / "mine.py").write_text(source)
    known = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    command = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        "mine.py",
        "--headless",
        "--only-summary",
        "-H",
        stub.url,
        *options,
    ]
    done = subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_shape_moves_the_users_of_another_locustfile_and_ends(stub: Stub, tmp_path: Path) -> None:
    locust(stub, tmp_path, CLOSED.format(shape="SteadyShape", users=2))
    assert 20 <= len(stub.bodies) <= 2 * 10 * 4 + 2  # two users, ten times a second, for about 3 s
    assert {path for path, _ in stub.requests} == {"/ask"}


def test_a_dispatcher_sends_the_open_loop_of_another_locustfile(stub: Stub, tmp_path: Path) -> None:
    locust(stub, tmp_path, OPEN, "-t", "4s")
    from lexport.loadtest.driver.arrivals import Spike, schedule

    assert len(stub.bodies) == len(list(schedule(Spike(5, 2), seed=1))) > 10


TICKS = """
import json, time
from lexport.loadtest.driver import shapes

found = {}
for name in ("SteadyShape", "StepShape", "RampShape", "SpikeShape", "SoakShape"):
    shape = type("Shape", (getattr(shapes, name),), {"users": 20, "seconds": 100})()
    found[name] = []
    for second in (0, 12, 30, 45, 99, 101):
        shape.start_time = time.perf_counter() - second
        tick = shape.tick()
        found[name].append(tick and tick[0])
print(json.dumps(found))
"""


def test_each_shape_has_the_users_of_its_pattern() -> None:
    # In a process of its own: Locust changes the sockets and threads of the one that imports it.
    done = subprocess.run([sys.executable, "-c", TICKS], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == {
        "SteadyShape": [20, 20, 20, 20, 20, None],
        "StepShape": [4, 4, 8, 12, 20, None],
        "RampShape": [1, 2, 6, 9, 20, None],
        "SpikeShape": [20, 20, 200, 200, 20, None],
        "SoakShape": [1, 20, 20, 20, 20, None],
    }
