"""Real servers of both engines: what they were asked against the held-out texts, and the words that they collect."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lexport
from lexport.__main__ import run as command_line
from lexport.client import Client
from lexport.errors import InputError, RefusedError, SystemProblem
from lexport.evaluation.drift import Limits, Texts
from lexport.export.archive.pack import archive
from lexport.export.evidence.evidence import read_evidence
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.handlers.model.distributions import SUMS
from lexport.models import recipes
from lexport.models.run import Run
from lexport.serving import Server, serve, status, stop
from lexport.serving.monitoring.drift import Drift, _read, _since, drift
from lexport.serving.monitoring.words import forget, sample, words, words_to_add
from lexport.serving.operations import deploy, undeploy
from lexport.training.train import train

from ...conftest import Once
from ...refusals import refused

KEPT = Path(__file__).parents[2] / "export" / "archive" / "kept" / "schema-2.mar"
ENGINES = ("embedded", "torchserve")
NEW = ["streaming", "showrunner", "binge", "spoiler"]
SECRET = "unmentionableword"


@pytest.fixture(scope="module", params=ENGINES)
def server(
    request: pytest.FixtureRequest, archive_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    if request.param == "torchserve":
        request.getfixturevalue("java")
    folder = tmp_path_factory.mktemp(request.param) / "s"
    yield serve([archive_of("onnx-int8")], engine=request.param, workers="cpu:1", port=0, state_dir=folder)
    stop(folder)


@pytest.fixture
def fresh(server: Server, archive_of: Callable[[str], Path], run_folder: Path, tmp_path: Path) -> Iterator[str]:
    """A version of its own, which nobody has asked yet."""
    version = f"1.{time.monotonic_ns()}"
    mar = archive(run_folder, version=version, variant="onnx-int8", out=tmp_path)
    deploy(str(mar), state_dir=server.state_dir)
    yield version
    undeploy("topics", version, state_dir=server.state_dir)


def ask(server: Server, version: str, requests: list[list[str]]) -> None:
    with Client(state_dir=server.state_dir) as client:
        for texts in requests:
            client.predict("topics", texts, version=version)


def settled(server: Server, version: str, count: int, **options: Any) -> Drift:
    """What was counted, once so many texts were: TorchServe's workers tell once a second."""
    deadline = time.monotonic() + 30
    while (found := drift("topics", version, state_dir=server.state_dir, **options)).texts < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert found.texts == count
    return found


def collected(folder: Path, expected: dict[str, int], model: str, version: str | None = None) -> None:
    """Wait until these words were collected, with the requests that had them; they are told once a second."""
    deadline = time.monotonic() + 30
    while (found := {one.word: one.requests for one in words(model, version, state_dir=folder)[0]}) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def held_out(run: Run) -> list[str]:
    texts = [*run.held_out("validation").texts, *run.held_out("test").texts]
    random.Random(0).shuffle(texts)
    return texts


def measure(found: Drift, name: str) -> Any:
    return next(one for one in found.measures if one.name == name)


def test_the_held_out_texts_themselves_have_not_drifted(
    server: Server, fresh: str, run_folder: Path, trained_run: Run
) -> None:
    texts = held_out(trained_run)
    ask(server, fresh, [texts[first : first + 16] for first in range(0, len(texts), 16)])
    found = settled(server, fresh, len(texts))
    reference = read_evidence(run_folder).variant("onnx-int8").reference
    assert reference is not None
    assert (found.variant, found.reference_texts) == ("onnx-int8", reference["texts"])
    assert found.texts == reference["texts"]
    assert measure(found, "unknown").found == pytest.approx(reference["unknown_tokens"] / reference["tokens"])
    assert [one.name for one in found.measures] == ["unknown", "lengths", "labels", "confidence"]
    assert [one.index for one in found.measures] == [None, 0.0, 0.0, 0.0]
    assert found.drifted == []
    found.require()


def test_other_texts_have_and_the_command_exits_with_1(
    server: Server, fresh: str, capfd: pytest.CaptureFixture[str]
) -> None:
    ask(server, fresh, [[f"{SECRET} goal {NEW[number % 4]} team"] for number in range(120)])
    found = settled(server, fresh, 120)
    assert measure(found, "unknown").found == pytest.approx(0.5)
    assert {"unknown", "lengths", "labels"} <= set(found.drifted)
    assert found.labels["sport"][1] == 1.0
    with refused(RefusedError, "LX-SERVE-215", "topics", fresh, "unknown, lengths, labels"):
        found.require()
    given = ["topics", "--version", fresh, "--state-dir", str(server.state_dir)]
    capfd.readouterr()
    assert command_line(["drift", *given]) == 1
    out, err = capfd.readouterr()
    assert "drifted" in out
    assert "50.0%" in out
    assert "LX-SERVE-215" in err
    high = ["--max-unknown", "0.6", "--max-length-shift", "99", "--max-label-shift", "99"]
    assert command_line(["drift", *given, *high, "--max-confidence-shift", "99", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["drifted"], said["texts"]) == ([], 120)
    kept = [path for path in server.run_dir.rglob("*") if path.is_file() and "reports" in path.parts]
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []


def test_too_few_texts_are_not_judged(server: Server, fresh: str, capfd: pytest.CaptureFixture[str]) -> None:
    found = drift("topics", fresh, state_dir=server.state_dir)
    assert (found.texts, found.measures, found.enough) == (0, [], False)
    ask(server, fresh, [[SECRET]] * 99)
    assert settled(server, fresh, 99).drifted == []
    assert "unknown" in settled(server, fresh, 99, limits=Limits(least=99)).drifted
    given = ["drift", "topics", "--version", fresh, "--state-dir", str(server.state_dir)]
    assert command_line(given) == 0
    assert "not enough texts yet: 99 of 100; nothing is judged" in capfd.readouterr().out


def test_only_the_requests_of_a_time_can_be_judged(server: Server, fresh: str) -> None:
    ask(server, fresh, [[SECRET]] * 5)
    settled(server, fresh, 5)
    found = drift("topics", fresh, state_dir=server.state_dir, seconds=0.2, limits=Limits(least=1))
    assert (found.texts, found.seconds, found.drifted) == (0, 0.2, [])


def test_words_are_collected_listed_and_forgotten(
    server: Server, fresh: str, capfd: pytest.CaptureFixture[str]
) -> None:
    at = ["topics", "--version", fresh, "--state-dir", str(server.state_dir)]
    ask(server, fresh, [["streaming goal"]] * 6)
    assert command_line(["drift", *at, "--sample", "50"]) == 0
    ask(
        server,
        fresh,
        [["binge goal", "binge"]] * 5 + [["spoiler of anna@example.org ab12 goal"]] * 6 + [[SECRET]] * 4,
    )
    collected(server.state_dir, {"spoiler": 6, "binge": 5}, "topics", fresh)
    capfd.readouterr()
    assert command_line(["drift", *at, "--words"]) == 0
    out = capfd.readouterr().out
    assert "2 words that five requests or more had; at most 50 are collected" in out
    assert words_to_add("topics", fresh, state_dir=server.state_dir) == ["spoiler", "binge"]
    reports = [path for path in server.reports.iterdir() if SECRET.encode() in path.read_bytes()]
    assert reports == [], "fewer than five requests had it"
    assert command_line(["drift", *at, "--sample", "0"]) == 0
    ask(server, fresh, [["showrunner"]] * 9)
    assert command_line(["drift", *at, "--words", "--json"]) == 0
    assert [one["word"] for one in json.loads(capfd.readouterr().out.partition("\n")[2])["words"]] == [
        "spoiler",
        "binge",
    ]
    assert command_line(["drift", *at, "--forget"]) == 0
    assert words("topics", fresh, state_dir=server.state_dir) == ([], 0)
    assert list(server.reports.glob("*.words")) == []
    with refused(InputError, "LX-SERVE-218", "topics"):
        words_to_add("topics", fresh, state_dir=server.state_dir)


def test_what_is_forgotten_starts_again_from_nothing(server: Server, fresh: str) -> None:
    sample(50, "topics", fresh, state_dir=server.state_dir)
    ask(server, fresh, [["binge"]] * 5)
    collected(server.state_dir, {"binge": 5}, "topics", fresh)
    forget("topics", fresh, state_dir=server.state_dir)
    ask(server, fresh, [["binge"]] * 4 + [["spoiler"]] * 5)
    collected(server.state_dir, {"spoiler": 5}, "topics", fresh)


def workers(server: Server, version: str) -> set[int]:
    """The processes that answer a version and are ready."""
    [model] = [one for one in status(server.state_dir)["models"] if one["version"] == version]
    return {worker["pid"] for worker in model["workers"] if worker["state"] == "ready"}


def test_a_worker_that_is_started_again_goes_on_collecting(server: Server, fresh: str) -> None:
    sample(50, "topics", fresh, state_dir=server.state_dir)
    ask(server, fresh, [["binge"]] * 5)
    collected(server.state_dir, {"binge": 5}, "topics", fresh)
    [before] = workers(server, fresh)
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while not (now := workers(server, fresh)) or before in now:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ask(server, fresh, [["spoiler"]] * 5)
    collected(server.state_dir, {"binge": 5, "spoiler": 5}, "topics", fresh)


def test_python_does_the_same(server: Server, fresh: str) -> None:
    model = lexport.server(server.state_dir).model("topics", fresh)
    model.sample(10)
    ask(server, fresh, [["binge"]] * 7)
    collected(server.state_dir, {"binge": 7}, "topics", fresh)
    assert [one.word for one in model.words()] == ["binge"]
    settled(server, fresh, 7)
    assert model.drift(least=5).drifted[0] == "unknown"
    model.forget()
    assert model.words() == []
    model.sample(0)


def test_an_archive_of_an_earlier_lexport_has_no_reference(server: Server) -> None:
    deploy(str(KEPT), state_dir=server.state_dir)
    try:
        with refused(InputError, "LX-SERVE-212", "kept"):
            drift("kept", state_dir=server.state_dir)
        if server.engine == "torchserve":  # its own handler answers, which collects nothing
            with refused(InputError, "LX-SERVE-220", "kept"):
                sample(5, "kept", state_dir=server.state_dir)
    finally:
        undeploy("kept", state_dir=server.state_dir)


def test_what_is_not_served_or_cannot_be_is_refused(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    folder = server.state_dir
    with refused(InputError, "LX-SERVE-210", "reviews", "topics 1.0"):
        drift("reviews", state_dir=folder)
    with refused(InputError, "LX-SERVE-210", "topics 9.0"):
        drift("topics", "9.0", state_dir=folder)
    for limits in (Limits(unknown=1.5), Limits(labels=-0.1), Limits(lengths=float("nan"))):
        with refused(InputError, "LX-SERVE-214"):
            drift("topics", state_dir=folder, limits=limits)
    with refused(InputError, "LX-SERVE-216", "10,001"):
        sample(10_001, "topics", state_dir=folder)
    assert command_line(["drift", "--words", "--forget", "--state-dir", str(folder)]) == 2
    assert "LX-CLI-080" in capfd.readouterr().err
    with refused(SystemProblem, "LX-SERVE-056"):
        drift("topics", state_dir=folder.parent / "none")
    nowhere = replace(server, metrics_url="http://127.0.0.1:9")
    with refused(SystemProblem, "LX-SERVE-213", "http://127.0.0.1:9"):
        _read(nowhere)


@pytest.fixture(scope="module")
def several(
    task_archive: Callable[[str], Path], once: Once, tiny_csv: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A server of models of vectors, of several languages, and of hashed words."""

    def fill(folder: Path) -> None:
        run = train(str(tiny_csv), folder / "hashed", recipe=recipes.load("hashed").changed("training", epochs=1))
        export(run, choose("onnx-fp32"))
        archive(run.folder, version="1.0", variant="onnx-fp32", out=folder)

    hashed = once("drift-hashed", fill) / "hashed-1.0.mar"
    folder = tmp_path_factory.mktemp("several") / "s"
    archives = [task_archive("vector"), task_archive("languages"), hashed]
    serve(archives, engine="embedded", workers="cpu:1", port=0, state_dir=folder)
    yield folder
    stop(folder)


def test_a_model_of_vectors_has_lengths_and_unknown_tokens_to_compare(several: Path) -> None:
    with refused(InputError, "LX-SERVE-211", "hashed, languages, vector"):
        drift(state_dir=several)
    with Client(state_dir=several) as client:
        client.predict("vector", ["goal team"] * 3)
    found = drift("vector", state_dir=several, limits=Limits(least=1))
    assert [one.name for one in found.measures] == ["unknown", "lengths"]
    assert found.labels == {}


def test_a_model_of_several_languages_collects_words_of_each(several: Path) -> None:
    sample(10, "languages", state_dir=several)
    with Client(state_dir=several) as client:
        for _ in range(5):
            client.predict("languages", ["binge", "spoiler"], lang=["en", "ne"])
    collected(several, {"binge": 5, "spoiler": 5}, "languages")
    found, _ = words("languages", state_dir=several)
    assert {(one.word, one.language) for one in found} == {("binge", "en"), ("spoiler", "ne")}
    assert words_to_add("languages", language="ne", state_dir=several) == ["spoiler"]
    with refused(InputError, "LX-SERVE-218", "languages", "there are words of en, ne"):
        words_to_add("languages", state_dir=several)


def test_a_model_that_reads_words_by_hashes_collects_none(several: Path) -> None:
    with refused(InputError, "LX-SERVE-217", "hashed 1.0", "hashes"):
        sample(10, "hashed", state_dir=several)


def test_counters_that_began_again_are_no_difference() -> None:
    sums = dict.fromkeys(SUMS, 5)
    before = Texts(sums, [5], [5], {"sport": 5})
    assert _since(before, Texts(dict.fromkeys(SUMS, 7), [7], [7], {"sport": 5, "salt": 2}), "topics 1.0") == Texts(
        dict.fromkeys(SUMS, 2), [2], [2], {"sport": 0, "salt": 2}
    )
    with refused(SystemProblem, "LX-SERVE-219", "topics 1.0"):
        _since(before, Texts(dict.fromkeys(SUMS, 1), [1], [1], {"sport": 1}), "topics 1.0")
