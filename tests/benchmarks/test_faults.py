"""The load under which faults are measured, against a server that fails in every way; and faults of a real one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from lexport.benchmarks import closed_loop
from lexport.benchmarks.closed_loop import WRONG, End, Ended, Load
from lexport.benchmarks.faults import ROWS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

RIGHT = {"label": "sport", "scores": {"sport": 0.75, "other": 0.25}}
ROUNDED = {"label": "sport", "scores": {"sport": 0.7500001, "other": 0.2499999}}
ANOTHER = {"label": "other", "scores": {"sport": 0.25, "other": 0.75}}
ENDS = {
    "right": (End.ANSWERED, ""),
    "rounded": (End.ANSWERED, ""),
    "another": (End.ANSWERED, WRONG),
    "closing": (End.ANSWERED, ""),
    "refused": (End.NAMED, "503: no worker"),
    "error page": (End.LOST, "unreadable: JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
    "not http": (End.LOST, "unreadable: ValueError: no HTTP answer with a length"),
    "dropped": (End.LOST, "the connection was closed before an answer"),
    "cut": (End.LOST, "the connection was closed in the middle of an answer"),
    "silent": (End.TIMED_OUT, "no answer within 0.3 s"),
}


class Failing:
    """A server that answers each text right when it is asked for the first time, then as the text says."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.connections = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split()[0])
                text = json.loads(await reader.readexactly(length))["text"]
                self.asked[text] += 1
                reply = self.reply(text if self.asked[text] > 1 else "right")
                if reply is None:
                    await reader.read()
                    return
                writer.write(reply)
                if text in ("dropped", "cut") and self.asked[text] > 1:
                    return
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def reply(self, text: str) -> bytes | None:
        right = http(200, json.dumps(RIGHT))
        return {
            "rounded": http(200, json.dumps(ROUNDED)),
            "another": http(200, json.dumps(ANOTHER)),
            "closing": right.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1),
            "refused": http(503, json.dumps({"code": 503, "message": "no\nworker"})),
            "error page": http(502, "<html>Bad gateway</html>"),
            "not http": b"SSH-2.0\r\n\r\n",
            "dropped": b"",
            "cut": right[:-5],
            "silent": None,
        }.get(text, right)


def http(status: int, body: str) -> bytes:
    return f"HTTP/1.1 {status} Reason\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def asked(texts: list[str], requests: int, **options: int) -> tuple[Load, Failing]:
    """A load of at least so many requests against a `Failing`, after its answers were learnt."""
    failing = Failing()
    server = await asyncio.start_server(failing.connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    load = Load(f"http://127.0.0.1:{port}", "topics", "token", texts, connections=1, **options)
    await load.learn()
    failing.connections = 0
    await until(load, requests)
    server.close()
    return load, failing


async def until(load: Load, requests: int) -> None:
    over = asyncio.Event()
    running = asyncio.create_task(load.run(over))
    while len(load.ended) < requests:
        await asyncio.sleep(0.001)
    over.set()
    await running


def test_every_request_ends_in_exactly_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_loop, "PATIENCE", 0.3)
    monkeypatch.setattr(closed_loop, "PAUSE", 0.0)
    load, _ = asyncio.run(asked(list(ENDS), len(ENDS)))
    found = [(one.end, one.kind) for one in load.ended]
    assert dict(zip(ENDS, found, strict=False)) == ENDS
    counts = load.counts()
    assert counts["sent"] == len(found) == sum(counts[end.value] for end in End)
    # The load goes on with the first texts until it is stopped.
    assert counts["wrong"] == sum(kind == WRONG for _, kind in found) >= 1


def test_a_closed_port_is_told_from_a_lost_request() -> None:
    async def both() -> Load:
        load, _ = await asked(["right"], 3)
        await until(load, len(load.ended) + 1)
        return load

    load = asyncio.run(both())
    assert (load.ended[-1].end, load.ended[-1].kind) == (End.NOT_SENT, "connection refused")
    assert load.counts()["sent"] == load.counts()["answered"] == len(load.ended) - 1
    assert load.kinds() == [("not sent", "connection refused", 1)]


def test_connections_are_kept_until_the_server_or_the_load_closes_them() -> None:
    for text, options, most in (("right", {}, 30), ("closing", {}, 1), ("right", {"per_connection": 10}, 10)):
        load, failing = asyncio.run(asked([text], 30, **options))
        assert load.counts()["answered"] == len(load.ended)
        assert failing.connections == (1 if most == 30 else -(-len(load.ended) // most))


def test_a_model_that_does_not_answer_before_the_fault_is_said() -> None:
    async def learn() -> None:
        failing = Failing()
        failing.asked["refused"] = 1
        server = await asyncio.start_server(failing.connected, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await Load(f"http://127.0.0.1:{port}", "topics", "", ["refused"], connections=1).learn()

    with pytest.raises(ValueError, match="answered 503 before the fault"):
        asyncio.run(learn())


def test_recovery_counts_requests_that_began_after_the_fault_and_a_rate_that_stays() -> None:
    load = Load("http://127.0.0.1:1", "topics", "", ["a"], connections=1)
    fault = time.monotonic() - 30

    def answers(since: float, until: float, each: float) -> list[Ended]:
        count = round((until - since) / each)
        times = [fault + since + number * each for number in range(count)]
        return [Ended(moment - each / 2, moment, End.ANSWERED) for moment in times]

    load.ended = [Ended(fault - 0.1, fault + 0.1, End.ANSWERED), Ended(fault + 0.2, fault + 0.3, End.NAMED, "503")]
    assert (load.first_answer(fault), load.steady_again(fault, 80)) == (None, None)
    load.ended += answers(-2, 0, 0.01) + answers(5, 6.5, 0.01) + answers(9, 20, 0.01)
    assert load.rate(fault - 2, fault) == pytest.approx(100, abs=1)
    assert load.first_answer(fault) == pytest.approx(5, abs=0.05)
    assert load.steady_again(fault, 80) == pytest.approx(9.0, abs=0.02)


@pytest.mark.long
def test_faults(run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "faults.json"
    options = ["--quick", "--run", run_folder, "--variant", "onnx-fp32", "--rows", "stop,worker", "--out", out]
    command = [sys.executable, str(BENCHMARKS / "faults.py"), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert [(row["engine"], row["row"]) for row in rows] == [
        (engine, name) for engine in ("torchserve", "embedded") for name in ("stop", "worker")
    ]
    for row in rows:
        counts = row["counts"]
        assert counts["answered"] > 0
        assert counts["sent"] == sum(counts[end.value] for end in End if end is not End.NOT_SENT)
        assert counts["wrong"] == 0
        assert f"| {row['title']} | {counts['sent']:,} | {counts['answered']:,} |" in done.stdout
    for stopped, killed in (rows[:2], rows[2:]):
        assert stopped["counts"]["not sent"] > 0
        assert stopped["steady_again"] is None
        assert killed["remark"] == "1 kill"
        assert 0 <= killed["first_answer"] < 30


CASES = [
    pytest.param(engine, name, id=f"{name}-{engine}")
    for name, row in ROWS.items()
    for engine in row.engines
    if name != "idle-1024"  # needs more open files than a test may take
]


@pytest.mark.long
@pytest.mark.parametrize(("engine", "name"), CASES)
def test_a_fault_under_load_costs_no_request_more_than_is_said(
    engine: str, name: str, run_folder: Path, tmp_path: Path
) -> None:
    row, out = ROWS[name], tmp_path / "faults.json"
    if row.small_disk and os.geteuid():
        pytest.skip("only root may mount the small file system whose disk is filled")
    options = ["--quick", "--run", run_folder, "--variant", "onnx-fp32", "--rows", name, "--engines", engine]
    command = [sys.executable, str(BENCHMARKS / "faults.py"), *map(str, options), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    [found] = json.loads(out.read_text())["rows"]
    counts = found["counts"]
    assert counts["answered"] > 0
    assert counts["wrong"] == 0
    assert not found["remark"].startswith("failed"), found
    if row.answers_all:
        assert counts["timed out"] == 0
        assert counts["lost"] == 0 or (row.cuts and engine == "embedded")
    if row.graceful:
        assert counts["named error"] == counts["lost"] == counts["not sent"] == 0, found
    if row.recovers:
        assert found["first_answer"] is not None


def test_rows_that_do_not_exist_are_said() -> None:
    command = [sys.executable, str(BENCHMARKS / "faults.py"), "--rows", "stop,fire"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert "--rows has fire. Expected some of stop, sigterm," in done.stderr
