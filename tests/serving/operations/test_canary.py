"""A version is tried on a share of the requests, on both engines, by clients that know nothing of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from lexport.errors import InputError, RefusedError, SystemProblem
from lexport.export.archive.pack import archive
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.models import recipes
from lexport.serving import running, status
from lexport.serving.canary.rule import Rule
from lexport.serving.canary.run import Result, canary
from lexport.serving.canary.verdict import Limits
from lexport.serving.operations import deploy, scale
from lexport.serving.settings.addresses import Address
from lexport.training.train import train

from ...conftest import Once
from ...refusals import refused
from .conftest import Load, answered_by, outcome

Pack = Callable[[str], Path]
_EASY = Limits(errors=0.05, latency=50.0, agreement=0.9, least=200)
"""What an equal version passes on a machine where both are now and then kept waiting."""


@pytest.fixture(scope="session")
def wrong_version(tiny_csv: Path, once: Once) -> Path:
    """Version 9.0 of `topics`, which takes sport for weather and weather for sport."""

    def fill(folder: Path) -> None:
        rows = tiny_csv.read_text(encoding="utf-8")
        for one, other in (("sport", "?"), ("weather", "sport"), ("?", "weather")):
            rows = rows.replace(f",{one}\n", f",{other}\n")
        (folder / "swapped.csv").write_text(rows, encoding="utf-8")
        recipe = recipes.load("bag").changed("text", buckets=4096).changed("embedding", dim=16)
        run = train(str(folder / "swapped.csv"), folder / "run", recipe=recipe, seed=0)
        export(run, choose("onnx-fp32"))
        archive(folder / "run", name="topics", version="9.0", variant="onnx-fp32", out=folder)

    return once("version-9.0", fill) / "topics-9.0.mar"


@pytest.fixture(scope="session")
def failing_version(task_run: Callable[[str], Path], once: Once) -> Path:
    """Version 8.0 of `topics`, a model of vectors: it refuses what asks for the best labels."""

    def fill(folder: Path) -> None:
        archive(task_run("vector"), name="topics", version="8.0", variant="onnx-fp32", out=folder)

    return once("version-8.0", fill) / "topics-8.0.mar"


class Clients:
    """What plain clients are answered: each request has an id of its own and a connection of its own."""

    def __init__(self, folder: Path, *, url: str = "", body: Mapping[str, object] | None = None) -> None:
        server = running(folder)
        self.url, self.token = url or server.inference_url, server.token()
        self.body = dict(body or {"text": "sun and rain near the team"})
        self.answers: list[tuple[str, int | str, str]] = []
        self._lock = threading.Lock()

    def ask(self, count: int, name: str = "u", *, keep: bool = False) -> None:
        """Ask `count` times with the ids NAME-0, NAME-1, …; with `keep` over one connection."""
        clients = [httpx.Client(base_url=self.url, timeout=60, trust_env=False) for _ in range(1 if keep else count)]
        for number in range(count):
            client = clients[0] if keep else clients.pop()
            identity = f"{name}-{number}"
            headers = {"Authorization": f"Bearer {self.token}", "X-Request-Id": identity}
            answer: tuple[str, int | str, str]
            try:
                found = client.post("/predictions/topics", json=self.body, headers=headers)
                answer = identity, found.status_code, found.headers.get("lexport-version", "")
            except httpx.HTTPError as error:
                answer = identity, type(error).__name__, ""
            with self._lock:
                self.answers.append(answer)
            if not keep:
                client.close()
        for client in clients:
            client.close()

    @property
    def statuses(self) -> Counter[int | str]:
        return Counter(status for _, status, _ in self.answers)

    @property
    def versions(self) -> Counter[str]:
        return Counter(version for _, _, version in self.answers)


@contextmanager
def asking(clients: Clients, threads: int = 4) -> Iterator[Callable[[Result], None]]:
    """Context manager: `clients` ask from the canary's first look on, until its end."""
    begun, ended = threading.Event(), threading.Event()

    def go(number: int) -> None:
        begun.wait(60)
        for part in range(10_000):
            if ended.is_set():
                return
            clients.ask(20, f"{number}-{part}", keep=True)

    workers = [threading.Thread(target=go, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield lambda result: begun.set()
    finally:
        begun.set()
        ended.set()
        for worker in workers:
            worker.join()


def tried(
    folder: Path, version: str, share: float, clients: Clients, *, mirror: bool = False, **options: object
) -> Result:
    """Run a canary while clients ask."""
    options = {"limits": _EASY, "seconds": 60.0, **options}
    with asking(clients) as watch:
        return canary(Rule("topics", version, share, mirror=mirror), state_dir=folder, watch=watch, **options)  # type: ignore[arg-type]


def test_an_equal_version_passes_and_is_promoted(folder: Path, version_of: Pack) -> None:
    deploy(version_of("2.0"), state_dir=folder)
    clients = Clients(folder)
    result = tried(folder, "2.0", 0.3, clients, promoted=True)
    assert result.verdict.state == "passed", result.to_json()
    assert result.promoted
    assert {one.name: one.state for one in result.verdict.criteria} == {"errors": "passed", "latency": "passed"}
    assert result.tally.canary.answers >= 200
    assert set(clients.statuses) == {200}
    assert set(clients.versions) == {"1.0", "2.0"}
    assert answered_by(folder) == "2.0"


def while_asked(folder: Path, rule: Rule, *asks: Callable[[], None]) -> Result:
    """Run a canary while each of `asks` runs in a thread; return the last look, with all of them counted."""
    threads = [threading.Thread(target=ask) for ask in asks]
    looks: list[Result] = []

    def watch(result: Result) -> None:
        looks.append(result)
        if len(looks) == 1:
            for thread in threads:
                thread.start()
        elif not any(thread.is_alive() for thread in threads):
            finished.append(result)
            if len(finished) == 2:  # the counts of the first may have been read before the last answer
                raise _Enough

    finished: list[Result] = []
    try:
        canary(rule, Limits(latency=50.0, least=100_000), state_dir=folder, watch=watch)
    except _Enough:
        return finished[-1]
    raise AssertionError(looks[-1].to_json())


class _Enough(Exception):
    pass


def test_the_share_is_met_and_an_id_keeps_its_version(folder: Path, version_of: Pack) -> None:
    deploy(version_of("2.0"), state_dir=folder)
    clients, again = Clients(folder), Clients(folder)
    asks = [partial(one.ask, 625, f"u{number}", keep=True) for one in (clients, again) for number in range(4)]
    result = while_asked(folder, Rule("topics", "2.0", 0.1), *asks)
    assert clients.statuses + again.statuses == {200: 5_000}
    assert (clients.versions + again.versions)["2.0"] / 5_000 == pytest.approx(0.1, abs=0.02)
    kept = {name: version for name, _, version in clients.answers}
    assert kept == {name: version for name, _, version in again.answers}
    assert result.tally.canary.answers == (clients.versions + again.versions)["2.0"]
    assert result.tally.stable.answers == (clients.versions + again.versions)["1.0"]
    assert answered_by(folder) == "1.0"


def test_a_version_that_fails_is_rolled_back_at_once(folder: Path, failing_version: Path) -> None:
    deploy(failing_version, state_dir=folder)
    clients = Clients(folder, body={"text": "sun", "top_k": 1})
    result = tried(folder, "8.0", 0.2, clients, limits=Limits(latency=50.0, least=100_000), promoted=True)
    assert result.verdict.state == "failed"
    assert not result.promoted
    assert result.tally.canary.statuses[400] >= 20
    assert set(clients.statuses) == {200, 400}
    before = Counter(clients.statuses)
    clients.ask(100, "later")
    assert clients.statuses - before == {200: 100}


@pytest.mark.long
def test_a_mirrored_version_answers_nobody_and_is_compared(
    folder: Path, version_of: Pack, wrong_version: Path
) -> None:
    deploy(version_of("2.0"), state_dir=folder)
    clients = Clients(folder)
    result = tried(folder, "2.0", 0.9, clients, mirror=True)
    assert result.verdict.state == "passed", result.to_json()
    assert result.tally.compared == result.tally.agreed >= 200
    assert set(clients.versions) == {"1.0"}
    deploy(wrong_version, state_dir=folder)
    result = tried(folder, "9.0", 0.9, clients, mirror=True)
    assert result.verdict.state == "failed"
    assert result.tally.agreed == 0
    assert result.tally.changes.most_common(1)[0][0] in ("weather → sport", "sport → weather")
    assert set(clients.versions) == {"1.0"}
    assert set(clients.statuses) == {200}


def test_requests_that_name_a_version_or_another_path_are_not_touched(folder: Path, version_of: Pack) -> None:
    deploy(version_of("2.0"), state_dir=folder)
    server = running(folder)
    found: list[tuple[str, int, str]] = []
    headers = {"Authorization": f"Bearer {server.token()}"}
    v2 = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["sun"]}]}
    others: list[object] = []

    def ask() -> None:
        with httpx.Client(base_url=server.inference_url, headers=headers, timeout=60, trust_env=False) as client:
            for _ in range(20):
                for path, body in (
                    ("/predictions/topics/1.0", {"text": "sun"}),
                    ("/predictions/topics/2.0", {"text": "sun"}),
                    ("/v2/models/topics/infer", v2),
                    ("/explanations/topics", {"text": "sun"}),
                    ("/v1/models/topics:predict", {"text": "sun"}),
                ):
                    one = client.post(path, json=body)
                    found.append((path, one.status_code, one.headers.get("lexport-version", "")))
            others.append(client.get("/ping").json())
            others.append(client.get("/predictions/nobody").status_code)
            others.append(client.head("/ping").status_code)
            without = client.post("/predictions/topics", json={"text": "sun"}, headers={"Authorization": ""})
            others.append(without.status_code in (400, 401))

    while_asked(folder, Rule("topics", "2.0", 0.5), ask)
    assert others == [{"status": "Healthy"}, 404, 200, True]
    assert {status for _, status, _ in found} == {200}
    versions = {path: {version for one, _, version in found if one == path} for path, _, _ in found}
    assert versions == {
        "/predictions/topics/1.0": {"1.0"},
        "/predictions/topics/2.0": {"2.0"},
        "/v2/models/topics/infer": {"1.0", "2.0"},
        "/explanations/topics": {"1.0", "2.0"},
        "/v1/models/topics:predict": {"1.0", "2.0"},
    }


@pytest.mark.long
def test_no_request_is_lost_while_a_canary_comes_and_goes(folder: Path, version_of: Pack) -> None:
    deploy(version_of("2.0"), state_dir=folder)
    with Load(running(folder), 4, "/predictions/topics") as load:
        for _ in range(3):
            result = canary(Rule("topics", "2.0", 0.5), _EASY, seconds=1.0, state_dir=folder)
            assert result.verdict.state in ("undecided", "passed")
    assert set(load.statuses) == {200}


def test_two_at_once_and_what_cannot_be_tried_is_refused(folder: Path, version_of: Pack) -> None:
    deploy(version_of("2.0"), state_dir=folder)
    outcomes: list[str] = []

    def second(result: Result) -> None:
        if not outcomes:
            outcomes.append(outcome(lambda: canary(Rule("topics", "2.0", 0.5), state_dir=folder)))

    canary(Rule("topics", "2.0", 0.5), _EASY, seconds=1.0, state_dir=folder, watch=second)
    assert outcomes == ["LX-SERVE-204"]
    with refused(InputError, "LX-SERVE-198", "topics 1.0", "lexport deploy"):
        canary(Rule("topics", "1.0", 0.5), state_dir=folder)
    with refused(InputError, "LX-SERVE-174", "'7.0'"):
        canary(Rule("topics", "7.0", 0.5), state_dir=folder)
    if running(folder).engine == "embedded":
        with refused(InputError, "LX-SERVE-197", "--listen"):
            canary(Rule("topics", "2.0", 0.5), listen=Address("127.0.0.1", 1), state_dir=folder)


@pytest.mark.long
def test_an_interrupted_one_leaves_all_as_it_was(folder: Path, version_of: Pack) -> None:
    deploy(version_of("2.0"), state_dir=folder)

    def interrupt(result: Result) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        canary(Rule("topics", "2.0", 0.9), _EASY, state_dir=folder, watch=interrupt)
    clients = Clients(folder)
    clients.ask(50)
    assert (clients.statuses, set(clients.versions)) == ({200: 50}, {"1.0"})


@pytest.mark.long
def test_on_torchserve_a_proxy_may_listen_elsewhere(folder: Path, version_of: Pack) -> None:
    if running(folder).engine == "embedded":
        pytest.skip("the embedded engine has no proxy")
    deploy(version_of("2.0"), state_dir=folder)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    clients = Clients(folder, url=f"http://127.0.0.1:{port}")
    result = tried(folder, "2.0", 0.5, clients, listen=Address("127.0.0.1", port))
    assert result.verdict.state == "passed", result.to_json()
    assert {"1.0", "2.0"} <= set(clients.versions)
    with refused(InputError, "LX-SERVE-195", "--listen"):
        canary(Rule("topics", "2.0", 0.5), listen=Address("192.0.2.1", 1), state_dir=folder)


@pytest.mark.long
def test_a_torchserve_that_dies_ends_the_canary_and_is_started_again(folder: Path, version_of: Pack) -> None:
    server = running(folder)
    if server.engine == "embedded":
        pytest.skip("its processes are told of the canary when they are started again")
    deploy(version_of("2.0"), state_dir=folder)
    with refused(SystemProblem, "LX-SERVE-194"):
        canary(Rule("topics", "2.0", 0.5), state_dir=folder, watch=lambda result: os.kill(server.pid, signal.SIGKILL))
    assert wait_until_answered(folder) == "1.0"


@pytest.mark.long
def test_a_process_of_the_embedded_engine_that_dies_keeps_the_rule(folder: Path, version_of: Pack) -> None:
    server = running(folder)
    if server.engine != "embedded":
        pytest.skip("TorchServe's workers know nothing of the canary")
    deploy(version_of("2.0"), state_dir=folder)
    killed: list[int] = []
    seen: list[set[str]] = []

    def kill(result: Result) -> None:
        if not killed:
            [worker] = {one["pid"] for model in status(folder)["models"] for one in model["workers"]}
            killed.append(worker)
            os.kill(worker, signal.SIGKILL)
            wait_until_answered(folder)
            clients = Clients(folder)
            clients.ask(200)
            seen.append(set(clients.versions))

    canary(Rule("topics", "2.0", 0.5), _EASY, seconds=1.0, state_dir=folder, watch=kill)
    assert seen == [{"1.0", "2.0"}]


@pytest.mark.long
def test_a_version_without_a_worker_is_refused_and_one_that_loses_them_gets_nothing(
    folder: Path, version_of: Pack
) -> None:
    if running(folder).engine != "embedded":
        pytest.skip("TorchServe answers 503 for a version without workers, which the verdict sees")
    deploy(version_of("2.0"), state_dir=folder)
    clients = Clients(folder)

    def take_away(result: Result) -> None:
        server = running(folder)
        headers = {"Authorization": f"Bearer {server.token('management')}"}
        url = f"{server.management_url}/models/topics/2.0?min_worker=0&max_worker=0&synchronous=true"
        assert httpx.put(url, headers=headers, trust_env=False).status_code == 200
        clients.ask(100)

    canary(Rule("topics", "2.0", 0.5), _EASY, seconds=0.1, state_dir=folder, watch=take_away)
    assert (clients.statuses, set(clients.versions)) == ({200: 100}, {"1.0"})
    with refused(RefusedError, "LX-SERVE-199", "lexport scale topics N"):
        canary(Rule("topics", "2.0", 0.5), state_dir=folder)
    scale("topics", 1, version="2.0", state_dir=folder)


def wait_until_answered(folder: Path) -> str:
    """Return the version that answers, once one does."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return answered_by(folder)
        except (AssertionError, httpx.HTTPError, SystemProblem, json.JSONDecodeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.long
def test_the_command_shows_the_verdict_and_ends_with_its_code(
    folder: Path, version_of: Pack, failing_version: Path
) -> None:
    deploy(version_of("2.0"), state_dir=folder)
    deploy(failing_version, state_dir=folder)

    def command(version: str, *options: str) -> tuple[int, str, str]:
        words = ["canary", "topics", version, "--max-latency", "50", "--state-dir", str(folder), *options]
        with subprocess.Popen(
            [sys.executable, "-m", "lexport", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            clients = Clients(folder, body={"text": "sun", "top_k": 1})
            part = 0
            while process.poll() is None:
                clients.ask(20, f"{version}-{part}", keep=True)
                part += 1
            assert process.stdout is not None
            assert process.stderr is not None
            return process.returncode, process.stdout.read(), process.stderr.read()

    code, out, _ = command("8.0", "--share", "50%")
    assert code == 1
    assert "topics 8.0 beside 1.0: failed" in out
    options = ("--requests", "150", "--max-errors", "12%", "--share", "0.5", "--promote", "--json", "--for", "100")
    code, out, errors = command("2.0", *options)
    found = json.loads(out)
    assert (code, found["promoted"], found["verdict"]["state"]) == (0, True, "passed"), errors
    assert found["measured_share"] == pytest.approx(0.5, abs=0.2)
    assert answered_by(folder) == "2.0"


def test_options_that_cannot_be_are_refused_before_a_server_is_asked(tmp_path: Path) -> None:
    for option, value, code in (
        ("--share", "much", "LX-CLI-064"),
        ("--share", "95%", "LX-SERVE-190"),
        ("--max-errors", "0.1%", "LX-SERVE-193"),
        ("--listen", "nowhere", "LX-SERVE-062"),
    ):
        words = ["canary", "topics", "2.0", option, value, "--state-dir", str(tmp_path)]
        done = subprocess.run([sys.executable, "-m", "lexport", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert code in done.stderr
        assert "Traceback" not in done.stderr
