"""`lexport serve --engine ray` on real Ray clusters: what operations do, and what happens when processes die."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lexport.client.once import predict
from lexport.errors import LexportError, SystemProblem
from lexport.loadtest.runner import loadtest
from lexport.loadtest.targets import Endpoint
from lexport.serving import running, serve, state, status, stop
from lexport.serving.canary.rule import Rule
from lexport.serving.canary.run import canary
from lexport.serving.canary.verdict import Limits
from lexport.serving.operations import deploy, promote, rollback, rotate, scale, undeploy
from lexport.serving.process import members
from lexport.serving.ray.environment import LOOPBACK
from lexport.serving.record import load
from lexport.serving.state import Server

from ...refusals import refused
from .conftest import Load, ask, until

pytest.importorskip("ray", reason="clusters need the extra ray")
pytestmark = pytest.mark.long


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def server(nodes: Any, port: int, paths: list[Path], state_dir: Path) -> Iterator[Server]:
    """Version 1.0 of `topics` on the cluster."""
    found = serve([paths[0]], engine="ray", address=nodes.address, port=port, state_dir=state_dir)
    yield found
    if state.load(state_dir) is not None:  # else a test has stopped it
        stop(state_dir)


def answer(server: Server, path: str = "/predictions/topics") -> int:
    return ask(server.inference_url, path, authorization=f"Bearer {server.token()}")[0]


def test_a_model_is_served_on_a_cluster(server: Server, state_dir: Path) -> None:
    [found] = predict("topics", ["goal rain"], state_dir=state_dir)
    assert found["label"]
    assert ask(server.inference_url, "/predictions/topics")[0] == 400  # without the token
    shown = status(state_dir)
    assert (shown["healthy"], shown["problems"], shown["engine"]) == (True, [], "ray")
    assert shown["cluster"] == server.cluster != ""
    [model] = shown["models"]
    assert (model["name"], model["version"], model["default"]) == ("topics", "1.0", True)
    [worker] = model["workers"]
    assert (worker["state"], worker["node"]) == ("ready", LOOPBACK)


def test_versions_come_and_go_and_the_default_changes(server: Server, paths: list[Path], state_dir: Path) -> None:
    deploy(paths[1], state_dir=state_dir)
    assert answer(server, "/predictions/topics/2.0") == 200
    assert running(state_dir).models == {"topics": "1.0"}
    promote("topics", "2.0", state_dir=state_dir)
    assert running(state_dir).models == {"topics": "2.0"}
    rollback("topics", state_dir=state_dir)
    assert running(state_dir).models == {"topics": "1.0"}
    undeploy("topics", "2.0", state_dir=state_dir)
    assert answer(server, "/predictions/topics/2.0") == 404
    assert answer(server) == 200


def test_a_version_is_scaled_while_requests_are_answered(server: Server, state_dir: Path) -> None:
    with Load(server.inference_url, "/predictions/topics", clients=2, token=server.token()) as load:
        scale("topics", 3, state_dir=state_dir)
        assert len(status(state_dir)["models"][0]["workers"]) == 3
        scale("topics", 1, state_dir=state_dir)
        until(lambda: len(status(state_dir)["models"][0]["workers"]) == 1)
    assert set(load.outcomes) == {"200"}
    assert running(state_dir).workers == 1


def test_replicas_come_with_the_load_and_go_after_it(
    nodes: Any, port: int, paths: list[Path], state_dir: Path
) -> None:
    server = serve([paths[0]], engine="ray", address=nodes.address, port=port, replicas="1-2", state_dir=state_dir)

    def replicas() -> int:
        return len(status(state_dir)["models"][0]["workers"])

    try:
        assert replicas() == 1
        with Load(server.inference_url, "/predictions/topics", clients=16, token=server.token()) as load:
            until(lambda: replicas() == 2, 120.0)
        assert set(load.outcomes) == {"200"}
        until(lambda: replicas() == 1, 120.0)
    finally:
        stop(state_dir)


def test_a_load_test_measures_it(server: Server) -> None:
    endpoint = Endpoint(server.inference_url, "topics", server.token())
    report = loadtest(endpoint=endpoint, users=[4], duration=3.0, warmup=1.0)
    [row] = report.rows
    assert row.answered > 100
    assert row.failures == 0


def test_a_canary_is_counted_over_all_replicas_and_promoted(
    server: Server, paths: list[Path], state_dir: Path
) -> None:
    deploy(paths[1], state_dir=state_dir)
    scale("topics", 2, state_dir=state_dir)
    with Load(server.inference_url, "/predictions/topics", clients=2, token=server.token()):
        result = canary(
            Rule("topics", "2.0", 0.5),
            Limits(latency=50.0, least=700),
            promoted=True,
            seconds=60.0,
            state_dir=state_dir,
        )
    assert result.verdict.state == "passed", result.to_json()
    assert result.promoted
    assert result.share == pytest.approx(0.5, abs=0.1)
    assert running(state_dir).models == {"topics": "2.0"}


def test_figures_are_those_of_all_replicas(server: Server, state_dir: Path) -> None:
    scale("topics", 2, state_dir=state_dir)
    before = status(state_dir)["models"][0]["requests"] or 0
    for _ in range(20):
        assert answer(server) == 200
    until(lambda: status(state_dir)["models"][0]["requests"] == before + 20, 15.0)


def test_tokens_are_rotated_in_all_replicas(server: Server, state_dir: Path) -> None:
    former = server.token()
    rotate("inference", grace=0.0, state_dir=state_dir)
    assert answer(server) == 200
    assert ask(server.inference_url, "/predictions/topics", authorization=f"Bearer {former}")[0] == 400


def test_an_archive_that_fails_leaves_the_server_as_it_was(
    server: Server, paths: list[Path], state_dir: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "topics-2.0.mar"
    content = bytearray(paths[1].read_bytes())
    content[len(content) // 2] ^= 1
    broken.write_bytes(content)
    with pytest.raises(LexportError):
        deploy(broken, state_dir=state_dir)
    assert answer(server) == 200
    assert [one["version"] for one in status(state_dir)["models"]] == ["1.0"]


def test_stop_takes_the_models_from_the_cluster(server: Server, nodes: Any, state_dir: Path) -> None:
    stop(state_dir)
    assert members(server.id) == []
    assert not answers(server)
    with refused(SystemProblem, "LX-SERVE-056"):
        running(state_dir)


def test_requests_are_answered_without_a_supervisor_and_another_one_takes_over(
    server: Server, nodes: Any, port: int, paths: list[Path], state_dir: Path
) -> None:
    token_file = state_dir.parent / "token"
    token_file.write_text(server.token())
    token_file.chmod(0o600)
    with Load(server.inference_url, "/predictions/topics", clients=2, token=server.token()) as load:
        os.kill(server.supervisor, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(server.supervisor) or not members(server.id), 20.0)
        time.sleep(2.0)
        again = serve(
            [paths[0]],
            engine="ray",
            address=nodes.address,
            port=port,
            state_dir=state_dir,
            token_file=token_file,
        )
        time.sleep(1.0)
    assert set(load.outcomes) == {"200"}, load.outcomes
    assert again.id != server.id
    assert status(state_dir)["problems"] == []


def test_stop_takes_the_models_from_the_cluster_though_the_supervisor_was_killed(
    server: Server, state_dir: Path
) -> None:
    os.kill(server.supervisor, signal.SIGKILL)
    until(lambda: not members(server.id), 20.0)
    assert answer(server) == 200
    stop(state_dir)
    assert not answers(server)


def answers(server: Server) -> bool:
    """Whether a model answers, or says that it wants a token."""
    try:
        return ask(server.inference_url, "/predictions/topics")[0] in (200, 400)
    except OSError:
        return False


def test_what_was_served_is_served_again_at_the_same_cluster(
    server: Server, port: int, paths: list[Path], state_dir: Path
) -> None:
    from lexport.serving.operations import serve_again

    deploy(paths[1], state_dir=state_dir)
    stop(state_dir)
    again = serve_again(state_dir=state_dir, port=port)
    assert (again.engine, again.cluster) == ("ray", server.cluster)
    record = load(state_dir)
    assert record is not None
    assert sorted(one.version for one in record.versions) == ["1.0", "2.0"]


def test_an_unknown_address_is_said_within_seconds(paths: list[Path], state_dir: Path) -> None:
    began = time.monotonic()
    with refused(SystemProblem, "LX-RAY-161", "127.0.0.1:9"):
        serve([paths[0]], engine="ray", address="127.0.0.1:9", port=0, state_dir=state_dir)
    assert time.monotonic() - began < 30.0
    with refused(SystemProblem, "LX-SERVE-056"):
        running(state_dir)


def test_a_cluster_of_this_machine_ends_with_its_server(paths: list[Path], state_dir: Path) -> None:
    server = serve([paths[0]], engine="ray", port=0, workers="cpu:2", state_dir=state_dir)
    assert (server.cluster, server.workers) == ("", 2)
    [found] = predict("topics", ["goal rain"], state_dir=state_dir)
    assert found["label"]
    assert len(status(state_dir)["models"][0]["workers"]) == 2
    stop(state_dir)
    assert members(server.id) == []
