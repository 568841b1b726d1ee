"""Tokens are rotated while a server of either engine answers, and no request is lost."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from lexport.client import Client
from lexport.errors import InputError, RefusedError, SystemProblem
from lexport.serving import Server, check_ready, logs, running, serve, stop
from lexport.serving.folders import KEYS, NEXT_KEYS, locked
from lexport.serving.operations import rotate
from lexport.serving.tokens import generate, read_key_file
from lexport.serving.torchserve.http import request

from ...refusals import refused
from ..embedded.grpc.conftest import free_ports
from .conftest import Load, outcome

pytest.importorskip("grpc", reason='no grpcio: pip install "lexport[dev]"')

import grpc

from lexport.serving.embedded.grpc.messages import message

PING = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Ping"
LIST = "/org.pytorch.serve.grpc.management.ManagementAPIsService/ListModels"
LISTED = "org.pytorch.serve.grpc.management.ListModelsRequest"
TAKEN = {"inference": True, "management": True}
REFUSED = {"inference": False, "management": False}


@pytest.fixture(scope="module", params=["embedded", "torchserve"])
def served(
    request: pytest.FixtureRequest, version_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, int]]]:
    """The state folder of a server of one engine, and its gRPC ports by kind of token."""
    folder = tmp_path_factory.mktemp(request.param)
    ports = dict(zip(("inference", "management"), free_ports(), strict=True))
    config = folder / "own.properties"
    config.write_text("".join(f"grpc_{kind}_port={port}\n" for kind, port in ports.items()))
    serve([version_of("1.0")], engine=request.param, workers="cpu:1", port=0, state_dir=folder / "s", config=config)
    yield folder / "s", ports
    stop(folder / "s")


@pytest.fixture
def folder(served: tuple[Path, dict[str, int]]) -> Path:
    return served[0]


def tokens(folder: Path) -> dict[str, str]:
    return {kind: one.key for kind, one in read_key_file(folder / KEYS).items()}


def over_http(server: Server, given: dict[str, str]) -> dict[str, bool]:
    """Whether the tokens are taken, by kind."""
    # A model is asked twice: the embedded engine remembers what a request's head asks for.
    question: dict[str, Any] = {"token": given["inference"], "body": b'{"text": "sun"}'}
    first, second = [request("POST", server.inference_url, "/predictions/topics", **question)[0] for _ in range(2)]
    assert first == second
    managed, _ = request("GET", server.management_url, "/models", token=given["management"])
    statuses = {"inference": second, "management": managed}
    assert set(statuses.values()) <= {200, 400}
    return {kind: status == 200 for kind, status in statuses.items()}


def over_grpc(ports: dict[str, int], given: dict[str, str]) -> dict[str, bool]:
    calls = {"inference": (PING, b""), "management": (LIST, message(LISTED)().SerializeToString())}
    statuses = {kind: asked(ports[kind], call, body, given[kind]) for kind, (call, body) in calls.items()}
    assert set(statuses.values()) <= {grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED}
    return {kind: status == grpc.StatusCode.OK for kind, status in statuses.items()}


def asked(port: int, call: str, body: bytes, token: str) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: Any = channel.unary_unary(call)
        try:
            method(body, metadata=[("authorization", f"Bearer {token}")], timeout=30)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_former_tokens_are_taken_for_the_grace_period_and_then_refused(
    served: tuple[Path, dict[str, int]],
) -> None:
    folder, ports = served
    server, before = running(folder), tokens(folder)
    done = rotate(grace=4.0, state_dir=folder)
    end = time.monotonic() + 4.0
    after = tokens(folder)
    assert done.kinds == ("inference", "management")
    assert done.key_file == str(folder / KEYS)
    assert not set(after.values()) & set(before.values())
    assert over_http(server, after) == over_grpc(ports, after) == TAKEN
    assert over_http(server, before) == over_grpc(ports, before) == TAKEN
    assert time.monotonic() < end
    until(lambda: time.monotonic() > end)
    assert over_http(server, before) == over_grpc(ports, before) == REFUSED
    assert over_http(server, after) == over_grpc(ports, after) == TAKEN


def test_without_a_grace_period_the_former_tokens_are_refused_at_once(served: tuple[Path, dict[str, int]]) -> None:
    folder, ports = served
    server, before = running(folder), tokens(folder)
    said: list[str] = []
    rotate(grace=0, state_dir=folder, say=said.append)
    assert over_http(server, before) == over_grpc(ports, before) == REFUSED
    assert over_http(server, tokens(folder)) == over_grpc(ports, tokens(folder)) == TAKEN
    assert said == [
        f"The inference and the management tokens were rotated; the former ones are refused. New: {folder / KEYS}"
    ]


@pytest.mark.parametrize("kind", ["inference", "management"])
def test_one_kind_is_rotated_and_the_other_stays(folder: Path, kind: str) -> None:
    server, before = running(folder), tokens(folder)
    assert rotate(kind, grace=0, state_dir=folder).kinds == (kind,)
    after = tokens(folder)
    assert {one for one in before if before[one] != after[one]} == {kind}
    assert over_http(server, before) == {**TAKEN, kind: False}
    assert over_http(server, after) == TAKEN


def test_a_second_rotation_shortens_no_grace_period_of_the_first(folder: Path) -> None:
    server, first = running(folder), tokens(folder)
    rotate("inference", grace=60, state_dir=folder)
    second = tokens(folder)
    rotate("inference", grace=0, state_dir=folder)
    assert over_http(server, first) == TAKEN
    assert over_http(server, second) == {**TAKEN, "inference": False}


def test_no_request_of_an_older_token_is_lost_within_the_grace_period(folder: Path) -> None:
    server = running(folder)
    with Load(server, 8, "/predictions/topics") as load:  # each client reads the key file once
        for _ in range(5):
            rotate(grace=60, state_dir=folder)
    assert set(load.statuses) == {200}


def test_clients_that_read_the_key_file_go_on_without_a_grace_period(folder: Path) -> None:
    """The key file has a token that the server takes, at any moment."""
    ended, problems, counts = threading.Event(), [], []

    def ask() -> None:
        with Client(state_dir=folder) as client:
            while not ended.is_set():
                try:
                    client.predict("topics", ["sun and rain"])
                    counts.append(1)
                except Exception as error:
                    problems.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(counts) > 20)
    for _ in range(5):
        seen = len(counts)
        rotate(grace=0, state_dir=folder)
        until(lambda seen=seen: len(counts) > seen + 20 or bool(problems))  # type: ignore[misc]
    ended.set()
    for thread in threads:
        thread.join()
    assert problems == []


def test_the_key_file_is_replaced_and_only_its_owner_can_read_it(folder: Path) -> None:
    before = (folder / KEYS).stat()
    with (folder / KEYS).open() as opened:
        rotate(grace=0, state_dir=folder)
        assert json.load(opened)["inference"]["key"] != tokens(folder)["inference"]
    after = (folder / KEYS).stat()
    assert after.st_ino != before.st_ino
    assert stat.S_IMODE(after.st_mode) == 0o600
    assert not (folder / NEXT_KEYS).exists()


def test_new_tokens_hold_when_a_process_is_started_again(served: tuple[Path, dict[str, int]]) -> None:
    folder, ports = served
    server, refused_ones = running(folder), tokens(folder)
    rotate(grace=0, state_dir=folder)
    former = tokens(folder)
    rotate(grace=300, state_dir=folder)
    victim = server.pid
    if server.engine == "embedded":
        [victim] = [child.pid for child in psutil.Process(server.pid).children()]
    os.kill(victim, signal.SIGKILL)
    until(lambda: running(folder).restarts > server.restarts and outcome(lambda: check_ready(folder)) == "done")
    assert over_http(server, tokens(folder)) == over_grpc(ports, tokens(folder)) == TAKEN
    assert over_http(server, refused_ones) == over_grpc(ports, refused_ones) == REFUSED
    # A grace period that was promised is kept.
    assert over_http(server, former) == over_grpc(ports, former) == TAKEN


def test_tokens_may_be_given(folder: Path, tmp_path: Path) -> None:
    server, before, given = running(folder), tokens(folder), generate()
    path = tmp_path / "new.token"
    path.touch(mode=0o600)
    path.write_text(given.inference)
    rotate("inference", token_file=path, grace=0, state_dir=folder)
    assert tokens(folder) == {**before, "inference": given.inference}
    with refused(InputError, "LX-SERVE-235", "inference", path):
        rotate("inference", token_file=path, state_dir=folder)
    with refused(InputError, "LX-SERVE-234", path, "management"):
        rotate("management", token_file=path, state_dir=folder)
    path.write_text(before["management"])
    with refused(InputError, "LX-SERVE-236", path):
        rotate("inference", token_file=path, state_dir=folder)
    path.write_text("short")
    with refused(InputError, "LX-SERVE-033", "5 characters"):
        rotate("inference", token_file=path, state_dir=folder)
    path.write_text(json.dumps({"management": {"key": given.management}}))
    rotate("management", token_file=path, grace=0, state_dir=folder)
    assert tokens(folder) == vars(given)
    assert over_http(server, vars(given)) == TAKEN


def test_what_cannot_be_rotated_is_said(folder: Path) -> None:
    before = (folder / KEYS).read_bytes()
    with refused(InputError, "LX-SERVE-231", "-1"):
        rotate(grace=-1, state_dir=folder)
    with refused(InputError, "LX-SERVE-231", "nan"):
        rotate(grace=float("nan"), state_dir=folder)
    with refused(InputError, "LX-SERVE-233", "'api'", "inference, management or all"):
        rotate("api", state_dir=folder)
    with locked(folder):
        assert outcome(lambda: rotate(state_dir=folder)) == "LX-SERVE-013"
    assert (folder / KEYS).read_bytes() == before


def test_a_server_that_does_not_take_them_keeps_its_tokens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, before = running(folder), (folder / KEYS).read_bytes()
    monkeypatch.setattr("lexport.serving.operations.tokens.write_key_file", lambda path, _: path.write_text("{}"))
    with refused(SystemProblem, "LX-SERVE-172", "POST /lexport"):
        rotate(state_dir=folder)
    assert (folder / KEYS).read_bytes() == before
    assert not (folder / NEXT_KEYS).exists()
    assert over_http(server, tokens(folder)) == TAKEN


def test_the_logs_say_it_without_the_tokens(folder: Path) -> None:
    rotate("inference", grace=60, state_dir=folder)
    rotate("management", grace=0, state_dir=folder)
    used = tokens(folder)

    def changes() -> list[str]:
        return [entry.line for entry in logs(folder) if entry.kind == "change" and "token" in entry.line][-2:]

    until(lambda: len(changes()) == 2 and changes()[1] == "The management token was rotated.")
    assert changes()[0].startswith("The inference token was rotated; the one before it is taken until 20")
    written = "".join(path.read_text() for path in (folder / "logs").iterdir())
    assert not any(token in written for token in used.values())


@pytest.mark.parametrize("engine", ["embedded", "torchserve"])
def test_a_server_without_tokens_has_none_to_rotate(
    engine: str, version_of: Callable[[str], Path], tmp_path: Path
) -> None:
    config, folder = tmp_path / "own.properties", tmp_path / "s"
    config.write_text("disable_token_authorization=true\n")
    server = serve(
        [version_of("1.0")], engine=engine, workers="cpu:1", port=0, state_dir=folder, config=config, trust_code=True
    )
    try:
        with refused(RefusedError, "LX-SERVE-232", server.inference_url, "disable_token_authorization"):
            rotate(state_dir=folder)
        assert httpx.post(f"{server.management_url}/lexport?rotate", trust_env=False).status_code >= 400
    finally:
        stop(folder)
