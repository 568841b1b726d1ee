"""What the processes of a server take: added up over all that carry its id, and over no others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from lexport.serving.monitoring.usage import Usage, usage_of
from lexport.serving.settings.environment import ID_VARIABLE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what processes share")
BUSY = "x = b'1' * 50_000_000\nfor _ in range(3_000_000): pass\nprint('done', flush=True)\ninput()"


@pytest.fixture
def identity() -> Iterator[str]:
    """The id of two processes that have been busy, and of no other."""
    name = "f" * 32
    environment = os.environ | {ID_VARIABLE: name}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )
        for _ in range(2)
    ]
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "done\n"
    yield name
    for one in started:
        one.communicate("\n")


def test_processor_time_and_memory_are_added_up(identity: str) -> None:
    found = usage_of(identity)
    assert found.cpu is not None
    assert found.memory is not None
    assert found.cpu > 0.05
    assert 100_000_000 < found.memory < 300_000_000


def test_cores_are_the_time_between_two_looks() -> None:
    assert Usage(30.0, 5).since(Usage(10.0, 4), 10.0) == Usage(2.0, 5)


def test_where_a_process_has_ended_meanwhile_the_cores_are_unknown() -> None:
    assert Usage(3.0, 5).since(Usage(10.0, 4), 10.0) == Usage(None, 5)
    assert Usage(None, None).since(Usage(None, None), 10.0) == Usage(None, None)


def test_a_server_that_is_not_there_takes_nothing_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usage_of("0" * 32) == Usage(None, None)
    assert usage_of("") == Usage(None, None)
    monkeypatch.setattr(psutil.Process, "memory_full_info", lambda self: (_ for _ in ()).throw(psutil.AccessDenied()))
    assert usage_of("") == Usage(None, None)
