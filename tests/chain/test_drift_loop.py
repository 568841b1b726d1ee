"""The loop: requests drift, their new words are collected, the run learns them, and a canary makes it the default."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lexport.__main__ import run as command_line
from lexport.client import Client
from lexport.models.run import open_run
from lexport.serving import serve, stop
from lexport.serving.torchserve.java import find_java

ENGINES = ("embedded", pytest.param("torchserve", marks=pytest.mark.long))
NEW = ["streamer", "playoffs", "snowstorm", "butterscotch"]


@pytest.fixture(params=ENGINES)
def folder(request: pytest.FixtureRequest, archive_of: Callable[[str], Path], tmp_path: Path) -> Iterator[Path]:
    """The state folder of a server with version 1.0."""
    if request.param == "torchserve":
        find_java()
    serve([archive_of("onnx-int8")], engine=request.param, workers="cpu:1", port=0, state_dir=tmp_path / "s")
    yield tmp_path / "s"
    stop(tmp_path / "s")


def ask(folder: Path, count: int) -> None:
    with Client(state_dir=folder) as client:
        for number in range(count):
            client.predict("topics", [f"the {NEW[number % 4]} of the season {NEW[number % 3]}"])


@contextmanager
def asking(folder: Path) -> Iterator[None]:
    """Context manager: a client asks, over a new connection now and then."""
    ended = threading.Event()

    def go() -> None:
        while not ended.is_set():
            ask(folder, 20)

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_words_of_requests_end_up_in_a_version_that_knows_them(
    folder: Path, run_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def command(*words: str) -> tuple[int, str]:
        capfd.readouterr()
        code = command_line([*words, "--state-dir", str(folder)])
        return code, capfd.readouterr().out

    def waited(*words: str, until: Callable[[str], bool]) -> int:
        """The exit code once the output is so; workers tell once a second."""
        deadline = time.monotonic() + 30
        while not until((found := command(*words))[1]):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found[0]

    ask(folder, 120)
    assert waited("drift", "topics", "--json", until=lambda out: json.loads(out)["texts"] == 120) == 1
    assert "unknown" in json.loads(command("drift", "topics", "--json")[1])["drifted"]
    assert command("expand", str(run_folder), "--from-drift", "topics", "--out", str(tmp_path / "early"))[0] == 2
    assert not (tmp_path / "early").exists()

    assert command("drift", "topics", "--sample", "100")[0] == 0
    ask(folder, 80)
    assert waited("drift", "--words", until=lambda out: all(word in out for word in NEW)) == 0

    grown = tmp_path / "topics-2"
    code, out = command("expand", str(run_folder), "--from-drift", "topics:1.0", "--out", str(grown))
    assert code == 0
    assert "4 new words" in out
    before, after = open_run(run_folder).encoder.vocabulary, open_run(grown).encoder.vocabulary
    assert set(after) - set(before) == set(NEW)

    assert command_line(["export", str(grown), "--variants", "onnx-int8"]) == 0
    packed = ["--version", "2.0", "--name", "topics", "--out", str(tmp_path)]
    assert command_line(["archive", str(grown), *packed]) == 0
    assert command("deploy", str(tmp_path / "topics-2.0.mar"))[0] == 0
    with Client(state_dir=folder) as client:
        unknown = [client.predict("topics", " ".join(NEW), version=version).unknown for version in ("1.0", "2.0")]
    assert unknown == [4, 0]

    with asking(folder):
        easy = ("--requests", "150", "--max-errors", "10%", "--max-latency", "100", "--for", "120")
        code, out = command("canary", "topics", "2.0", "--share", "50%", *easy, "--promote")
    assert (code, "topics 2.0 answers topics from now on." in out) == (0, True), out
    with Client(state_dir=folder) as client:
        assert client.predict("topics", " ".join(NEW)).unknown == 0
