"""The embedded engine's server: real processes, started, asked, killed, scaled and stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

import lexport
from lexport.client import Client
from lexport.client.once import predict
from lexport.errors import InputError, RefusedError, SystemProblem
from lexport.export.archive.pack import archive
from lexport.serving import Server, check_live, check_ready, running, serve, status, stop
from lexport.serving.embedded.processes.pool import LOOKED_EVERY
from lexport.serving.process import is_alive
from lexport.serving.torchserve.http import request

from ...refusals import refused
from ...trust_cases import repacked
from ..conftest import MakeArchive, Traces

Start = Callable[..., Server]


@pytest.fixture(scope="module")
def shared(archive_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two processes. Tests only ask it."""
    folder = tmp_path_factory.mktemp("embedded") / "state"
    server = serve([archive_of("onnx-int8")], engine="embedded", workers="cpu:2", port=0, state_dir=folder)
    yield server
    stop(folder)


@pytest.fixture
def start(archive_of: Callable[[str], Path], tmp_path: Path) -> Iterator[Start]:
    """Start a server in `tmp_path / "state"`, which is stopped in the end."""
    folder = tmp_path / "state"

    def begin(*archives: Path, **options: Any) -> Server:
        chosen = archives or (archive_of("onnx-int8"),)
        return serve(chosen, **{"engine": "embedded", "port": 0, "state_dir": folder, **options})

    yield begin
    if (folder / "server.json").exists():
        stop(folder)


def ask(server: Server, text: str = "goal rain", name: str = "topics") -> tuple[int, Any]:
    body = json.dumps({"text": text}).encode()
    return request("POST", server.inference_url, f"/predictions/{name}", token=server.token(), body=body)


def managed(server: Server, method: str, path: str) -> tuple[int, Any]:
    return request(method, server.management_url, path, token=server.token("management"))


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def workers_of(server: Server) -> list[psutil.Process]:
    return psutil.Process(server.supervisor).children()


def test_it_answers_what_the_archive_answers_in_process(shared: Server, archive_of: Callable[[str], Path]) -> None:
    texts = ["goal rain", "", "oven rare7 flour", "Ω≈ç√∫˜µ", "wind " * 2_000]
    with lexport.load(archive_of("onnx-int8")) as model:
        expected = model.predict(texts)
    with Client(state_dir=shared.state_dir) as client:
        assert client.predict("topics", texts) == expected


def test_it_is_described_as_a_server_of_torchserve_is(shared: Server) -> None:
    found = status(shared.state_dir)
    [model] = found["models"]
    assert found["healthy"]
    assert found["problems"] == []
    assert (model["name"], model["version"], model["default"]) == ("topics", "1.0", True)
    assert sorted(one["pid"] for one in model["workers"]) == sorted(one.pid for one in workers_of(shared))
    assert {one["state"] for one in model["workers"]} == {"ready"}
    assert all(one["memory_bytes"] > 10_000_000 for one in model["workers"])
    check_live(shared.state_dir)
    check_ready(shared.state_dir)


def test_its_processes_share_the_port_and_import_no_torch(shared: Server) -> None:
    pids = {worker.pid for worker in workers_of(shared)}
    answered = {pid for _ in range(60) for pid in [_answering(shared, pids)] if pid}
    assert answered == pids
    for worker in workers_of(shared):
        mapped = {Path(one.path).name for one in worker.memory_maps()}
        assert not [name for name in mapped if name.startswith("libtorch")]


def _answering(server: Server, pids: set[int]) -> int | None:
    """The process that a new connection has come to."""
    where = urlsplit(server.inference_url)
    with socket.create_connection((str(where.hostname), int(where.port or 0))) as client:
        client.sendall(
            b"GET /ping HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + server.token().encode() + b"\r\n\r\n"
        )
        client.recv(1_000)
        own = client.getsockname()
        for pid in pids:
            for one in psutil.Process(pid).net_connections("tcp4"):
                if one.raddr and tuple(one.raddr) == own:
                    return pid
    return None


def test_tokens_are_asked_for_at_both_addresses_and_no_file_is_others_to_read(shared: Server) -> None:
    for url, path in ((shared.inference_url, "/predictions/topics"), (shared.management_url, "/models")):
        for token in ("", "wrong", shared.token("management" if url == shared.inference_url else "inference")):
            found, value = request("GET", url, path, token=token)
            assert (found, value["type"]) == (400, "InvalidKeyException")
    for file in shared.state_dir.rglob("*"):
        if file.name in ("key_file.json", "server.json") or file.name.startswith("access_log"):
            assert file.stat().st_mode & 0o077 == 0
    assert shared.state_dir.stat().st_mode & 0o777 == 0o700


def counted(server: Server, name: str) -> float:
    text = httpx.get(f"{server.metrics_url}/metrics", params={"name[]": name}, trust_env=False).text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def test_metrics_are_added_up_over_the_processes_and_need_no_token(shared: Server) -> None:
    before = counted(shared, "ts_inference_requests_total")
    for _ in range(20):  # over connections of their own: both processes get some
        assert ask(shared)[0] == 200
    assert counted(shared, "ts_inference_requests_total") == before + 20
    assert counted(shared, "lexport_workers") == 2
    whole = httpx.get(f"{shared.metrics_url}/metrics", trust_env=False).text
    assert 'lexport_request_seconds_bucket{ModelName="topics",ModelVersion="1.0",Hostname=' in whole
    assert "lexport_batch_requests_sum" in whole


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep open files in another way")
def test_the_table_of_open_files_need_not_grow_under_load(shared: Server) -> None:
    for worker in workers_of(shared):
        found = re.search(r"FDSize:\s+(\d+)", Path(f"/proc/{worker.pid}/status").read_text())
        assert found is not None
        assert int(found[1]) >= min(worker.rlimit(psutil.RLIMIT_NOFILE)[0], 4_220)


def test_the_access_log_has_a_line_for_each_request_and_no_text(shared: Server) -> None:
    body = b'{"text": "confidential words"}'
    headers = {"Authorization": f"Bearer {shared.token()}", "X-Request-Id": "order-4711"}
    url = f"{shared.inference_url}/predictions/topics"
    answer = httpx.post(url, content=body, headers=headers, trust_env=False)
    assert answer.headers["x-request-id"] == "order-4711"
    logs = shared.state_dir / "logs"

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for path in logs.glob("access_log.*") for line in path.read_text().splitlines()]

    until(lambda: [line for line in lines() if line["id"] == "order-4711"])
    [line] = [line for line in lines() if line["id"] == "order-4711"]
    assert (line["model"], line["version"], line["status"]) == ("topics", "1.0", 200)
    assert line["bytes"] == len(answer.content)
    assert 0 < line["ms"] < 60_000
    httpx.post(url, content=body, headers={"X-Request-Id": "order-4712"}, trust_env=False)
    httpx.post(f"{url}x", content=body, headers=headers | {"X-Request-Id": "order-4713"}, trust_env=False)
    until(lambda: [line for line in lines() if line["id"] == "order-4713"])
    errors = {line["id"]: (line["status"], line["error"]) for line in lines() if "error" in line}
    assert errors["order-4712"] == (400, "InvalidKeyException")
    assert errors["order-4713"] == (404, "ModelNotFoundException")
    assert not any("confidential" in path.read_text() for path in logs.iterdir())


def test_what_cannot_be_read_has_an_id_and_a_line_in_the_access_log(shared: Server) -> None:
    address = httpx.URL(shared.inference_url)
    with socket.create_connection((address.host, address.port or 80), 10) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        head = client.makefile("rb").read().decode()
    identity = re.search(r"x-request-id: (\S+)", head)
    assert identity is not None
    logs = shared.state_dir / "logs"
    until(lambda: any(identity[1] in path.read_text() for path in logs.glob("access_log.*")))
    [line] = [
        json.loads(line)
        for path in logs.glob("access_log.*")
        for line in path.read_text().splitlines()
        if identity[1] in line
    ]
    assert (line["status"], line["error"]) == (400, "LX-HTTP-102")


def test_the_management_address_has_an_access_log_of_its_own(shared: Server) -> None:
    headers = {"Authorization": f"Bearer {shared.token('management')}"}
    with httpx.Client(base_url=shared.management_url, trust_env=False) as client:
        described = client.get("/models/topics", headers=headers | {"X-Request-Id": "look-1"})
        client.get("/models/none", headers=headers | {"X-Request-Id": "look-2"})
        client.put("/models/topics?min_worker=0", headers={"X-Request-Id": "look-3"})
        client.post("/models", headers={"X-Request-Id": "look-4"}, content=b"{}")
    file = shared.logs / "access_log.management.jsonl"
    until(lambda: file.exists() and "look-4" in file.read_text())
    assert file.stat().st_mode & 0o077 == 0
    lines = {line["id"]: line for line in map(json.loads, file.read_text().splitlines())}
    assert lines["look-1"].keys() == {"time", "id", "status", "bytes"}
    assert (lines["look-1"]["status"], lines["look-1"]["bytes"]) == (200, len(described.content))
    told = {name: (line["status"], line.get("error")) for name, line in lines.items() if name.startswith("look-")}
    assert told == {
        "look-1": (200, None),
        "look-2": (404, "ModelNotFoundException"),
        "look-3": (400, "InvalidKeyException"),
        "look-4": (400, "InvalidKeyException"),
    }
    where = urlsplit(shared.management_url)
    with socket.create_connection((str(where.hostname), int(where.port or 0)), 10) as other:
        other.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert other.recv(1_000).startswith(b"HTTP/1.1 400")
    until(lambda: "LX-HTTP-102" in file.read_text())


def test_nothing_is_left_of_a_stopped_server_but_its_logs_and_what_it_served(start: Start, traces: Traces) -> None:
    before = traces.folders()
    server = start(workers="cpu:2")
    pids = [server.supervisor, *(worker.pid for worker in workers_of(server))]
    stop(server.state_dir)
    assert not any(map(is_alive, pids))
    assert sorted(path.name for path in server.state_dir.iterdir()) == [".lexport-state", "deployed.json", "logs"]
    assert traces.folders() == before
    with refused(SystemProblem, "LX-SERVE-056"):
        running(server.state_dir)


def test_without_tokens_where_the_settings_say_so(start: Start, tmp_path: Path) -> None:
    config = tmp_path / "own.properties"
    config.write_text("disable_token_authorization=true\n")
    said: list[str] = []
    server = start(config=config, say=said.append)
    assert not server.authorized
    assert request("GET", server.inference_url, "/ping", token="")[0] == 200
    assert "Token authorization is off: anyone who can reach a port can use it." in said
    assert not (server.state_dir / "key_file.json").exists()


def test_counters_do_not_fall_where_a_process_is_killed(start: Start) -> None:
    server = start(workers="cpu:1")
    for _ in range(5):
        assert ask(server)[0] == 200
    assert counted(server, "ts_inference_requests_total") == 5
    [victim] = workers_of(server)
    seen = set()
    victim.kill()
    while running(server.state_dir).restarts == 0 or status(server.state_dir)["problems"]:
        seen.add(counted(server, "ts_inference_requests_total"))
    assert seen | {counted(server, "ts_inference_requests_total")} == {5}
    assert ask(server)[0] == 200
    assert counted(server, "ts_inference_requests_total") == 6


def test_what_a_killed_process_had_counted_is_known_but_for_its_last_half_second(start: Start) -> None:
    server = start(workers="cpu:1")
    for _ in range(5):
        assert ask(server)[0] == 200
    time.sleep(3 * LOOKED_EVERY)  # nobody has asked for counts meanwhile
    workers_of(server)[0].kill()
    until(lambda: running(server.state_dir).restarts == 1)
    assert counted(server, "ts_inference_requests_total") == 5


def test_what_a_process_counts_until_its_end_is_kept_where_their_number_falls(start: Start) -> None:
    server = start(workers="cpu:2")

    def shrink() -> None:
        assert managed(server, "PUT", "/models/topics?min_worker=1&synchronous=true")[0] == 200

    statuses, errors = _under_load(server, shrink)
    assert errors == []
    assert counted(server, "ts_inference_requests_total") == statuses[200]


def test_a_killed_process_is_replaced_and_said(start: Start) -> None:
    server = start(workers="cpu:2")
    victim = workers_of(server)[0]
    victim.kill()
    until(lambda: running(server.state_dir).restarts == 1)
    assert "killed by signal 9" in running(server.state_dir).last_reason
    until(lambda: not status(server.state_dir)["problems"])
    assert len(workers_of(server)) == 2
    assert victim.pid not in {worker.pid for worker in workers_of(server)}
    assert {ask(server)[0] for _ in range(20)} == {200}


def test_extracted_models_that_were_removed_are_extracted_again_where_a_process_begins(start: Start) -> None:
    server = start(workers="cpu:2")
    before = sorted(path.relative_to(server.run_dir) for path in (server.run_dir / "models").rglob("*"))
    shutil.rmtree(server.run_dir / "models")
    assert {ask(server)[0] for _ in range(20)} == {200}  # the files are open
    for worker in workers_of(server):
        worker.kill()
    until(lambda: running(server.state_dir).restarts == 2 and not status(server.state_dir)["problems"])
    assert sorted(path.relative_to(server.run_dir) for path in (server.run_dir / "models").rglob("*")) == before
    assert {ask(server)[0] for _ in range(20)} == {200}


def test_a_process_that_dies_again_and_again_is_given_growing_pauses_and_requests_a_reason(start: Start) -> None:
    server = start(workers="cpu:1", health_at="0")
    for deaths in (1, 2, 3):
        until(lambda: ask_again(server)[0] == 200)
        workers_of(server)[0].kill()
        until(lambda deaths=deaths: running(server.state_dir).restarts == deaths)  # type: ignore[misc]
    # Now it waits for 2 s, and says so to whoever asks.
    until(lambda: ask_again(server)[0] == 503, 2.0)
    with refused(SystemProblem, "LX-SERVE-055"):
        check_ready(server.state_dir)
    check_live(server.state_dir)
    url = f"{server.inference_url}/predictions/topics"
    answer = httpx.post(url, content=b"goal", headers={"Authorization": "Bearer x"}, trust_env=False)
    if answer.status_code == 503:
        assert answer.json()["code"] == "LX-HTTP-119"
        assert answer.headers["retry-after"] == "1"
    until(lambda: ask_again(server)[0] == 200, 10.0)


def test_all_its_processes_end_with_a_killed_supervisor_and_what_is_left_is_cleared(start: Start) -> None:
    server = start(workers="cpu:2")
    pids = [worker.pid for worker in workers_of(server)]
    os.kill(server.supervisor, signal.SIGKILL)
    until(lambda: not any(map(is_alive, pids)))
    with refused(SystemProblem, "LX-SERVE-054", "lexport stop"):
        running(server.state_dir)
    stop(server.state_dir)
    assert sorted(path.name for path in server.state_dir.iterdir()) == [".lexport-state", "deployed.json", "logs"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_with_every_request_answered(start: Start, number: signal.Signals) -> None:
    server = start(workers="cpu:2")
    statuses, errors = _under_load(server, lambda: os.kill(server.supervisor, number))
    assert set(statuses) == {200}
    assert all("refused" in error or "closed" in error for error in errors), errors
    until(lambda: not is_alive(server.supervisor))


def _under_load(server: Server, act: Callable[[], object], clients: int = 8) -> tuple[Counter[int], list[str]]:
    """Statuses and errors of clients whose connections stay open, each until its first error, while `act` acts."""
    url, headers = f"{server.inference_url}/predictions/topics", {"Authorization": f"Bearer {server.token()}"}
    statuses: Counter[int] = Counter()
    errors: list[str] = []
    finished = threading.Event()

    def load() -> None:
        with httpx.Client(trust_env=False, headers=headers) as client:
            while not finished.is_set():
                try:
                    statuses[client.post(url, content=b"goal rain").status_code] += 1
                except httpx.ConnectError:
                    errors.append("connection refused")  # nobody listens any more
                    return
                except httpx.HTTPError as error:
                    errors.append(f"{type(error).__name__}: {error}")
                    return

    threads = [threading.Thread(target=load) for _ in range(clients)]
    for thread in threads:
        thread.start()
    until(lambda: sum(statuses.values()) > 200)
    act()
    time.sleep(1.0)
    finished.set()
    for thread in threads:
        thread.join()
    return statuses, errors


def test_scaling_loses_no_request_and_divides_the_cores(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lexport.serving.start.cores", lambda: 4)
    server = start(workers="cpu:1")
    sizes: list[int] = []

    def scale() -> None:
        for count in (4, 1, 2):
            assert managed(server, "PUT", f"/models/topics?min_worker={count}&synchronous=true")[0] == 200
            sizes.append(len(workers_of(server)))

    statuses, errors = _under_load(server, scale)
    assert sizes == [4, 1, 2]
    assert (set(statuses), errors) == ({200}, [])
    now = running(server.state_dir)
    assert (now.workers, now.threads) == (2, 2)


def test_several_models_are_asked_by_name_and_version(start: Start, archive_of: Any, task_archive: Any) -> None:
    server = start(archive_of("onnx-int8"), task_archive("vector"), task_archive("languages"))
    assert ask(server)[1]["label"] in ("sport", "weather")
    # An empty text is one like others, of each of the models.
    assert [len(predict(name, ["goal", ""], state_dir=server.state_dir)) for name in ("topics", "vector")] == [2, 2]
    assert len(ask(server, name="vector")[1]["vector"]) == 8
    assert ask(server, name="languages")[0] == 400  # it wants a language
    assert managed(server, "GET", "/models/vector?customized=true")[1][0]["customizedMetadata"]["task"] == "vector"
    assert sorted(running(server.state_dir).models) == ["languages", "topics", "vector"]


def test_two_versions_side_by_side_the_default_changed_and_one_removed(
    start: Start, run_folder: Path, tmp_path: Path
) -> None:
    config = tmp_path / "own.properties"
    config.write_text("enable_model_api=true\n")
    first = archive(run_folder, version="1.0", variant="onnx-int8", out=tmp_path / "1")
    second = archive(run_folder, version="2.0", variant="onnx-fp32", out=tmp_path / "2")
    server = start(first, config=config)
    (server.state_dir / "store" / "topics-2.0.mar").write_bytes(second.read_bytes())
    assert managed(server, "POST", "/models?url=topics-2.0.mar")[0] == 200
    url, headers = f"{server.inference_url}/predictions/topics", {"Authorization": f"Bearer {server.token()}"}

    def version(path: str = "") -> str:
        answer = httpx.post(url + path, content=b"goal", headers=headers, trust_env=False)
        return answer.headers["lexport-version"]

    assert (version(), version("/2.0"), version("/1.0")) == ("1.0", "2.0", "1.0")
    assert managed(server, "DELETE", "/models/topics/1.0")[0] == 403  # it is the default
    assert managed(server, "PUT", "/models/topics/2.0/set-default")[0] == 200
    assert version() == "2.0"
    assert running(server.state_dir).models == {"topics": "2.0"}
    assert managed(server, "DELETE", "/models/topics/1.0")[0] == 200
    assert ask(server)[0] == 200
    assert len(list((server.run_dir / "models").iterdir())) == 1
    # What replaces a killed process knows all of it.
    workers_of(server)[0].kill()
    until(lambda: ask_again(server)[0] == 200)
    assert version() == "2.0"


def ask_again(server: Server) -> tuple[int, Any]:
    """Ask; a connection that is cut has no status."""
    try:
        return ask(server)
    except OSError:
        return 0, None


def test_a_damaged_archive_is_not_registered_and_the_others_answer(start: Start, tmp_path: Path) -> None:
    config = tmp_path / "own.properties"
    config.write_text("enable_model_api=true\n")
    server = start(config=config)
    store = server.state_dir / "store"
    whole = (store / "topics-1.0.mar").read_bytes()
    (store / "cut-1.0.mar").write_bytes(whole[: len(whole) // 2])
    repacked(store / "topics-1.0.mar", {"model.json": b"{}"}, store / "changed-1.0.mar")
    for file in ("cut-1.0.mar", "changed-1.0.mar"):
        found, value = managed(server, "POST", f"/models?url={file}&model_name=other")
        assert (found, value["type"]) == (500, "InternalServerException")
        assert file in value["message"]
    assert [one["modelName"] for one in managed(server, "GET", "/models")[1]["models"]] == ["topics"]
    assert ask(server)[0] == 200
    assert len(list((server.run_dir / "models").iterdir())) == 1


def test_only_lexports_archives_are_served(start: Start, make_archive: MakeArchive, tmp_path: Path) -> None:
    foreign = make_archive(tmp_path / "in", "foreign", made_by_lexport=False)
    with refused(InputError, "LX-SERVE-106", "--engine torchserve"):
        start(foreign)
    with refused(RefusedError, "LX-ARCHIVE-036", "ours-1.0.mar"):
        start(make_archive(tmp_path / "in", "ours"))
    assert not (tmp_path / "state" / "server.json").exists()


def test_an_archive_that_fails_its_goldens_is_refused_with_its_own_error(
    start: Start, archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    damaged = repacked(
        archive_of("onnx-int8"), {"labels.json": b'["kitchen", "weather", "sport"]'}, tmp_path / "topics-1.0.mar"
    )
    with refused(RefusedError, "LX-ARCHIVE-014", "topics-1.0.mar", "golden answers of topics 1.0 (onnx-int8) differ"):
        start(damaged, workers="cpu:2")
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [".lexport-state", "logs"]


def test_a_server_that_is_not_ready_in_time_is_given_up(start: Start, tmp_path: Path) -> None:
    with refused(SystemProblem, "LX-SERVE-109", "0.05 s", "--timeout"):
        start(timeout=0.05)
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [".lexport-state", "logs"]


def test_what_the_server_refuses_by_itself_is_counted(start: Start) -> None:
    server = start()
    where = urlsplit(server.inference_url)
    with socket.create_connection((str(where.hostname), int(where.port or 0))) as client:
        client.sendall(b"GET / HTTP/9.9\r\nHost: x\r\n\r\n")
        assert client.recv(1_000).startswith(b"HTTP/1.1 505")
    text = httpx.get(f"{server.metrics_url}/metrics", params={"name[]": "Requests5XX"}, trust_env=False).text
    assert text.splitlines()[-1].endswith("} 1")


def test_an_engine_that_there_is_not_is_said(start: Start) -> None:
    with refused(InputError, "LX-SERVE-103", "'triton'", "torchserve, embedded or ray"):
        start(engine="triton")


def test_settings_without_a_meaning_here_are_named(start: Start, tmp_path: Path) -> None:
    config = tmp_path / "own.properties"
    config.write_text("netty_client_threads=4\njob_queue_size=7\ncors_allowed_origin=*\n")
    said: list[str] = []
    server = start(config=config, say=said.append)
    for name in ("netty_client_threads", "cors_allowed_origin"):
        assert f"{name} of the settings has no meaning in the embedded engine." in said
    [described] = managed(server, "GET", "/models/topics")[1]
    assert described["jobQueueStatus"] == {"remainingCapacity": 7, "pendingRequests": 0}


def test_a_port_in_use_is_said_and_nothing_is_left(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with refused(SystemProblem, "LX-SERVE-048", str(port)):
            start(port=port)
    assert not (tmp_path / "state" / "server.json").exists()


def test_a_second_server_on_the_same_port_does_not_share_it(start: Start, archive_of: Any, tmp_path: Path) -> None:
    first = start()
    port = urlsplit(first.inference_url).port
    config = tmp_path / "own.properties"
    config.write_text(
        f"inference_address=http://127.0.0.1:{port}\nmanagement_address=http://127.0.0.1:0\n"
        "metrics_address=http://127.0.0.1:0\n"
    )
    with refused(SystemProblem, "LX-SERVE-048", str(port)):
        serve([archive_of("onnx-int8")], engine="embedded", state_dir=tmp_path / "two", config=config)


def test_probes_need_no_token(start: Start) -> None:
    server = start(health_at="0")
    assert request("GET", server.health_url, "/livez", token="") == (200, {"status": "ok"})
    assert request("GET", server.health_url, "/readyz", token="") == (200, {"status": "ok"})
    assert request("GET", server.health_url, "/models", token="")[0] == 404
    assert managed(server, "PUT", "/models/topics?min_worker=0&synchronous=true")[0] == 200
    found, value = request("GET", server.health_url, "/readyz", token="")
    assert (found, value["status"]) == (503, "1 of 1 models have no worker that is ready")
    assert request("GET", server.health_url, "/livez", token="")[0] == 200


def test_a_bound_server_ends_with_its_process(archive_of: Callable[[str], Path], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        server = serve([archive_of("onnx-int8")], engine="embedded", port=0, state_dir=tmp_path / "state", bound=True)
        os.write(writing, str(server.supervisor).encode())
        os._exit(0)
    os.close(writing)
    supervisor = int(os.read(reading, 100))
    os.close(reading)
    os.waitpid(child, 0)
    until(lambda: not is_alive(supervisor))
    assert not (tmp_path / "state" / "server.json").exists()
