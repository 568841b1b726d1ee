"""The access log: what is collected while nothing can be written."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from lexport.serving.embedded import access_log
from lexport.serving.embedded.access_log import AccessLog


def test_lines_that_wait_for_the_disk_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that nobody reads stands for a disk that does not write."""
    monkeypatch.setattr(access_log, "_MOST_LINES", 10)
    monkeypatch.setattr(access_log, "_EVERY", 0.01)
    path = tmp_path / "pipe"
    os.mkfifo(path)

    async def collect() -> AccessLog:
        log = AccessLog(path)
        for number in range(5):
            log.note_other(f"first-{number}", 400, 1, "")
        await asyncio.sleep(0.1)
        for number in range(30):
            log.note_other(f"later-{number}", 400, 1, "LX-HTTP-101")
        await asyncio.sleep(0.1)
        return log

    async def run() -> str:
        log = await collect()
        reading = asyncio.get_running_loop().run_in_executor(None, path.read_text)
        await asyncio.get_running_loop().run_in_executor(None, log.close)
        return await reading

    lines = [json.loads(line) for line in asyncio.run(run()).splitlines()]
    assert [line.get("id") for line in lines[:5]] == [f"first-{number}" for number in range(5)]
    assert [line.get("id") for line in lines[5:15]] == [f"later-{number}" for number in range(10)]
    assert [line.get("left_out") for line in lines[15:]] == [20]
