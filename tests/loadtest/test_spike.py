"""A spike to ten times the usual load of a model with planned capacity, on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from lexport.export.archive.pack import archive
from lexport.loadtest.runner import loadtest
from lexport.loadtest.targets import Endpoint
from lexport.serving import launch, serve, stop
from lexport.serving.torchserve.java import find_java

from .conftest import make_archive

pytestmark = pytest.mark.long

BATCH = 0.02  # seconds of each batch of one request: 50 requests/s
QUEUE = 20
HANDLER = f"""
import time

def handle(data, context):
    time.sleep({BATCH})
    return [{{"label": "positive", "score": 0.5}} for _ in data or []]
"""
# Goes before the program of the engine's own processes, and those start theirs with it too: each batch takes as long
# as planned.
SLOWER = f"""
import importlib.util
import sys
import time

def slow(module):
    answer = module.Model._answer

    def slower(self, questions):
        time.sleep({BATCH})
        return answer(self, questions)

    module.Model._answer = slower

def hand_on(module):
    module._PROGRAM = sys.orig_argv[sys.orig_argv.index("-c") + 1]

class Changed:
    wanted = {{"lexport.serving.embedded.model": slow, "lexport.serving.launch": hand_on}}

    def find_spec(self, name, path, target=None):
        change = self.wanted.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (execute(module), change(module))
        return spec

sys.meta_path.insert(0, Changed())
"""


@pytest.fixture
def planned(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], AbstractContextManager[Endpoint]]:
    """A server of an engine, with one worker that takes 20 ms for each batch and a queue of twenty."""
    config = tmp_path / "config.properties"
    config.write_text(f"job_queue_size={QUEUE}\n")

    @contextmanager
    def opened(engine: str) -> Iterator[Endpoint]:
        if engine == "torchserve":
            find_java()
            path = make_archive(tmp_path / "films-1.0.mar", handler=HANDLER)
        else:
            path = archive(run_folder, version="1.0", variant="onnx-int8", out=tmp_path, profile="latency")
            monkeypatch.setattr(launch, "_PROGRAM", SLOWER + launch._PROGRAM)
        state = tmp_path / "state"
        server = serve(
            [path], engine=engine, workers="cpu:1", state_dir=state, port=0, config=config, trust_code=True
        )
        try:
            yield Endpoint(server.inference_url, "films" if engine == "torchserve" else "topics", server.token())
        finally:
            stop(state)

    return opened


@pytest.mark.parametrize(
    ("engine", "refusal"),
    [("torchserve", "HTTP 503 ServiceUnavailableException"), ("embedded", "HTTP 429 LX-HTTP-117")],
)
def test_a_spike_is_refused_quickly_by_name_and_over_soon_after(
    engine: str, refusal: str, planned: Callable[[str], AbstractContextManager[Endpoint]]
) -> None:
    with planned(engine) as endpoint:
        report = loadtest(
            endpoint=endpoint, arrivals="spike", rates=(20.0,), duration=16.0, warmup=1.0, expect="label", seed=1
        )
    (row,) = report.rows
    # 200 requests/s in the spike, of which 50 can be answered; the client could send many times that.
    assert row.client_cpu < 1 / 3
    assert row.failures > 300
    assert dict(row.reasons) == {refusal: row.failures}
    assert row.slowest_failure_ms is not None
    assert row.slowest_failure_ms < 1000
    assert row.recovery is not None
    assert row.recovery < 5
    before = [slot for slot in row.series if slot.second + slot.seconds <= 4]
    after = [slot for slot in row.series if slot.second >= 8 + 5]
    assert sum(slot.failures for slot in before + after) == 0
    during = [slot for slot in row.series if 4 <= slot.second < 8]
    assert sum(slot.answered for slot in during) > 4 / BATCH / 2  # half of the planned capacity, on a busy machine
