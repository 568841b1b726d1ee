"""What `predict` makes of answers, asked of a stand-in; the real server is in test_torchserve.py."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexport.client import Client, QueueFull
from lexport.client.once import explain, predict
from lexport.errors import InputError, LexportError, SystemProblem

from ..refusals import refused

OWN = {"score": 1.0, "scores": {"a": 1.0}, "tokens": 1, "unknown": 0, "truncated": False}


class Stand(HTTPServer):
    """Answers JSON with `status` and `answer`, text as `of_text` says, and remembers the last request."""

    status = 200
    answer: Any = ()
    pause = 0.0
    retry_after = ""
    asked = 0
    last: dict[str, Any]

    def of_text(self, text: str) -> tuple[int, Any]:
        """What a text sent as text/plain is answered: the same as JSON, but by `told`."""
        return self.told.get(text, (self.status, self.answer))

    told: dict[str, tuple[int, Any]] = {}  # noqa: RUF012

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Reply(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Stand)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        kind = self.headers["Content-Type"]
        is_json = kind == "application/json"
        asked = json.loads(body) if is_json else body.decode()
        self.server.last = {"path": self.path, "token": self.headers["Authorization"], "body": asked}
        time.sleep(self.server.pause)
        status, answer = (self.server.status, self.server.answer) if is_json else self.server.of_text(asked)
        content = answer.encode() if isinstance(answer, str) and not is_json else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if self.server.retry_after:
            self.send_header("Retry-After", self.server.retry_after)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def stand() -> Iterator[Stand]:
    server = Stand(("127.0.0.1", 0), Reply)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_texts_are_explained_one_by_one_and_a_string_is_one_text(stand: Stand) -> None:
    stand.answer = {"method": "additive"}
    assert explain("m", "a text", host=stand.host) == [{"method": "additive"}]
    assert stand.last["path"] == "/explanations/m"
    assert stand.last["body"] == {"text": "a text"}
    assert len(explain("m", ["a", "b", "c"], host=stand.host, version="2.0")) == 3
    assert (stand.last["path"], stand.last["body"]) == ("/explanations/m/2.0", {"text": "c"})


def test_texts_go_in_one_request_and_come_back_in_order(stand: Stand, tmp_path: Path) -> None:
    keys = tmp_path / "key_file.json"
    keys.write_text('{"inference": {"key": "secret"}}')
    stand.answer = [OWN | {"label": "a"}, OWN | {"label": "b"}]
    assert predict("my model", ["é", ""], version="1.0", host=stand.host, token_file=keys) == stand.answer
    assert stand.last == {
        "path": "/predictions/my%20model/1.0",
        "token": "Bearer secret",
        "body": {"texts": ["é", ""]},
    }


def test_languages_and_images_are_sent_as_they_are_given(stand: Stand) -> None:
    stand.answer = [{"vector": [1.0]}, {"vector": [0.5]}]
    predict("m", ["a", "b"], lang="en", host=stand.host)
    assert stand.last["body"] == {"texts": ["a", "b"], "lang": "en"}
    predict("m", ["a", "b"], lang=("en", "de"), host=stand.host)
    assert stand.last["body"] == {"texts": ["a", "b"], "lang": ["en", "de"]}
    images = np.array([[1, 0.5], [0, 0.25]], np.float32)
    assert predict("m", images=images, host=stand.host) == stand.answer  # type: ignore[arg-type]
    assert stand.last["body"] == {"images": [[1.0, 0.5], [0.0, 0.25]]}


def test_images_and_texts_are_two_questions(stand: Stand) -> None:
    with refused(InputError, "LX-CLIENT-003"):
        predict("m", images=[], host=stand.host)
    with refused(InputError, "LX-CLIENT-001"):
        predict("m", ["a"], images=[[1.0]], host=stand.host)
    with refused(InputError, "LX-CLIENT-001"):
        predict("m", lang="en", images=[[1.0]], host=stand.host)


@pytest.mark.parametrize(
    ("status", "answer", "kind", "error"),
    [
        (
            400,
            {"type": "InvalidKeyException", "message": "Token…"},
            SystemProblem,
            ("LX-CLIENT-013", "--token-file"),
        ),
        (401, {}, SystemProblem, ("LX-CLIENT-013",)),
        (404, {"message": "Model not found: m"}, InputError, ("LX-CLIENT-012", "m")),
        (503, {"message": "no worker"}, SystemProblem, ("LX-CLIENT-015", "m")),
        (
            503,
            {"error": "The server is stopping."},
            SystemProblem,
            ("LX-CLIENT-015", "503", "The server is stopping."),
        ),
        (429, {"error": "Too many."}, SystemProblem, ("LX-CLIENT-015", "429", "Too many.")),
        (413, {"message": "too big"}, InputError, ("LX-CLIENT-011", "413")),
        (422, {"error": "Bad.", "expected": "good"}, InputError, ("LX-CLIENT-011", "422", "Bad.", "good")),
        (500, "boom\nboom", SystemProblem, ("LX-CLIENT-018", "500", "boom boom")),
        (503, {"message": "Prediction failed"}, SystemProblem, ("LX-CLIENT-018", "m", "503")),
    ],
)
def test_refusals_say_cause_and_remedy(
    stand: Stand, status: int, answer: Any, kind: type[LexportError], error: tuple[str, ...]
) -> None:
    stand.status, stand.answer = status, answer
    with refused(kind, *error):
        predict("m", ["x"], host=stand.host)


@pytest.mark.parametrize("status", [429, 503])
def test_a_full_server_is_asked_again_when_it_says(stand: Stand, status: int) -> None:
    stand.status, stand.answer, stand.retry_after = status, {"error": "Full."}, "1"
    began = time.monotonic()
    with Client(stand.host, retries=1) as client, refused(QueueFull, "LX-CLIENT-015") as caught:
        client.ask("m", {"text": "x"})
    assert (caught.value.status, caught.value.retry_after, stand.asked) == (status, 1.0, 2)
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    ("said", "understood"), [("3600", 3600.0), ("", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)]
)
def test_how_long_to_wait_is_told_where_the_server_has_said_it(
    stand: Stand, said: str, understood: float | None
) -> None:
    stand.status, stand.answer, stand.retry_after = 503, {"error": "Full."}, said
    with Client(stand.host, retries=1, timeout=10) as client, refused(QueueFull, "LX-CLIENT-015") as caught:
        client.ask("m", {"text": "x"})
    assert caught.value.retry_after == understood
    assert stand.asked == (1 if said == "3600" else 2)  # an hour is longer than the whole question may take


@pytest.mark.parametrize("status", [200, 400, 500, 503])
@pytest.mark.parametrize(
    "answer", [{"Sports": 0.75, "World": 0.25}, "Sports", [0.1, 0.9], [{"label": "Sports", "score": 0.5}], None, 3]
)
def test_a_strangers_answers_come_as_they_are_text_by_text(stand: Stand, status: int, answer: Any) -> None:
    """It may answer JSON with an error, or as if JSON were its text; that answer is no text's."""
    stand.status = status
    stand.answer = {"message": "Prediction failed"} if status == 503 else answer
    stand.told = {"a goal": (200, answer), "two": (200, {"else": [answer]})}
    assert predict("m", ["a goal", "two"], host=stand.host, version="2") == [answer, {"else": [answer]}]
    assert (stand.last["path"], stand.last["body"]) == ("/predictions/m/2", "two")


def test_a_text_that_a_stranger_refuses_is_said(stand: Stand) -> None:
    stand.answer, stand.told = ["x"], {"bad": (400, {"message": "too short"})}
    with refused(InputError, "LX-CLIENT-011", 400, "too short"):
        predict("m", ["bad"], host=stand.host)


def test_what_lexports_models_refuse_is_not_asked_again(stand: Stand) -> None:
    stand.status, stand.answer = 400, {"error": "Bad.", "expected": "good"}
    with refused(InputError, "LX-CLIENT-011", "Bad", "good"):
        predict("m", ["x"], host=stand.host)
    assert stand.last["body"] == {"texts": ["x"]}


def test_a_slow_server_is_not_waited_for_for_ever(stand: Stand) -> None:
    stand.pause = 0.5
    with refused(SystemProblem, "LX-CLIENT-017", "0.1 s"):
        predict("m", ["x"], host=stand.host, timeout=0.1)


def test_no_server_and_no_texts_are_said(stand: Stand) -> None:
    with refused(SystemProblem, "LX-CLIENT-014"):
        predict("m", ["x"], host="127.0.0.1:1")
    with refused(InputError, "LX-CLIENT-002"):
        predict("m", [], host=stand.host)


@pytest.mark.parametrize("host", ["https://x:1", "http://x:1/path", "x:y", "http://", "x:99999"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with refused(InputError, "LX-SERVE-043", "--host"):
        predict("m", ["x"], host=host)
