"""Processes of a server that end while they are looked at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from lexport.serving.torchserve import process


@pytest.mark.parametrize("error", [psutil.NoSuchProcess(1), psutil.AccessDenied(1), psutil.ZombieProcess(1)])
def test_a_java_that_ends_while_its_workers_are_counted_has_none(
    monkeypatch: pytest.MonkeyPatch, error: psutil.Error
) -> None:
    class Ending:
        def children(self) -> list[psutil.Process]:
            raise error

    server: Any = SimpleNamespace(pid=1, id="0" * 32)
    monkeypatch.setattr(process, "find", lambda pid, identity: Ending())
    assert process.workers_of(server) == {}
    monkeypatch.setattr(process, "find", lambda pid, identity: None)
    assert process.workers_of(server) == {}
