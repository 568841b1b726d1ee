"""Five models and a second version of one in one server: threads add up, and one under load starves no other."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from lexport.export.archive.pack import archive
from lexport.serving import running, serve, status, stop
from lexport.serving.operations import deploy
from lexport.storage.cores import cores

from ...conftest import Once

NAMES = ("topics", "second", "third", "fourth", "fifth")
HEAVY = json.dumps({"texts": ["sun and rain today, and a goal in the kitchen"] * 200})
LIGHT = json.dumps({"text": "sun and rain today"})


@pytest.fixture(scope="module", params=["embedded", "torchserve"])
def folder(
    request: pytest.FixtureRequest,
    run_folder: Path,
    version_of: Callable[[str], Path],
    once: Once,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """The state folder of a server of one engine with all of them."""

    def pack(folder: Path) -> None:
        for name in NAMES[1:]:
            archive(run_folder, version="1.0", name=name, variant="onnx-fp32", out=folder)

    others = once("mixed", pack)
    state = tmp_path_factory.mktemp(request.param) / "s"
    archives = [version_of("1.0"), *(others / f"{name}-1.0.mar" for name in NAMES[1:])]
    serve(archives, engine=request.param, port=0, state_dir=state)
    deploy(version_of("2.0"), state_dir=state)
    yield state
    stop(state)


def test_threads_of_all_workers_add_up_to_the_cores(folder: Path) -> None:
    """A worker has one thread at least, so more workers than cores have one each."""

    def given() -> tuple[int, int]:
        found = status(folder)
        workers = {worker["pid"]: worker["threads"] for model in found["models"] for worker in model["workers"]}
        if found["engine"] == "embedded":  # a process has all models, and one of them computes at a time
            return len(workers), len(workers) * found["threads"]
        return len(workers), sum(workers.values())

    deadline = time.monotonic() + 30  # TorchServe's workers divide the cores again when they have counted themselves
    while given()[1] > max(cores(), given()[0]):
        assert time.monotonic() < deadline, given()
        time.sleep(0.2)
    workers, threads = given()
    assert workers == 6 if running(folder).engine == "torchserve" else workers <= max(1, cores())
    assert max(cores(), workers) - workers < threads <= max(cores(), workers)


def test_all_others_answer_while_one_is_asked_for_much(folder: Path) -> None:
    server = running(folder)
    headers = {"Authorization": f"Bearer {server.token()}", "Content-Type": "application/json"}
    light = [*NAMES[1:], "topics/2.0"]
    ended, enough = threading.Event(), threading.Event()
    answered: Counter[str] = Counter()
    refused: list[httpx.Response] = []

    def ask(path: str, body: str) -> None:
        with httpx.Client(headers=headers, timeout=60, trust_env=False) as client:
            while not ended.is_set():
                found = client.post(f"{server.inference_url}/predictions/{path}", content=body)
                if found.status_code == 200:
                    answered[path] += 1
                else:
                    refused.append(found)
                if min(answered[one] for one in (*light, "topics/1.0")) >= 10:
                    enough.set()

    heavy = [threading.Thread(target=ask, args=("topics/1.0", HEAVY)) for _ in range(8)]
    others = [threading.Thread(target=ask, args=(path, LIGHT)) for path in light]
    for thread in (*heavy, *others):
        thread.start()
    try:
        assert enough.wait(60), answered
    finally:
        ended.set()
        for thread in (*heavy, *others):
            thread.join()
    assert refused == []
