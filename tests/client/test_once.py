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

from lexport.client.once import explain, predict
from lexport.errors import InputError, LexportError, SystemProblem


class Stand(HTTPServer):
    """Answers every request with `status` and `answer`, and remembers the last one."""

    status = 200
    answer: Any = ()
    pause = 0.0
    last: dict[str, Any]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Reply(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Stand)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.last = {"path": self.path, "token": self.headers["Authorization"], "body": json.loads(body)}
        time.sleep(self.server.pause)
        content = json.dumps(self.server.answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content)))
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
    stand.answer = [{"label": "a"}, {"label": "b"}]
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
    with pytest.raises(InputError, match="No images"):
        predict("m", images=[], host=stand.host)
    with pytest.raises(InputError, match="beside images"):
        predict("m", ["a"], images=[[1.0]], host=stand.host)
    with pytest.raises(InputError, match="beside images"):
        predict("m", lang="en", images=[[1.0]], host=stand.host)


@pytest.mark.parametrize(
    ("status", "answer", "kind", "reason"),
    [
        (400, {"type": "InvalidKeyException", "message": "Token…"}, SystemProblem, "unauthorised.*--token-file"),
        (401, {}, SystemProblem, "unauthorised"),
        (404, {"message": "Model not found: m"}, InputError, "does not serve m"),
        (503, {"message": "no worker"}, SystemProblem, "queue is full"),
        (413, {"message": "too big"}, InputError, "Send fewer texts"),
        (422, {"error": "Bad.", "expected": "good"}, InputError, r"\(422\): Bad. Expected: good"),
        (500, "boom\nboom", SystemProblem, r"failed \(500\): boom boom"),
        (200, {"label": "a"}, SystemProblem, "not with a list of as many answers"),
        (200, [1, 2], SystemProblem, "not with a list of as many answers"),
    ],
)
def test_refusals_say_cause_and_remedy(
    stand: Stand, status: int, answer: Any, kind: type[LexportError], reason: str
) -> None:
    stand.status, stand.answer = status, answer
    with pytest.raises(kind, match=reason):
        predict("m", ["x"], host=stand.host)


def test_a_slow_server_is_not_waited_for_for_ever(stand: Stand) -> None:
    stand.pause = 0.5
    with pytest.raises(SystemProblem, match=r"did not answer within 0\.1 s"):
        predict("m", ["x"], host=stand.host, timeout=0.1)


def test_no_server_and_no_texts_are_said(stand: Stand) -> None:
    with pytest.raises(SystemProblem, match="No server listens"):
        predict("m", ["x"], host="127.0.0.1:1")
    with pytest.raises(InputError, match="No texts"):
        predict("m", [], host=stand.host)


@pytest.mark.parametrize("host", ["https://x:1", "http://x:1/path", "x:y", "http://", "x:99999"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="--host"):
        predict("m", ["x"], host=host)
