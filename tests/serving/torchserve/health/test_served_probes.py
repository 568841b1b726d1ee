"""The real TorchServe with one worker and a queue of one: what probes, clients and proxies are told of it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import lexport
from lexport.__main__ import run
from lexport.client import QueueFull
from lexport.client.once import predict
from lexport.errors import SystemProblem
from lexport.serving import Server, check_live, check_ready, serve, status, stop
from lexport.serving.proxies.configuration import Proxy, parse_address
from lexport.serving.torchserve import http as api
from lexport.serving.torchserve.health import probes as health

from ....client.test_client import SLEEPER
from ....refusals import refused
from ...proxies.proxy_cases import KINDS, running, wait_until

pytestmark = [pytest.mark.usefixtures("java"), pytest.mark.long]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, make_archive: Callable[..., Path]) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("probes")
    config = "batchSize: 1\njobQueueSize: 1\nresponseTimeout: 60\n"
    sleeper = make_archive(folder, "sleeper", handler=SLEEPER, made_by_lexport=False, config=config)
    server = serve(
        [sleeper], workers="cpu:1", state_dir=folder / "state", port=0, health_at="0", trust_code=True, drain=0.5
    )
    yield server
    stop(server.state_dir)


@pytest.fixture(scope="module")
def proxy(server: Server) -> Proxy:
    upstream, probes = (
        parse_address(url.removeprefix("http://")) for url in (server.inference_url, server.health_url)
    )
    return Proxy(upstream=upstream, health=probes)


def ask(server: Server, url: str, body: str = '{"text": "0"}') -> tuple[int, Any]:
    return api.request("POST", url, "/predictions/sleeper", token=server.token(), body=body.encode(), timeout=60)


def probe(url: str, path: str) -> tuple[int, Any]:
    code, answer = api.request("GET", url, path, token="")
    return code, answer["status"]


@contextmanager
def full(server: Server) -> Iterator[None]:
    """One request at work and one in the queue, which has no place left."""
    with ThreadPoolExecutor(2) as pool:
        both: list[Future[Any]] = [pool.submit(ask, server, server.inference_url, '{"text": "6"}') for _ in range(2)]
        wait_until(lambda: status(server.state_dir)["models"][0]["queue_waiting"] == 1)
        yield
        assert [one.result()[0] for one in both] == [200, 200]


@contextmanager
def without_workers(server: Server) -> Iterator[None]:
    scale(server, 0)
    try:
        yield
    finally:
        scale(server, 1)


def scale(server: Server, workers: int) -> None:
    path = f"/models/sleeper?min_worker={workers}&max_worker={workers}&synchronous=true"
    token = server.token("management")
    code, answer = api.request("PUT", server.management_url, path, token=token, timeout=120)
    assert code == 200, answer


def test_probes_need_no_token_and_are_passed_on_by_proxies(server: Server, proxy: Proxy, tmp_path: Path) -> None:
    for path in ("/livez", "/readyz"):
        assert probe(server.health_url, path) == (200, "ok")
    for kind in KINDS:
        (tmp_path / kind).mkdir()
        with running(kind, proxy, tmp_path / kind) as address:
            for path in ("/livez", "/readyz"):
                assert probe(address.url, path) == (200, "ok")
    assert status(server.state_dir)["health_url"] == server.health_url


def test_a_model_without_workers_lives_and_is_not_ready(
    server: Server, proxy: Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--state-dir", str(server.state_dir)]
    assert (run(["status", "--live", *folder]), run(["status", "--ready", *folder])) == (0, 0)
    assert capsys.readouterr().out == "live\nready\n"
    with running("haproxy", proxy, tmp_path) as address, without_workers(server):
        wait_until(lambda: probe(server.health_url, "/readyz")[0] == 503)
        assert probe(address.url, "/readyz") == (503, "1 of 1 models have no worker that is ready")
        assert probe(address.url, "/livez") == (200, "ok")
        assert (run(["status", "--live", *folder]), run(["status", "--ready", *folder])) == (0, 3)
        assert "1 of 1 models have no worker that is ready" in capsys.readouterr().err
        with refused(QueueFull, "LX-CLIENT-015", "sleeper 1.0", 503, "no workers"):
            predict("sleeper", ["x"], state_dir=server.state_dir)
        # That is no matter of a client's rate.
        wait_until(lambda: ask(server, address.url)[0] == 503)  # until haproxy has looked, too
        assert ask(server, address.url)[0] == 503
    wait_until(lambda: probe(server.health_url, "/readyz")[0] == 200)


def test_a_full_queue_is_said_by_the_command_line_and_429_behind_haproxy(
    server: Server, proxy: Proxy, tmp_path: Path
) -> None:
    check_ready(server.state_dir)
    with running("haproxy", proxy, tmp_path) as address, full(server):
        code, answer = ask(server, server.inference_url)
        assert (code, answer["type"]) == (503, "ServiceUnavailableException")
        code, answer = ask(server, address.url)
        assert (code, answer["error"]) == (429, "The queue of this model is full.")
        with (
            lexport.Client(address.url, token=server.token(), retries=0) as client,
            refused(QueueFull, "LX-CLIENT-015", 429, "The queue of this model is full.") as caught,
        ):
            client.ask("sleeper", {"text": "0"})
        assert caught.value.retry_after == 1.0
        with refused(QueueFull, "LX-CLIENT-015", "1 (job_queue_size)", "1 wait for 1 workers"):
            predict("sleeper", ["x"], state_dir=server.state_dir)
        assert probe(server.health_url, "/readyz") == (200, "ok")


def test_a_frontend_that_hangs_does_not_live(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    java = psutil.Process(server.pid)
    java.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: probe(server.health_url, "/livez")[0] == 503)
        assert probe(server.health_url, "/livez") == (503, "TorchServe runs and does not answer within 3 s")
        assert probe(server.health_url, "/readyz") == (503, "TorchServe does not answer")
        monkeypatch.setattr(health, "PATIENCE", 0.5)
        with refused(SystemProblem, "LX-SERVE-055", "0.5 s"):
            check_live(server.state_dir)
    finally:
        java.send_signal(signal.SIGCONT)
    wait_until(lambda: probe(server.health_url, "/livez")[0] == 200)


def test_a_frontend_that_has_died_lives_as_long_as_it_is_started_again(server: Server) -> None:
    psutil.Process(server.pid).kill()
    assert probe(server.health_url, "/livez") == (200, "ok")
    wait_until(lambda: probe(server.health_url, "/readyz")[0] == 503)
    assert probe(server.health_url, "/livez") == (200, "ok")
