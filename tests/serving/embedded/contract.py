"""Requests to the three addresses of a server, and the answers that two engines are held to give alike."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lexport.serving import Server

INFERENCE, MANAGEMENT, METRICS = "inference", "management", "metrics"
JSON, TEXT, FORM = "application/json", "text/plain", "application/x-www-form-urlencoded"
ASKED = '{"text": "goal"}'
_V2 = '{"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["goal", "rain 很"]}], "outputs": %s}'

# They differ by nature, and TorchServe closes the connection after every refusal.
_NOT_COMPARED = {"date", "x-request-id", "connection", "content-length"}


class Case(NamedTuple):
    """One request."""

    address: str
    method: str
    target: str
    body: str | None = None
    kind: str | None = None
    token: bool = True

    def __str__(self) -> str:
        """Return it as the table of differences names it."""
        return f"{self.address} {self.method} {self.target}"


class Answer(NamedTuple):
    """The answer to one request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """The JSON value, or the text."""
        try:
            return json.loads(self.body)
        except ValueError:
            return self.body.decode()


def everywhere() -> list[Case]:
    """Requests that each of the three addresses gets."""
    cases = []
    for address in (INFERENCE, MANAGEMENT, METRICS):
        for target in ("/", "/nothing", "/metrics", "/metrics?name[]=Requests2XX", "/ping", "/api-description"):
            cases += [Case(address, "GET", target), Case(address, "GET", target, token=False)]
        for target in ("/ping/", "/metrics/", "/models", "/workflows", "/token?type=inference"):
            cases.append(Case(address, "GET", target))
        for method in ("POST", "PUT", "DELETE", "HEAD"):
            cases += [Case(address, method, "/ping"), Case(address, method, "/metrics")]
        cases += [Case(address, "OPTIONS", target) for target in ("/", "/predictions/NAME", "*")]
        cases += [Case(address, method, "/") for method in ("PUT", "TRACE")]
    return cases


def questions() -> list[Case]:
    """Requests to a model, at every path that TorchServe has for them."""
    targets = [
        *("/predictions/NAME", "/predictions/NAME/VERSION", "/predictions/NAME/9", "/predictions/none"),
        *("/predictions/", "/predictions", "/predictions//", "/predictions/NAME/", "/predictions/NAME/VERSION/x"),
        *("/explanations/NAME", "/explanations/NAME/VERSION", "/explanations/NAME/9", "/explanations/none"),
        *("/v1/models/NAME:predict", "/v1/models/none:predict", "/v1/models/NAME:explain", "/v1/models/NAME"),
        *("/models/NAME/invoke", "/models/none/invoke", "/invocations", "/predictions/NAME%2FVERSION"),
    ]
    cases = [Case(INFERENCE, "POST", target, ASKED, JSON) for target in targets]
    cases += [Case(INFERENCE, "GET", target) for target in targets]
    cases += [Case(INFERENCE, method, "/predictions/NAME", ASKED, JSON) for method in ("PUT", "PATCH", "DELETE")]
    cases += [
        Case(INFERENCE, "POST", "/predictions/NAME", ASKED, JSON, token=False),
        Case(INFERENCE, "POST", "/predictions/NAME", "goal", TEXT),
        Case(INFERENCE, "POST", "/predictions/NAME", "{", JSON),
        Case(INFERENCE, "POST", "/predictions/NAME", "", TEXT),
        Case(INFERENCE, "POST", "/predictions/NAME", "data=goal", FORM),
        Case(INFERENCE, "POST", "/predictions/NAME?top_k=1", ASKED, JSON),
        *(
            Case(INFERENCE, "POST", target, _V2 % outputs, JSON)
            for target in ("/predictions/NAME", "/v2/models/NAME/infer")
            for outputs in ('[{"name": "scores"}, {"name": "label"}]', "[]", '[{"name": "none"}]', '["label"]')
        ),
        Case(INFERENCE, "GET", "/predictions/NAME?data=goal"),
        Case(INFERENCE, "HEAD", "/predictions/NAME"),
    ]
    return cases


def reads() -> list[Case]:
    """Requests that look at models."""
    queries = ["limit=1", "limit=0", "limit=-1", "limit=x", "limit=1000", "limit=99999999999999999999"]
    queries += ["next_page_token=0", "next_page_token=1", "next_page_token=x", "next_page_token=-1"]
    targets = ["/models", "/models/", *(f"/models?{query}" for query in queries)]
    targets += ["/models/NAME", "/models/NAME/", "/models/NAME/VERSION", "/models/NAME/VERSION/", "/models/NAME/all"]
    targets += ["/models/NAME/9", "/models/none", "/models/none/1.0", "/models/none/all", "/models/NAME/VERSION/x"]
    targets += [f"/models/NAME?customized={value}" for value in ("true", "false", "x")]
    targets += ["/models/NAME/VERSION?customized=true", "/models/NAME/all?customized=true"]
    cases = [Case(MANAGEMENT, "GET", target) for target in targets]
    cases += [Case(MANAGEMENT, method, "/models") for method in ("HEAD", "PATCH", "PUT", "DELETE")]
    return [*cases, Case(MANAGEMENT, "GET", "/models", token=False), Case(MANAGEMENT, "PATCH", "/models/NAME")]


def changes() -> list[Case]:
    """Requests that change models, in an order in which each has something to do; in the end all is as before."""
    register = [
        *("", "?url=", "?url=nothing.mar", "?url=../x.mar", "?url=/etc/passwd", "?url=http://127.0.0.1:1/x.mar"),
        *("?url=FILE", "?url=FILE&batch_size=x", "?model_name=x", "?url=FILE&model_name=two"),
        *("?url=FILE&model_name=four&initial_workers=1&synchronous=true&batch_size=4&response_timeout=9",),
        *("?url=FILE&model_name=five&initial_workers=-1", "?url=FILE&model_name=six&initial_workers=x"),
        *("?url=FILE&model_name=seven&batch_size=0", "?url=FILE&model_name=nine&runtime=java"),
        "?url=FILE&model_name=ten&handler=x.py",
    ]
    cases = [Case(MANAGEMENT, "POST", f"/models{query}") for query in register]
    cases += [
        Case(MANAGEMENT, "POST", "/models", '{"url": "FILE", "model_name": "json"}', JSON),
        Case(MANAGEMENT, "POST", "/models", '{"url":', JSON),
        Case(MANAGEMENT, "POST", "/models", "url=FILE&model_name=form", FORM),
        *(
            Case(MANAGEMENT, "GET", target)
            for target in ("/models", "/models?limit=2", "/models/two", "/models/four")
        ),
        Case(MANAGEMENT, "GET", "/models?limit=2&next_page_token=2"),
        *(Case(INFERENCE, "POST", f"/predictions/{name}", ASKED, JSON) for name in ("two", "four")),
        Case(INFERENCE, "GET", "/ping"),
    ]
    scale = [
        *("two?min_worker=1&synchronous=true", "two", "two?min_worker=1", "two?min_worker=2&max_worker=1"),
        *("two?min_worker=-1", "two?min_worker=x", "two?min_worker=1&max_worker=1&synchronous=true&timeout=60"),
        *("two/VERSION?min_worker=1&synchronous=true", "two/9?min_worker=1", "none?min_worker=1"),
        *("none/1.0?min_worker=1", "two?max_worker=0", "two/VERSION/x?min_worker=1"),
        *("two?min_worker=1&number_gpu=x", "two?min_worker=1&synchronous=maybe", "two?min_worker=0&synchronous=true"),
    ]
    cases += [Case(MANAGEMENT, "PUT", f"/models/{target}") for target in scale]
    defaults = ["NAME/VERSION", "NAME/9", "none/1.0", "NAME"]
    cases += [Case(MANAGEMENT, "PUT", f"/models/{target}/set-default") for target in defaults]
    cases += [Case(MANAGEMENT, method, "/models/NAME/VERSION/set-default") for method in ("POST", "GET")]
    removed = ["two", "two", "four/9", "none", "none/1.0", "four?synchronous=true", "json?synchronous=maybe"]
    removed += ["five/VERSION", "six", "seven", "NAME/VERSION/x", "form/VERSION?timeout=x"]
    cases += [Case(MANAGEMENT, "DELETE", f"/models/{target}") for target in removed]
    asked = Case(INFERENCE, "POST", "/predictions/NAME", ASKED, JSON)
    return [
        *cases,
        Case(MANAGEMENT, "POST", "/models/NAME"),
        Case(MANAGEMENT, "PUT", "/models/NAME?min_worker=0&synchronous=true"),
        *(asked, Case(INFERENCE, "GET", "/ping"), Case(MANAGEMENT, "GET", "/models/NAME")),
        *(Case(MANAGEMENT, "PUT", "/models/NAME?min_worker=1&synchronous=true"), asked),
        *(Case(MANAGEMENT, "DELETE", "/models/NAME"), asked),
        Case(MANAGEMENT, "POST", "/models?url=FILE&initial_workers=1&synchronous=true"),
        *(asked, Case(MANAGEMENT, "GET", "/models")),
    ]


def asked(server: Server, cases: Sequence[Case]) -> list[Answer]:
    """Send the requests one after the other, each over a connection of its own."""
    [(name, version)] = server.models.items()
    names = {"NAME": name, "VERSION": version, "FILE": f"{name}-{version}.mar"}
    urls = {INFERENCE: server.inference_url, MANAGEMENT: server.management_url, METRICS: server.metrics_url}

    def filled(text: str) -> str:
        for key, value in names.items():
            text = text.replace(key, value)
        return text

    answers = []
    for case in cases:
        headers = {} if case.kind is None else {"Content-Type": case.kind}
        if case.token and case.address != METRICS:
            headers["Authorization"] = f"Bearer {server.token(case.address)}"
        where = urlsplit(urls[case.address])
        connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=60)
        try:
            body = None if case.body is None else filled(case.body).encode()
            connection.request(case.method, filled(case.target), body, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            answers.append(Answer(answer.status, found, answer.read()))
        finally:
            connection.close()
    return answers


def difference(case: Case, one: Answer, other: Answer) -> str:
    """Return in what two answers differ: status, headers, body; "" where they agree.

    Descriptions of addresses have words of their own; numbers, times and process numbers differ.
    """
    if one.status != other.status:
        return f"status {one.status}, {other.status}"
    left, right = (
        {name: value for name, value in answer.headers.items() if name not in _NOT_COMPARED}
        for answer in (one, other)
    )
    if left != right:
        return f"headers {sorted(left.items() ^ right.items())}"
    if ("x-request-id" in one.headers) != ("x-request-id" in other.headers):
        return "header x-request-id"
    if one.body == other.body or case.method == "HEAD":
        return ""
    return "" if _same(case, one)(one.value, other.value) else f"body {one.value!r}, {other.value!r}"


def _same(case: Case, answer: Answer) -> Callable[[Any, Any], bool]:
    """Return what compares the values of two answers."""
    path = case.target.partition("?")[0].rstrip("/")
    if answer.status == 200 and (case.method == "OPTIONS" or path == "/api-description"):
        return _both_describe
    if answer.status == 200 and path == "/metrics":
        return _both_count
    return _same_shape if answer.status == 200 and case.address == MANAGEMENT else _is_equal


def _is_equal(one: Any, other: Any) -> bool:
    return bool(one == other)


def _same_shape(one: Any, other: Any) -> bool:
    return bool(_shape(one) == _shape(other))


def _shape(value: Any) -> Any:
    """Return a JSON value's names and types, of a list those of its first element."""
    if isinstance(value, Mapping):
        return {name: _shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return type(value).__name__


def _both_describe(one: Any, other: Any) -> bool:
    return bool(one["openapi"] == other["openapi"] and one["paths"] and other["paths"])


def _both_count(one: Any, other: Any) -> bool:
    return str(one).startswith("# HELP ") and str(other).startswith("# HELP ")
