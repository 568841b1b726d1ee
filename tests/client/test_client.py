"""The clients against the real TorchServe: answers, and each error produced for real."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

import lexport
from lexport.client import (
    Answer,
    ClientError,
    ModelFailed,
    MultiLabelPrediction,
    NoServer,
    Prediction,
    QueueFull,
    RefusedInput,
    Scored,
    TimedOut,
    Unauthorised,
    UnexpectedAnswer,
    UnknownModel,
    Vector,
    WorkerLost,
)
from lexport.client.answers import read_answer, read_explanation
from lexport.client.exchange import FIRST_PAUSE, LONGEST_PAUSE, pause_before
from lexport.errors import InputError, SystemProblem
from lexport.export.archive.inprocess import load_archive
from lexport.serving import Server, serve, stop

from ..refusals import refused

pytestmark = pytest.mark.usefixtures("java")

# Sleeps for as many seconds as it is told, and counts what it was asked.
SLEEPER = """
import json, logging, os, time

class Sleeper:
    def initialize(self, context):
        logging.getLogger().setLevel(logging.WARNING)
        self.asked = 0

    def handle(self, data, context):
        self.asked += 1
        said = json.loads(data[0]["body"])["text"]
        if said == "fail":
            context.set_response_status(code=500, idx=0)
            return [{"error": "Failed on purpose.", "expected": "luck"}]
        time.sleep(float(said))
        return [{"asked": self.asked, "pid": os.getpid()}]
"""


@pytest.fixture(scope="module")
def archive(archive_of: Callable[[str], Path]) -> Path:
    return archive_of("onnx-int8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, make_archive: Any, archive: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("client")
    config = "batchSize: 1\njobQueueSize: 1\nresponseTimeout: 20\n"
    sleeper = make_archive(folder, "sleeper", handler=SLEEPER, made_by_lexport=False, config=config)
    server = serve([archive, sleeper], workers="cpu:1", state_dir=folder / "state", port=0, trust_code=True)
    yield server
    if (server.state_dir / "server.json").exists():
        stop(server.state_dir)


@pytest.fixture
def client(server: Server) -> Iterator[lexport.Client]:
    with lexport.Client(state_dir=server.state_dir) as client:
        yield client


TEXTS = ["the team won the match", "", "butter and salt 很"]


def test_one_text_or_several_get_the_answers_of_the_archive(client: lexport.Client, archive: Path) -> None:
    with load_archive(archive) as archived:
        expected = archived.predict(TEXTS)
    answers = client.predict("topics", TEXTS)
    for text, answer, one in zip(TEXTS, answers, expected, strict=True):
        assert isinstance(answer, Prediction)
        assert (answer.label, answer.tokens, answer.unknown) == (one["label"], one["tokens"], one["unknown"])
        assert answer.scores == pytest.approx(one["scores"], abs=1e-6)
        alone = client.predict("topics", text, version="1.0")
        assert isinstance(alone, Prediction)
        assert alone.scores == pytest.approx(answer.scores, abs=1e-6)
    [best] = client.predict("topics", TEXTS[:1], top_k=1)
    assert isinstance(best, Prediction)
    assert best.scores == {best.label: best.score}
    assert client.ask("topics", {"text": TEXTS[0]})["label"] == expected[0]["label"]


def test_an_explanation_is_typed(client: lexport.Client, server: Server, archive: Path) -> None:
    with load_archive(archive) as archived:
        [expected] = archived.explain([TEXTS[0]])
    found = client.explain("topics", TEXTS[0])
    assert (found.method, found.orders, found.truncated) == ("additive", None, False)
    assert [(one.token, one.start, one.end) for one in found.tokens[1:3]] == [("team", 4, 8), ("won", 9, 12)]
    for one, other in zip(found.tokens, expected["tokens"], strict=True):
        assert one.contributions == pytest.approx(other["contributions"], abs=1e-4)
    assert found.logits == pytest.approx(expected["logits"], abs=1e-4)
    [best] = found.labels
    assert best.label == expected["label"]
    assert best.score == pytest.approx(expected["score"], abs=1e-6)

    async def ask() -> Any:
        async with lexport.AsyncClient(state_dir=server.state_dir) as other:
            return await other.explain("topics", TEXTS[0])

    assert asyncio.run(ask()).logits == pytest.approx(found.logits, abs=1e-4)
    with refused(UnexpectedAnswer, "LX-CLIENT-019", "sleeper", "tokens"):
        client.explain("sleeper", "0")


def test_the_async_client_gives_the_same_answers_at_once(client: lexport.Client, server: Server) -> None:
    async def ask() -> list[Any]:
        async with lexport.AsyncClient(state_dir=server.state_dir) as other:
            with pytest.raises(RefusedInput):
                await other.predict("topics", "goal", top_k=0)
            return list(await asyncio.gather(*(other.predict("topics", text) for text in TEXTS * 5)))

    together = asyncio.run(ask())
    for answer, expected in zip(together, client.predict("topics", TEXTS * 5), strict=True):
        assert isinstance(expected, Prediction)
        assert answer.label == expected.label
        assert answer.scores == pytest.approx(expected.scores, abs=1e-6)


def test_a_connection_is_used_again(client: lexport.Client, server: Server) -> None:
    def local_ports() -> set[int]:
        port = int(client.url.rpartition(":")[2])
        return {
            connection.laddr.port
            for connection in psutil.Process().net_connections("tcp")
            if connection.raddr and connection.raddr.port == port and connection.status == psutil.CONN_ESTABLISHED
        }

    before = local_ports()
    client.predict("topics", "goal")
    opened_now = local_ports() - before
    assert len(opened_now) == 1
    for _ in range(5):
        client.predict("topics", "goal")
        assert local_ports() - before == opened_now


FORKED = """
import os, sys
import lexport

client = lexport.Client(state_dir=sys.argv[1])
assert client.predict(sys.argv[2], "rain").tokens == 1
children = []
for number in range(2, 6):
    child = os.fork()
    if child == 0:
        found = {client.predict(sys.argv[2], "rain " * number).tokens for _ in range(50)}
        os._exit(0 if found == {number} else 1)
    children.append(child)
mine = {client.predict(sys.argv[2], "rain").tokens for _ in range(50)}
assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
assert mine == {1}
client.close()
"""


def test_forked_processes_get_their_own_answers(server: Server, archive: Path) -> None:
    """As under gunicorn or Celery, where the client is made before the workers are forked."""
    name = archive.name.partition("-1.0")[0]
    command = [sys.executable, "-W", "error", "-c", FORKED, str(server.state_dir), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_async_client_may_be_used_by_one_event_loop_after_another(server: Server, archive: Path) -> None:
    name = archive.name.partition("-1.0")[0]
    client = lexport.AsyncClient(state_dir=server.state_dir)

    async def ask(number: int) -> int:
        answer = await client.predict(name, "rain " * number)
        assert isinstance(answer, Prediction)
        await client.close()
        return answer.tokens

    assert [asyncio.run(ask(number)) for number in (1, 2, 3)] == [1, 2, 3]


def test_an_async_client_that_was_not_closed_works_in_the_next_event_loop(server: Server, archive: Path) -> None:
    script = """
import asyncio, sys
import lexport

client = lexport.AsyncClient(state_dir=sys.argv[1])
for number in (1, 2, 3):
    assert asyncio.run(client.predict(sys.argv[2], "rain " * number)).tokens == number
"""
    name = archive.name.partition("-1.0")[0]
    command = [sys.executable, "-c", script, str(server.state_dir), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_host_finds_the_keys_of_its_own_server_in_the_state_folder(server: Server) -> None:
    address = server.inference_url.removeprefix("http://")
    for host in (address, server.inference_url, address.replace("127.0.0.1", "localhost")):
        with lexport.Client(host, state_dir=server.state_dir) as client:
            assert isinstance(client.predict("topics", "goal"), Prediction)
    with lexport.Client(address, token=server.token()) as client:
        assert isinstance(client.predict("topics", "goal"), Prediction)


def test_refused_input_says_what_was_expected_and_where(client: lexport.Client) -> None:
    with refused(RefusedInput, "LX-HTTP-024", 1, 2) as caught:
        client.ask("topics", {"texts": ["a", 1, None]})
    assert (caught.value.status, caught.value.positions, caught.value.code) == (400, (1, 2), "LX-HTTP-024")
    with refused(InputError, "LX-HTTP-058"):
        client.predict("topics", "goal", lang="en")
    with refused(RefusedInput, "LX-HTTP-056"):
        client.predict_images("topics", [0.5, 0.25])
    with refused(RefusedInput, "LX-CLIENT-011", 413):
        client.predict("topics", "x" * 7_000_000)


def test_an_unknown_model_or_version_is_named(client: lexport.Client) -> None:
    with refused(UnknownModel, "LX-CLIENT-012", "absent"):
        client.predict("absent", "goal")
    with refused(UnknownModel, "LX-CLIENT-012", "topics", "9"):
        client.predict("topics", "goal", version="9")


def test_an_answer_of_another_kind_is_said(client: lexport.Client) -> None:
    with refused(UnexpectedAnswer, "LX-CLIENT-019", 'client.ask("sleeper", "a text")', "lexport predict sleeper"):
        client.predict("sleeper", "0")


def test_without_a_key_or_with_a_wrong_one_nothing_is_answered(server: Server, tmp_path: Path) -> None:
    address = server.inference_url
    for token in ("", "wrong"):
        with lexport.Client(address, token=token) as client, refused(Unauthorised, "LX-CLIENT-013") as caught:
            client.predict("topics", "goal")
        assert caught.value.status == 400
    missing = tmp_path / "none.json"
    with lexport.Client(address, token_file=missing) as client, refused(Unauthorised, "LX-CLIENT-013", missing):
        client.predict("topics", "goal")
    (tmp_path / "bad.json").write_text("{}")
    with (
        lexport.Client(address, token_file=tmp_path / "bad.json") as client,
        refused(Unauthorised, "LX-CLIENT-013", "inference key"),
    ):
        client.predict("topics", "goal")


def test_a_key_file_that_changes_is_read_again(server: Server, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"inference": {"key": "old"}}))
    with lexport.Client(server.inference_url, token_file=keys) as client:
        with refused(Unauthorised, "LX-CLIENT-013"):
            client.predict("topics", "goal")
        shutil.copy(server.state_dir / "key_file.json", keys)
        assert isinstance(client.predict("topics", "goal"), Prediction)


def test_a_key_that_changes_during_a_request_is_tried_once_more(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"inference": {"key": "old"}}))
    with lexport.Client(server.inference_url, token_file=keys) as client:
        post = client._http.post
        sent = []

        def rotate(*args: Any, **options: Any) -> Any:
            sent.append(options["headers"]["Authorization"])
            answer = post(*args, **options)
            shutil.copy(server.state_dir / "key_file.json", keys)
            return answer

        monkeypatch.setattr(client._http, "post", rotate)
        assert isinstance(client.predict("topics", "goal"), Prediction)
    assert sent == ["Bearer old", f"Bearer {server.token()}"]


def test_a_timeout_is_said_and_not_repeated(client: lexport.Client, server: Server) -> None:
    asked = client.ask("sleeper", {"text": "0"})["asked"]
    with lexport.Client(state_dir=server.state_dir, timeout=0.5) as hasty:
        began = time.monotonic()
        with refused(TimedOut, "LX-CLIENT-017", "0.5 s"):
            hasty.ask("sleeper", {"text": "1.5"})
        assert time.monotonic() - began < 5
    time.sleep(1.5)
    assert client.ask("sleeper", {"text": "0"})["asked"] == asked + 2


def test_a_failure_of_the_model_is_not_repeated(client: lexport.Client) -> None:
    asked = client.ask("sleeper", {"text": "0"})["asked"]
    with refused(ModelFailed, "LX-CLIENT-018", "sleeper", 500, "Failed on purpose"):
        client.ask("sleeper", {"text": "fail"})
    assert client.ask("sleeper", {"text": "0"})["asked"] == asked + 2


def test_a_full_queue_is_waited_for_within_bounds(server: Server) -> None:
    """One request is at work, one waits; the queue holds one."""

    def ask(retries: int) -> Any:
        with lexport.Client(state_dir=server.state_dir, retries=retries) as client:
            try:
                return client.ask("sleeper", {"text": "1"})
            except ClientError as error:
                return error

    with ThreadPoolExecutor(6) as pool:
        impatient = list(pool.map(ask, [0] * 6))
        patient = list(pool.map(ask, [8] * 4))
    full = [answer for answer in impatient if isinstance(answer, QueueFull)]
    assert 1 <= len(full) <= 5
    assert all(answer.status == 503 for answer in full)
    assert "queue is full" in full[0].cause
    assert all(isinstance(answer, (dict, QueueFull)) for answer in impatient)
    assert all(isinstance(answer, dict) for answer in patient), patient


def test_a_worker_killed_over_a_request_is_said_then_waited_for(client: lexport.Client, server: Server) -> None:
    pid = client.ask("sleeper", {"text": "0"})["pid"]
    said: list[Any] = []

    def ask() -> None:
        with lexport.Client(state_dir=server.state_dir, retries=0) as single:
            try:
                said.append(single.ask("sleeper", {"text": "20"}))
            except ClientError as error:
                said.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(1)
    psutil.Process(pid).kill()
    asking.join()
    [error] = said
    assert isinstance(error, WorkerLost), error
    assert isinstance(error, SystemProblem)
    with lexport.Client(state_dir=server.state_dir, retries=30, timeout=60) as patient:
        assert patient.ask("sleeper", {"text": "0"})["pid"] != pid


def test_a_stopped_server_is_said(server: Server) -> None:
    """The last test here: the server is gone after it."""
    with lexport.Client(state_dir=server.state_dir, retries=1) as client:
        assert isinstance(client.predict("topics", "goal"), Prediction)
        stop(server.state_dir)
        with refused(NoServer, "LX-CLIENT-014", server.inference_url, "lexport "):
            client.predict("topics", "goal")
    with refused(SystemProblem, "LX-SERVE-056"):
        lexport.Client(state_dir=server.state_dir)


def test_pauses_grow_are_bounded_and_half_random() -> None:
    for repetition in range(1, 40):
        whole = min(FIRST_PAUSE * 2 ** (repetition - 1), LONGEST_PAUSE)
        assert pause_before(repetition, lambda: 0.0) == pytest.approx(whole / 2)
        assert pause_before(repetition, lambda: 1.0) == pytest.approx(whole)


def test_importing_lexport_imports_no_client_and_the_client_neither_torch_nor_numpy() -> None:
    program = (
        "import sys, lexport; assert 'httpx' not in sys.modules; lexport.Client; assert 'httpx' in sys.modules; "
        "assert not {'torch', 'numpy', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(AttributeError, match="No lexport attribute Clients"):
        getattr(lexport, "Clients")  # noqa: B009


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {
                "labels": [{"label": "a", "score": 0.7}],
                "scores": {"a": 0.7},
                "tokens": 1,
                "unknown": 0,
                "truncated": True,
            },
            MultiLabelPrediction((Scored("a", 0.7),), {"a": 0.7}, 1, 0, True),
        ),
        ({"vector": [1, 0.5], "tokens": 2, "unknown": 1, "truncated": False}, Vector((1.0, 0.5), 2, 1, False)),
        ({"vector": [0.5]}, Vector((0.5,))),
    ],
)
def test_answers_of_the_other_tasks_are_typed(value: dict[str, Any], expected: Answer) -> None:
    assert read_answer(value) == expected


@pytest.mark.parametrize("value", [None, 3, [], {}, {"label": "a"}, {"vector": None}, {"scores": {"a": "x"}}])
def test_what_is_no_answer_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_answer(value)


@pytest.mark.parametrize("labels", [[], [{"label": "a", "score": 0.7}, {"label": "b", "score": 0.6}]])
def test_an_explanation_of_several_labels_is_typed(labels: list[dict[str, Any]]) -> None:
    value = {"labels": labels, "method": "additive", "bias": {}, "logits": {}, "tokens": [], "truncated": False}
    assert [asdict(one) for one in read_explanation(value).labels] == labels
    with pytest.raises(ValueError, match="not an explanation"):
        read_explanation(value | {"labels": 3})
