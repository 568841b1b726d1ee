"""The inference address of the embedded engine: TorchServe's paths, statuses, headers and bodies."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lexport.export.archive.inprocess import LoadedArchive, load_archive
from lexport.serving.embedded.addresses.inference import Inference
from lexport.serving.embedded.addresses.tokens import Bearer
from lexport.serving.embedded.model import Model
from lexport.serving.embedded.models import Models
from lexport.serving.tokens import Accepted

from ..http.clients import Answer, ask, connected, run, serving

KEPT = Path(__file__).parents[3] / "export" / "archive" / "kept" / "schema-2.mar"
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def loaded() -> Iterator[LoadedArchive]:
    with load_archive(KEPT) as opened:
        yield opened


def request(method: str, path: str, body: bytes = b"", kind: str = "text/plain", *more: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", f"Content-Type: {kind}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answers(loaded: LoadedArchive, *requests: bytes, token: str | None = None) -> list[Answer]:
    """The answers to requests of one connection each, all sent at once."""

    async def main() -> list[Answer]:
        models = Models()
        models.add(Model(loaded))
        inference = Inference(models, Bearer(None if token is None else Accepted(token)))
        async with serving(inference.handle, admit=inference.admit) as server:
            return await asyncio.gather(*[ask(server, one) for one in requests])

    return run(main())


def test_a_models_answers_are_those_of_its_archive_in_process(loaded: LoadedArchive) -> None:
    goldens = [json.loads(line) for line in (loaded.folder / "golden.jsonl").read_text("utf-8").splitlines()]
    bodies = [(json.dumps({"text": one["text"]}).encode(), "application/json") for one in goldens if "text" in one]
    bodies += [(b'{"texts": ["goal", 1]}', "application/json"), (b"\xff", "text/plain"), (b"goal", "image/png")]
    name, version = loaded.worker.predictor.model.name, loaded.worker.predictor.model.version
    for path in (f"/predictions/{name}", f"/predictions/{name}/{version}", f"/models/{name}/invoke"):
        for body, kind in bodies:
            [found] = answers(loaded, request("POST", path, body, kind))
            [(status, expected)] = loaded.request([(body, kind)])
            assert (found.status, found.body) == (status, expected)
            assert found.headers["content-type"] == "application/json"
            assert found.headers["lexport-version"] == version
            assert found.headers["lexport-variant"] == loaded.worker.predictor.model.variant
            assert found.headers["cache-control"].startswith("no-cache")


def test_a_bad_request_among_others_is_refused_alone(loaded: LoadedArchive) -> None:
    name = loaded.worker.predictor.model.name
    bodies = [b"goal", b"", b"rain", b'{"text": 3}']
    found = answers(loaded, *[request("POST", f"/predictions/{name}", body) for body in bodies])
    assert [answer.status for answer in found] == [200, 400, 200, 400]


def test_a_form_is_answered_as_json_is_and_a_form_in_forms_is_no_error_of_the_server(loaded: LoadedArchive) -> None:
    path = f"/predictions/{loaded.worker.predictor.model.name}"
    nested = b"x"
    for depth in range(3_000, 0, -1):
        kind = b"Content-Type: multipart/mixed; boundary=b%d" % (depth + 1)
        nested = b"--b%d\r\n%b\r\n\r\n%b\r\n--b%d--\r\n" % (depth, kind, nested, depth)
    of_json, of_form, of_nested = answers(
        loaded,
        request("POST", path, b'{"text": "goal rain", "top_k": 1}', "application/json"),
        request("POST", path, b"data=goal+rain&top_k=1", "application/x-www-form-urlencoded"),
        request("POST", path, nested, "multipart/form-data; boundary=b1"),
    )
    assert (of_json.status, of_json.body) == (of_form.status, of_form.body)
    assert (of_nested.status, of_nested.code) == (400, "LX-HTTP-010")


def test_an_explanation_is_that_of_the_archive(loaded: LoadedArchive) -> None:
    name = loaded.worker.predictor.model.name
    [found] = answers(loaded, request("POST", f"/explanations/{name}", b"goal"))
    assert (found.status, found.body) == loaded.request([(b"goal", "text/plain")], explain=True)[0]


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "message"),
    [
        ("POST", "/predictions/nope", 404, "ModelNotFoundException", "Model not found: nope"),
        (
            "POST",
            "/predictions/{name}/9.9",
            404,
            "ModelVersionNotFoundException",
            "Model version: 9.9 does not exist for model: {name}",
        ),
        ("POST", "/predictions", 404, "ResourceNotFoundException", "Requested resource is not found, "),
        ("POST", "/predictions/", 404, "ResourceNotFoundException", "Requested resource is not found, "),
        ("GET", "/models", 404, "ResourceNotFoundException", "Requested resource is not found, "),
        ("GET", "/", 405, "MethodNotAllowedException", "Requested method is not allowed, "),
    ],
)
def test_what_is_not_there_is_said_as_torchserve_says_it(
    loaded: LoadedArchive, method: str, path: str, status: int, kind: str, message: str
) -> None:
    name = loaded.worker.predictor.model.name
    [found] = answers(loaded, request(method, path.format(name=name)))
    value = json.loads(found.body)
    assert (found.status, value["code"], value["type"]) == (status, status, kind)
    assert value["message"].startswith(message.format(name=name))


def test_who_lacks_the_token_gets_an_answer_and_no_place(loaded: LoadedArchive) -> None:
    path = f"/predictions/{loaded.worker.predictor.model.name}"
    [refused] = answers(loaded, request("GET", path), token=TOKEN)
    assert (refused.status, refused.headers["connection"]) == (400, "close")
    bearer = f"Authorization: Bearer {TOKEN}"
    [answered] = answers(loaded, request("GET", path, b"", "text/plain", bearer), token=TOKEN)
    assert "connection" not in answered.headers
    assert answered.code == "LX-HTTP-007"


def test_a_request_without_the_token_is_refused_before_its_body_is_read(loaded: LoadedArchive) -> None:
    name = loaded.worker.predictor.model.name
    right, wrong = f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}x"
    path = f"/predictions/{name}"
    found = answers(
        loaded,
        request("POST", path, b"goal", "text/plain", right),
        request("POST", path, b"goal", "text/plain", wrong),
        request("POST", path, b"goal"),
        request("GET", "/ping"),
        request("GET", "/ping", b"", "text/plain", right),
        token=TOKEN,
    )
    assert [answer.status for answer in found] == [200, 400, 400, 400, 200]
    assert json.loads(found[1].body)["type"] == "InvalidKeyException"

    async def main() -> Answer:
        inference = Inference(Models(), Bearer(Accepted(TOKEN)))
        async with serving(inference.handle, admit=inference.admit) as server, connected(server) as client:
            client.send(request("POST", path, b"goal")[:-2])
            return await client.answer()

    assert run(main()).status == 400


def test_ping_answers_byte_for_byte_as_torchserve_does(loaded: LoadedArchive) -> None:
    [found] = answers(loaded, request("GET", "/ping"))
    assert found.body == b'{\n  "status": "Healthy"\n}\n'


def test_an_answer_has_the_id_of_its_request(loaded: LoadedArchive) -> None:
    path = f"/predictions/{loaded.worker.predictor.model.name}"
    own = "X-Request-Id: order-17/3"
    found = answers(
        loaded,
        request("POST", path, b"goal", "text/plain", own),
        request("POST", path, b"goal"),
        request("POST", path, b"goal", "text/plain", "X-Request-Id: <script>"),
    )
    ids = [answer.headers["x-request-id"] for answer in found]
    assert ids[0] == "order-17/3"
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one) for one in ids[1:])
    assert len(set(ids)) == 3


def test_a_token_is_checked_again_in_every_head_that_differs(loaded: LoadedArchive) -> None:
    path = f"/predictions/{loaded.worker.predictor.model.name}"

    def asked(token: str) -> bytes:
        return request("POST", path, b"goal", "text/plain", f"Authorization: Bearer {token}")

    async def main() -> list[int]:
        models = Models()
        models.add(Model(loaded))
        inference = Inference(models, Bearer(Accepted(TOKEN)))
        found = []
        async with serving(inference.handle, admit=inference.admit) as server:
            for token in (TOKEN, TOKEN, TOKEN[:-1] + "X", TOKEN, "x" * len(TOKEN)):
                found.append((await ask(server, asked(token))).status)
        return found

    assert run(main()) == [200, 200, 400, 200, 400]


def test_what_is_remembered_of_a_head_is_not_its_body_or_its_model(loaded: LoadedArchive) -> None:
    name, version = loaded.worker.predictor.model.name, loaded.worker.predictor.model.version

    async def main() -> list[int]:
        models = Models()
        models.add(Model(loaded))
        found = []
        async with serving(Inference(models, Bearer(None)).handle) as server, connected(server) as client:
            for body in (b"goal", b"    ", b"\xff\xfe\xfd\xfc", b"goal"):
                client.send(request("POST", f"/predictions/{name}", body))
                found.append((await client.answer()).status)
            models.suspend(name, version)
            client.send(request("POST", f"/predictions/{name}", b"goal"))
            found.append((await client.answer()).status)
            models.remove(name, version)
            client.send(request("POST", f"/predictions/{name}", b"goal"))
            found.append((await client.answer()).status)
        return found

    assert run(main()) == [200, 200, 400, 200, 503, 404]
