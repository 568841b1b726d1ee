"""The real TorchServe, with archives of a few lines."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lexport.client.once import predict
from lexport.errors import InputError, SystemProblem
from lexport.serving import Server, running, serve, status, stop, wait
from lexport.serving import start as starting
from lexport.serving.settings import properties
from lexport.serving.settings.addresses import Address, addresses
from lexport.serving.settings.files import PACKAGED, read_settings
from lexport.serving.settings.ports import check_free, pick_free
from lexport.serving.state import read_token
from lexport.serving.torchserve import http as api
from lexport.serving.torchserve.java import LOG_SETTINGS, find_java

from ...refusals import refused

MakeArchive = Callable[..., Path]

LOCAL = "1.0.0+build.7"  # a local version of PEP 440: its + would be a blank in a query

pytestmark = pytest.mark.usefixtures("java")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, make_archive: MakeArchive) -> Iterator[Server]:
    """One server for all tests that only ask; its folder's name has a space and is not ASCII."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.unpack_archive(make_archive(folder, "alien", LOCAL, made_by_lexport=False), folder / "alien", "zip")
    archives = [make_archive(folder / "störe", "echo", "1.2"), folder / "alien"]  # a file and a folder
    own = folder / "own.properties"
    own.write_text("enable_model_api=true\n")
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C"
    try:
        server = serve(archives, workers="cpu:1", state_dir=folder / "my stäte", port=0, config=own, trust_code=True)
    finally:
        os.environ.pop("LC_ALL") if before is None else os.environ.update(LC_ALL=before)
    yield server
    if (server.state_dir / "server.json").exists():
        stop(server.state_dir)


def post(url: str, path: str, token: str, body: bytes | None = None) -> tuple[int, Any]:
    return api.request("POST", url, path, token=token, body=body)


def test_it_answers_in_order_with_its_share_of_the_cores(shared: Server) -> None:
    texts = ["zwei", "", "eins\0", "三"]
    answers = predict("echo", texts, state_dir=shared.state_dir)
    assert [answer["text"] for answer in answers] == texts
    assert {answer["threads"] for answer in answers} == {str(shared.threads)}
    assert {answer["omp"] for answer in answers} == {str(shared.threads)}
    assert predict("echo", ["x"], version="1.2", state_dir=shared.state_dir)[0]["text"] == "x"
    host = shared.inference_url.removeprefix("http://")
    keys = shared.state_dir / "key_file.json"
    assert predict("echo", ["x"], host=host, token_file=keys)[0]["text"] == "x"


def test_its_folder_and_keys_are_private(shared: Server) -> None:
    assert shared.state_dir.stat().st_mode & 0o777 == 0o700
    assert shared.run_dir.stat().st_mode & 0o777 == 0o700
    for name in ("key_file.json", "server.json"):
        assert (shared.state_dir / name).stat().st_mode & 0o777 == 0o600


def test_without_the_right_token_nothing_is_answered(shared: Server, tmp_path: Path) -> None:
    for token in ("", "wrong", shared.token("management")):
        code, answer = post(shared.inference_url, "/predictions/echo", token, b'{"texts": ["x"]}')
        assert (code, answer["type"]) == (400, "InvalidKeyException")
    for token in ("", "wrong", shared.token("inference")):
        code, _ = api.request("GET", shared.management_url, "/models", token=token)
        assert code == 400
    (tmp_path / "k.json").write_text('{"inference": {"key": "wrong"}}')
    with refused(SystemProblem, "LX-CLIENT-013"):
        predict("echo", ["x"], state_dir=shared.state_dir, token_file=tmp_path / "k.json")


def test_tokens_are_not_asked_for_where_the_settings_say_so(make_archive: MakeArchive, tmp_path: Path) -> None:
    config = tmp_path / "own.properties"
    config.write_text("disable_token_authorization=true\n")
    server = serve(
        [make_archive(tmp_path / "in", "open")],
        workers="cpu:1",
        state_dir=tmp_path / "state",
        port=0,
        config=config,
        trust_code=True,
    )
    try:
        assert not server.authorized
        assert api.request("GET", server.inference_url, "/ping", token="") == (200, {"status": "Healthy"})
        assert api.request("GET", server.management_url, "/models", token="")[0] == 200
    finally:
        stop(server.state_dir)


def test_the_keys_outlive_any_session(shared: Server) -> None:
    settings = properties.parse((shared.state_dir / "server.properties").read_text())
    assert int(settings["token_expiration_min"]) >= 9 * 365 * 24 * 60


def test_it_listens_on_the_loopback_interface_alone(shared: Server) -> None:
    listening = [
        connection.laddr.ip.removeprefix("::ffff:")
        for connection in psutil.Process(shared.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 5
    assert all(ipaddress.ip_address(address).is_loopback for address in listening)


@pytest.mark.parametrize("url", ["https://example.com/m.mar", "http://127.0.0.1:1/m.mar", "file:///etc/m.mar"])
def test_no_url_is_loaded_even_with_the_model_api_and_a_token(shared: Server, url: str) -> None:
    code, answer = post(shared.management_url, f"/models?url={url}", shared.token("management"))
    assert code == 404
    assert "does not match any allowed URL" in answer["message"]


def test_status_tells_models_workers_and_memory(shared: Server) -> None:
    facts = status(shared.state_dir)
    assert facts["healthy"] is True
    assert facts["pid"] == shared.pid
    assert facts["memory_bytes"] > 50_000_000
    models = {model["name"]: model for model in facts["models"]}
    assert {name: model["version"] for name, model in models.items()} == {"echo": "1.2", "alien": LOCAL}
    assert [model["default"] for model in models.values()] == [True, True]
    assert [model["queue_waiting"] for model in models.values()] == [0, 0]
    assert all(model["queue_free"] > 0 for model in models.values())
    [worker] = models["echo"]["workers"]
    assert (worker["state"], worker["device"]) == ("ready", "cpu")
    assert worker["memory_bytes"] > 50_000_000
    assert psutil.pid_exists(worker["pid"])
    assert running(shared.state_dir) == shared
    json.dumps(facts)


def test_a_local_version_is_asked_by_its_name(shared: Server) -> None:
    assert predict("alien", ["x"], version=LOCAL, state_dir=shared.state_dir)[0]["text"] == "x"
    for written in ("1.0.0+build.7", "1.0.0%2Bbuild.7"):
        found = post(shared.inference_url, f"/predictions/alien/{written}", shared.token(), b'{"texts": ["x"]}')
        assert found[0] == 200
    with refused(InputError, "LX-CLIENT-012", "alien", "1.0.0"):
        predict("alien", ["x"], version="1.0.0", state_dir=shared.state_dir)


def test_status_marks_the_version_that_answers_where_none_is_named(
    shared: Server, make_archive: MakeArchive, tmp_path: Path
) -> None:
    def manage(method: str, path: str) -> None:
        code, answer = api.request(method, shared.management_url, path, token=shared.token("management"))
        assert code == 200, answer

    def defaults() -> dict[str, bool]:
        models = status(shared.state_dir)["models"]
        return {model["version"]: model["default"] for model in models if model["name"] == "echo"}

    shutil.copy(make_archive(tmp_path, "echo", "1.3"), shared.state_dir / "store")
    manage("POST", "/models?url=echo-1.3.mar&initial_workers=0&synchronous=true")
    try:
        assert defaults() == {"1.2": True, "1.3": False}
        manage("PUT", "/models/echo/1.3/set-default")
        assert defaults() == {"1.2": False, "1.3": True}
    finally:
        manage("PUT", "/models/echo/1.2/set-default")
        manage("DELETE", "/models/echo/1.3")
    assert defaults() == {"1.2": True}


def test_refusals_name_what_is_known(shared: Server) -> None:
    with refused(InputError, "LX-CLIENT-012", "absent", "alien 1.0.0+build.7, echo 1.2"):
        predict("absent", ["x"], state_dir=shared.state_dir)
    with refused(InputError, "LX-CLIENT-011", 422, "Refused on purpose", "another text"):
        predict("echo", ["refuse me"], state_dir=shared.state_dir)
    with refused(SystemProblem, "LX-CLIENT-019", "echo", "1 texts", "dict"):
        predict("echo", ["no list"], state_dir=shared.state_dir)


def test_texts_are_not_logged(shared: Server) -> None:
    for name in ("echo", "alien", "absent"):
        try:
            predict(name, ["a very private sentence"], state_dir=shared.state_dir)
        except InputError:
            assert name == "absent"
    time.sleep(1)  # log lines are written by a thread of their own
    logs = {path.name: path.read_text() for path in shared.logs.iterdir()}
    assert {"java.log", "model_log.log", "ts_log.log"} <= set(logs)
    for text in logs.values():
        assert "private sentence" not in text
    assert "predictions/echo" not in "".join(logs.values())


def test_metrics_are_for_prometheus(shared: Server) -> None:
    code, text = api.request("GET", shared.metrics_url, "/metrics", token="")
    assert code == 200
    assert "ts_inference_requests_total" in text


def test_a_second_server_needs_its_own_folder(shared: Server, make_archive: MakeArchive, tmp_path: Path) -> None:
    with refused(SystemProblem, "LX-SERVE-051"):
        serve([make_archive(tmp_path, "echo")], state_dir=shared.state_dir, port=0, trust_code=True)
    assert status(shared.state_dir)["healthy"]


def test_a_port_in_use_is_said_before_anything_starts(make_archive: MakeArchive, tmp_path: Path) -> None:
    archive = make_archive(tmp_path, "echo")
    with socket.socket() as taken:
        while True:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            if port < 65000:
                break
        taken.listen()
        said: list[str] = []
        with refused(SystemProblem, "LX-SERVE-048", port, "management", "--port"):
            serve([archive], state_dir=tmp_path / "state", port=port - 1, trust_code=True, say=said.append)
    assert said == []
    assert [path.name for path in (tmp_path / "state").iterdir()] == [".lexport-state"]


@pytest.mark.long
def test_two_servers_side_by_side_and_nothing_left_of_the_stopped_one(
    shared: Server, make_archive: MakeArchive, tmp_path: Path, traces: Any
) -> None:
    folder = tmp_path / "state"
    for version in ("0.9", "0.10"):
        make_archive(tmp_path / "store", "second", version)
    said: list[str] = []
    server = serve(
        model_store=tmp_path / "store", workers="cpu:2", state_dir=folder, port=0, trust_code=True, say=said.append
    )
    assert server.models == {"second": "0.10"}
    assert server.workers == 2
    assert "second 0.10: its code may run: --trust-code." in said
    assert "second 0.10: worker 2 of 2 is ready, its goldens passed." in said
    assert len(traces.processes()) >= 3
    assert len(traces.folders()) == 1
    assert (server.run_dir / ".ts.sock.9000").exists()
    # Nothing can be registered with the packaged settings, token or not.
    assert post(server.management_url, "/models?url=second-0.9.mar", server.token("management"))[0] == 405
    assert predict("echo", ["x"], state_dir=shared.state_dir)
    assert predict("second", ["x"], state_dir=folder)

    stop(folder, say=said.append)
    assert "Stopped the server" in said[-1]
    assert traces.processes() == []
    assert traces.folders() == []
    assert sorted(path.name for path in folder.iterdir()) == [".lexport-state", "deployed.json", "logs"]
    for url in (server.inference_url, server.management_url, server.metrics_url):
        with pytest.raises(OSError, match="refused"):
            api.request("GET", url, "/ping", token="")
    with refused(SystemProblem, "LX-SERVE-056"):
        predict("second", ["x"], state_dir=folder)
    assert predict("echo", ["x"], state_dir=shared.state_dir)


def test_the_packaged_settings_work_with_plain_torchserve(
    make_archive: MakeArchive, tmp_path: Path, traces: Any
) -> None:
    make_archive(tmp_path / "model_store", "echo")
    endpoints = pick_free(addresses(read_settings(), 0))
    text = PACKAGED.read_text(encoding="utf-8")
    for purpose, port in (("inference", 8080), ("management", 8081), ("metrics", 8082)):
        text = text.replace(f":{port}\n", f":{endpoints[purpose].port}\n")  # others may use the real ones here
    (tmp_path / "config.properties").write_text(text)
    command = [sys.executable, "-m", "ts.model_server"]
    environment = os.environ | {"JAVA_HOME": str(find_java().path.parents[1]), "TEMP": str(traces.private)}
    start = [
        "--start",
        "--foreground",
        "--ncs",
        "--ts-config",
        "config.properties",
        "--log-config",
        str(LOG_SETTINGS),
    ]
    with subprocess.Popen(command + start, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as child:
        try:
            keys, deadline = tmp_path / "key_file.json", time.monotonic() + 60
            code = 0
            while code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.2)
                with contextlib.suppress(OSError, SystemProblem):
                    token = read_token(keys, "inference")
                    code, _ = post(endpoints["inference"].url, "/predictions/echo", token, b'{"texts": ["x"]}')
            assert post(endpoints["inference"].url, "/predictions/echo", "wrong", b"{}")[0] == 400
        finally:
            subprocess.run([*command, "--stop"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, check=True)
            child.wait(30)


def test_a_killed_frontend_is_started_again(make_archive: MakeArchive, tmp_path: Path, traces: Any) -> None:
    folder = tmp_path / "state"
    server = serve([make_archive(tmp_path, "echo")], workers="cpu:1", state_dir=folder, port=0, trust_code=True)
    [worker] = status(folder)["models"][0]["workers"]
    tokens = server.token(), server.token("management")
    psutil.Process(server.pid).kill()
    deadline = time.monotonic() + 90
    while True:
        with contextlib.suppress(SystemProblem, InputError):
            if not (facts := status(folder))["problems"] and facts["restarts"]:
                break
        assert time.monotonic() < deadline
        time.sleep(0.2)
    again = running(folder)
    # The same ports, the same tokens.
    assert (again.inference_url, again.supervisor) == (server.inference_url, server.supervisor)
    assert (again.token(), again.token("management")) == tokens
    assert predict("echo", ["x"], state_dir=folder)[0]["pid"] != worker["pid"]
    assert (facts["restarts"], facts["last_reason"]) == (1, "killed by signal 9 (Killed)")
    assert not psutil.pid_exists(worker["pid"])
    assert len(list(server.run_dir.glob("models/*"))) == 1  # what the first one extracted is gone

    # Waiting ends quietly when somebody stops the server.
    stopper = threading.Thread(target=stop, args=(folder,))
    stopper.start()
    wait(server)
    stopper.join()
    assert traces.processes() == []
    assert traces.folders() == []


@pytest.mark.long
def test_a_crash_is_noticed_and_cleared(make_archive: MakeArchive, tmp_path: Path, traces: Any) -> None:
    archive, folder = make_archive(tmp_path, "echo"), tmp_path / "state"
    server = serve([archive], workers="cpu:1", state_dir=folder, port=0, trust_code=True)
    psutil.Process(server.supervisor).kill()
    with refused(SystemProblem, "LX-SERVE-053", "supervisor was killed"):
        wait(server)
    assert traces.processes() == []
    assert traces.folders() == []

    # The next start clears a crash that nobody was waiting for, and keeps the crashed server's logs.
    server = serve([archive], workers="cpu:1", state_dir=folder, port=0, trust_code=True)
    psutil.Process(server.supervisor).kill()
    time.sleep(0.2)
    with refused(SystemProblem, "LX-SERVE-054"):
        status(folder)
    said: list[str] = []
    again = serve([archive], workers="cpu:1", state_dir=folder, port=0, trust_code=True, say=said.append)
    assert "ended unexpectedly" in said[0]
    assert traces.folders() == [again.run_dir]
    assert (folder / "logs.previous").is_dir()

    # Extracted models that somebody has cleared away are a problem before a worker needs them.
    assert status(folder)["problems"] == []
    for model in again.run_dir.glob("models/*"):
        shutil.rmtree(model)
    [problem] = status(folder)["problems"]
    assert "1 of 1 extracted models have disappeared" in problem
    stop(folder)
    assert traces.processes() == []
    assert traces.folders() == []


@pytest.mark.long
def test_of_two_starts_on_one_port_the_loser_says_so(
    make_archive: MakeArchive, tmp_path: Path, traces: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_archive(tmp_path, "echo")
    while True:
        port = min(pick_free(addresses(read_settings(), 0))["inference"].port, 65000)
        with contextlib.suppress(SystemProblem):
            check_free(addresses(read_settings(), port))  # the two that follow it, too
            break
    both_have_looked = threading.Barrier(2, timeout=60)

    def look(endpoints: dict[str, Address]) -> None:
        check_free(endpoints)
        both_have_looked.wait()

    monkeypatch.setattr(starting, "check_free", look)
    outcomes: list[Server | Exception] = []

    def start(folder: Path) -> None:
        try:
            outcomes.append(serve([archive], workers="cpu:1", state_dir=folder, port=port, trust_code=True))
        except Exception as error:
            outcomes.append(error)

    threads = [threading.Thread(target=start, args=(tmp_path / name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [problem] = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    [winner] = [outcome for outcome in outcomes if isinstance(outcome, Server)]
    assert isinstance(problem, SystemProblem)
    assert f"Port {port} (inference) is in use by java" in str(problem)
    assert predict("echo", ["x"], state_dir=winner.state_dir)
    stop(winner.state_dir)
    assert traces.processes() == []
    assert traces.folders() == []
