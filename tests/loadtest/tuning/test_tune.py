"""The search on real servers, with tiny budgets: what is served is what was asked for, and every run is kept."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lexport import serving
from lexport.errors import InputError, RefusedError
from lexport.export.archive.trust.rule import Trust
from lexport.export.archive.verify import verify
from lexport.loadtest.locust_process import Load
from lexport.loadtest.targets import subjects
from lexport.loadtest.tuning import measuring
from lexport.loadtest.tuning.command import tune_named
from lexport.loadtest.tuning.servers import Servers
from lexport.loadtest.tuning.settings import tunable_of
from lexport.loadtest.tuning.space import TORCHSERVE_OWN, Candidate
from lexport.loadtest.tuning.trials import Task, Trial
from lexport.loadtest.tuning.tune import tune
from lexport.serving.state import Server

from ...json_schema import problems
from ...refusals import refused
from ..conftest import HANDLER, make_archive

pytestmark = pytest.mark.long  # servers are started and loaded again and again

TINY: dict[str, Any] = {"slo": ["p99=5s"], "budget": 10.0, "users": (2, 4), "engines": ("embedded",)}
SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"
WARMING = Load(2, 0.0, 0.5, None, 0.0, 0)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Server]:
    """Every server that a search starts."""
    found: list[Server] = []
    start = serving.serve

    def noted(*args: Any, **options: Any) -> Server:
        found.append(start(*args, **options))
        return found[-1]

    monkeypatch.setattr(serving, "serve", noted)
    return found


def test_a_search_ends_with_a_winner_its_command_and_every_run_in_the_journal(
    archive_of: Callable[[str], Path], tmp_path: Path, scratch: Path, kept: list[Server]
) -> None:
    path, out = archive_of("onnx-fp32"), tmp_path / "out"
    said: list[str] = []
    report = tune([path], **TINY, start="engine=embedded,batch=1,workers=1", need=1e9, out=out, say=said.append)
    default, start, *_ = report.outcome.finalists
    assert str(default.candidate).startswith("topics-1.0 on embedded cpu:")
    assert (start.candidate.batch_size, start.candidate.workers) == (1, 1)
    assert all(len(one.trials) >= 3 for one in report.outcome.finalists)
    assert report.winner in [one.candidate for one in report.outcome.finalists]
    assert report.commands[-1].startswith("lexport serve ")
    assert f"--engine embedded --workers {report.winner.worker_set}" in report.commands[-1]
    journal = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    assert [Trial.parse(line) for line in journal[1:]] == list(report.trials)
    assert all(trial.requests_per_second > 0 and trial.failure_share == 0 for trial in report.trials)
    written = json.loads((out / "tune.json").read_text())
    assert written["winner"]["engine"] == "embedded"
    assert problems(json.loads((SCHEMAS / "tune.schema.json").read_text()), written) == []
    assert list(scratch.iterdir()) == []
    assert sum(" left · " in line or "used up · " in line for line in said) == len(report.trials)
    # The same again measures nothing and starts no server.
    count = len(kept)
    again = tune([path], **TINY, start="engine=embedded,batch=1,workers=1", need=1e9, out=out)
    assert len(kept) == count
    assert (again.trials, again.outcome, again.front) == (report.trials, report.outcome, report.front)


def test_another_archive_or_objective_does_not_go_on_with_what_was_measured(
    archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    tune([archive_of("onnx-fp32")], **TINY, out=out)
    with refused(InputError, "LX-LOAD-136", "archives", "--force"):
        tune([archive_of("onnx-int8")], **TINY, out=out)
    with refused(InputError, "LX-LOAD-136", "objectives", "5000 ms", "9000 ms", "--force"):
        tune([archive_of("onnx-fp32")], **TINY | {"slo": ["p99=9s"]}, out=out)


def test_ctrl_c_keeps_what_was_measured_and_leaves_no_server(
    archive_of: Callable[[str], Path], tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, out = measuring.Measuring.__call__, tmp_path / "out"
    said: list[str] = []

    def pressed(self: measuring.Measuring, task: Task) -> Trial:
        trial = run(self, task)
        if task.stage == "final":
            os.kill(os.getpid(), signal.SIGINT)
        return trial

    monkeypatch.setattr(measuring.Measuring, "__call__", pressed)
    with pytest.raises(KeyboardInterrupt):
        tune([archive_of("onnx-fp32")], **TINY, out=out, say=said.append)
    assert "the same command goes on from there" in said[-1]
    assert list(scratch.iterdir()) == []
    lines = (out / "journal.jsonl").read_text().splitlines()
    assert len(lines) >= 2
    assert not (out / "tune.json").exists()
    monkeypatch.undo()
    report = tune([archive_of("onnx-fp32")], **TINY, out=out)
    assert (out / "journal.jsonl").read_text().splitlines()[: len(lines)] == lines
    assert report.winner.engine == "embedded"


def test_where_nothing_meets_the_objectives_the_nearest_is_named(
    archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    with refused(RefusedError, "LX-LOAD-145", "p99 <= 0.001 ms", "topics-1.0 on embedded", "was") as caught:
        tune([archive_of("onnx-fp32")], **TINY | {"slo": ["p99=0.001ms"]}, out=tmp_path / "out")
    assert caught.value.exit_code == 1


def test_every_passing_variant_of_a_run_is_tried_and_the_usual_one_is_the_default(
    run_folder: Path, tmp_path: Path
) -> None:
    report = tune_named(str(run_folder), **TINY | {"budget": 40.0}, out=tmp_path / "out")
    variants = {trial.task.candidate.archive.removeprefix("topics.") for trial in report.trials}
    assert len(variants) > 1
    assert report.commands[0].startswith(f"lexport archive {run_folder} --version 1.0 --variant ")
    assert report.file is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"slo": []}, ("LX-LOAD-141", "p99=20ms")),
        ({"slo": ["rps>=5"]}, ("LX-LOAD-141", "rps>=5")),
        ({"users": (1,), "rates": (5.0,)}, ("LX-LOAD-142", "--users", "--rate")),
        ({"budget": 5.0}, ("LX-LOAD-143", "--budget 5", "10 s")),
        ({"budget": float("inf")}, ("LX-LOAD-143", "--budget inf")),
        ({"users": (0,)}, ("LX-LOAD-023", "--users 0")),
        ({"engines": ("triton",)}, ("LX-SERVE-103", "triton")),
        ({"need": 0.0}, ("LX-LOAD-132", "--need 0")),
        ({"start": "workers=none"}, ("LX-LOAD-137", "workers=none")),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(
    archive_of: Callable[[str], Path], tmp_path: Path, options: dict[str, Any], error: tuple[str, ...]
) -> None:
    with refused(InputError, *error):
        tune([archive_of("onnx-fp32")], **TINY | options, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_of_others_is_not_for_the_embedded_engine(tmp_path: Path) -> None:
    with refused(InputError, "LX-LOAD-140", "embedded", "films-1.0", "--engines torchserve"):
        tune([make_archive(tmp_path / "films-1.0.mar")], **TINY, out=tmp_path / "out")


def served(open_servers: Servers, candidate: Candidate, seen: list[Server]) -> dict[str, Any]:
    """The model as the server of a candidate describes it."""
    target = open_servers.target(candidate)
    server = next(one for one in seen if one.id == target.server)
    [model] = serving.status(server.state_dir)["models"]
    return {"id": target.server, **model}


@pytest.mark.parametrize("engine", ["embedded", "torchserve"])
def test_a_server_has_the_settings_of_its_candidate_and_is_scaled_while_it_runs(
    archive_of: Callable[[str], Path], tmp_path: Path, scratch: Path, kept: list[Server], engine: str
) -> None:
    [subject] = subjects([archive_of("onnx-fp32")])
    tested = {subject.label: tunable_of(subject, (engine,))}
    delay = 5 if engine == "torchserve" else 0
    first = Candidate(engine, subject.label, 1, None, 8, delay)
    several = Servers(tested, Trust.of((), False), tmp_path, WARMING, most=1, scaled=True)
    try:
        found = served(several, first, kept)
        assert (found["batch_size"], len(found["workers"])) == (8, 1)
        if engine == "torchserve":
            assert found["max_batch_delay_ms"] == 5
        again = served(several, Candidate(engine, subject.label, 2, None, 8, delay), kept)
        assert (again["id"], len(again["workers"])) == (found["id"], 2)
        other = served(several, Candidate(engine, subject.label, 1, 1, 64, delay and 1), kept)
        assert (other["batch_size"], len(other["workers"])) == (64, 1)
        assert [worker["threads"] for worker in other["workers"]] == [1]
        assert other["id"] != found["id"]
    finally:
        several.close()
    assert list(scratch.iterdir()) == []


def test_an_archive_of_others_is_given_its_batches_by_a_file_of_settings(
    tmp_path: Path, scratch: Path, kept: list[Server]
) -> None:
    [subject] = subjects([make_archive(tmp_path / "films-1.0.mar", handler=HANDLER)])
    tested = {subject.label: tunable_of(subject, ("torchserve",))}
    one = Servers(tested, Trust.of((), True), tmp_path, WARMING, most=1, scaled=True)
    own = TORCHSERVE_OWN
    try:
        found = served(one, Candidate("torchserve", subject.label, 1, None, 8, 5), kept)
        default = served(one, Candidate("torchserve", subject.label, 1, None, own.size, own.delay), kept)
    finally:
        one.close()
    assert (found["batch_size"], found["max_batch_delay_ms"]) == (8, 5)
    # Nothing was set here: what TorchServe takes by itself is what the search takes for its defaults.
    assert (default["batch_size"], default["max_batch_delay_ms"]) == (own.size, own.delay) == (1, 100)


def test_a_search_over_both_engines_from_a_poor_start(archive_of: Callable[[str], Path], tmp_path: Path) -> None:
    path, out = archive_of("onnx-fp32"), tmp_path / "out"
    report = tune(
        [path],
        slo=["p99=5s"],
        budget=240.0,
        users=(16,),
        start="engine=torchserve,workers=4,batch=1,delay=100",
        out=out,
    )
    assert {trial.task.candidate.engine for trial in report.trials} == {"torchserve", "embedded"}
    default, start, *others = report.outcome.finalists
    assert (default.candidate.engine, start.candidate.batch_delay) == ("torchserve", 100)
    assert others
    if report.file is not None:
        assert verify(out / report.file).version == "1.0"
