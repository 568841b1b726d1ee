"""Generated bad requests to the real TorchServe: no 5xx of the handler, no hang, no worker lost.

Half are drawn by schemathesis against docs/openapi.json, half put together here from what clients get wrong.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import NamedTuple

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from ..cases import FORM, JSON, MULTIPART
from ..conftest import SERVED, Client, Reply
from .test_openapi import DOCUMENT, problems

# What TorchServe's frontend makes of a request by itself, other than 400, 404 and 413, and the smallest request of
# each: docs/http.md lists them.
FRONTEND: dict[tuple[int, str], tuple[bytes, str]] = {
    (500, "ErrorDataDecoderException"): (b"data=%", FORM),
    (403, "IllegalCharsetNameException"): (b"", f"{MULTIPART}; charset=\u00ff"),
}

DOORS = ("/predictions/{}", "/predictions/{}/1.0", "/explanations/{}", "/v2/models/{}/infer")


class Sent(NamedTuple):
    """A request as it is sent."""

    path: str
    body: bytes
    content_type: str | None
    headers: dict[str, str]


_words = st.sampled_from(["goal", "", " ", "很", "\0", "\ud800", "1e999", "en", "x" * 5000, "👩\u200d👧"])
_leaves = st.none() | st.booleans() | st.integers(-3, 10**25) | st.floats() | _words | st.text(max_size=5)
_flat = _leaves | st.lists(_leaves, max_size=4)
_nested = _flat | st.lists(_flat, max_size=4) | st.dictionaries(_words, _flat, max_size=3)
# More elements than a list may have; of leaves alone, since lists of such lists would fill the memory.
_values = _nested | _leaves.map(lambda one: [one if one != "x" * 5000 else "x"] * 1025)
_tensors = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["text", "image"]) | _values,
            "datatype": st.sampled_from(["BYTES", "FP32"]) | _values,
            "shape": st.lists(st.integers(-2, 3), max_size=3) | _values,
            "data": st.lists(_words, max_size=3) | _values,
        },
    ),
    max_size=2,
)
_objects = st.fixed_dictionaries(
    {},
    optional={
        "text": _words | _values,
        "texts": st.lists(_words, max_size=3) | _values,
        "image": _values,
        "images": _values,
        "lang": _values,
        "top_k": st.integers(-1, 4) | _values,
        "threshold": st.floats(-0.5, 1.5) | _values,
        "inputs": _tensors | _values,
        "id": _values,
        "parameters": st.fixed_dictionaries({}, optional={"lang": _values}) | _values,
    },
)


@st.composite
def _json_bodies(draw: st.DrawFn) -> bytes:
    """JSON of the right keys and wrong values, some of it damaged."""
    body = json.dumps(draw(_objects | _values)).encode()
    if body and draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(body) - 1))
        body = body[:place] + draw(st.binary(max_size=3)) + body[place + draw(st.integers(0, 3)) :]
    return body


_parts = st.lists(
    st.tuples(
        st.sampled_from(
            ['name="data"', 'name="top_k"', 'name=""', "x=1", 'name="data"; filename="a"', 'name="body"']
        ),
        st.sampled_from(
            ["", "\r\nContent-Type: text/plain; charset=x", "\r\nContent-Type: a/b", "\r\nContent-Type:"]
        ),
        st.binary(max_size=20),
    ),
    max_size=3,
).map(
    lambda parts: (
        b"".join(
            b"--B\r\nContent-Disposition: form-data; " + f"{head}{kind}".encode() + b"\r\n\r\n" + value + b"\r\n"
            for head, kind, value in parts
        )
        + b"--B--\r\n"
    )
)
_bodies = (
    st.binary(max_size=40)
    | _json_bodies()
    | st.text("dat=%&+;zF0ok_", max_size=12).map(str.encode)
    | _parts
    | st.sampled_from([b"[" * 100_000, b'{"text":' * 50_000, b"goal " * 20_000])
)
_types = st.sampled_from([JSON, JSON, JSON, FORM, MULTIPART, "text/plain", "", "application/x+json", "a/b; charset"])
_charsets = st.sampled_from(
    ["", "", "", "; charset=utf-8", "; charset=ascii", "; charset=utf-16", "; charset=\u00ff"]
)
_ENCODINGS = ("gzip", "GZIP", "x-gzip", "br", "identity", "gzip, gzip", "\u00ff")


@st.composite
def bad_requests(draw: st.DrawFn) -> Sent:
    """What a careless or a hostile client may send to any of the endpoints."""
    headers, body = {}, draw(_bodies)
    if draw(st.integers(0, 3)) == 0:
        headers["Content-Encoding"] = draw(st.sampled_from(_ENCODINGS))
        if draw(st.booleans()):
            body = gzip.compress(body, mtime=0)[: draw(st.integers(1, 60)) if draw(st.booleans()) else None]
    path = draw(st.sampled_from(DOORS)).format(draw(st.sampled_from(sorted(SERVED))))
    content_type = draw(_types.flatmap(lambda kind: _charsets.map(lambda charset: kind + charset)) | st.none())
    return Sent(path, body, content_type, headers)


_operations = schemathesis.openapi.from_dict(DOCUMENT)
_cases = {
    path: _operations[path]["POST"].as_strategy(generation_mode=GenerationMode.NEGATIVE) for path in DOCUMENT["paths"]
}


@st.composite
def spec_requests(draw: st.DrawFn) -> Sent:
    """What breaks the OpenAPI document, by schemathesis, put to a model that is there."""
    case = draw(_cases[draw(st.sampled_from(sorted(_cases)))])
    case.path_parameters = {"model": draw(st.sampled_from(sorted(SERVED))), "version": "1.0"}
    kwargs = case.as_transport_kwargs(base_url="http://localhost")
    made = requests.Request(**{key: kwargs[key] for key in kwargs if key in _REQUEST}).prepare()
    body = made.body or b""
    assert isinstance(body, (str, bytes))
    own = {name: str(made.headers[name]) for name in ("Content-Encoding",) if name in made.headers}
    content_type = made.headers.get("Content-Type")
    sent = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    return Sent(made.path_url, sent, content_type if content_type is None else str(content_type), own)


_REQUEST = ("method", "url", "headers", "files", "data", "json", "params", "cookies")


def check(sent: Sent, reply: Reply) -> None:
    """Answered or refused by the model as openapi.json says, refused by TorchServe, or one of its own failures."""
    told = json.loads(reply.body) if reply.body else {}
    if "lexport-version" not in reply.headers:
        known = reply.status in (400, 413) or (reply.status, told.get("type")) in FRONTEND
        assert known, (reply.status, reply.body[:300], sent)
        return
    assert reply.status in (200, 400, 413, 415), (reply.status, reply.body[:300], sent)
    schema = "Refusal" if reply.status != 200 else "Explanations" if "explan" in sent.path else "Answers"
    assert problems(schema, told) == [], (reply.body[:300], sent)


def bombard(client: Client, requests_: st.SearchStrategy[Sent], count: int, number: int) -> None:
    """Send `count` requests, the same ones for the same `number`."""
    statuses: dict[int, int] = {}

    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(sent=requests_)
    def send(sent: Sent) -> None:
        reply = client.post(sent.path, sent.body, sent.content_type, headers=sent.headers)
        statuses[reply.status] = statuses.get(reply.status, 0) + 1
        check(sent, reply)

    send()
    assert sum(statuses.values()) >= count
    # Most are bad, and reach the handler to be told so.
    assert statuses.get(400, 0) > count / 3


STRATEGIES: dict[str, Callable[[], st.SearchStrategy[Sent]]] = {"own": bad_requests, "openapi": spec_requests}


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("kind", STRATEGIES)
def test_100_bad_requests(client: Client, kind: str) -> None:
    bombard(client, STRATEGIES[kind](), 100, 0)


@pytest.mark.long
@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("number", range(1, 21))
@pytest.mark.parametrize("kind", STRATEGIES)
def test_20_000_bad_requests(client: Client, kind: str, number: int) -> None:
    bombard(client, STRATEGIES[kind](), 500, number)


@pytest.mark.parametrize(("status", "kind"), sorted(FRONTEND))
def test_torchserves_own_failures_are_listed(client: Client, status: int, kind: str) -> None:
    if client.server.engine != "torchserve":
        pytest.skip("the embedded engine has none of them")
    reply = client.post("/predictions/onnx", *FRONTEND[status, kind])
    assert (reply.status, reply.json["type"]) == (status, kind)
    assert "lexport-version" not in reply.headers
