"""Requests that servers read differently, and what becomes of each behind either proxy.

Of each: its name, its bytes, what the client gets from haproxy and from nginx, and what TorchServe gets of those that
are passed on: method and path with the body, once for each request.
"""

from __future__ import annotations

from typing import Any

import pytest

from .proxy_cases import KINDS

POST = b"POST /predictions/m HTTP/1.1\r\nHost: x\r\n"
LINE = b"POST /predictions/m"
BODY = b"Content-Length: 2\r\n\r\nhi"
CHUNKS = b"\r\n2\r\nhi\r\n0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ENDED = b"\r\n0\r\n\r\n"
HIDDEN = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
ONE = [(LINE, b"hi")]

Case = tuple[str, bytes, int, int, list[tuple[bytes, bytes]]]


def at(path: bytes, method: bytes = b"POST") -> bytes:
    return b"%s %s HTTP/1.1\r\nHost: x\r\n" % (method, path) + BODY


# Passed on by both, in normal form.
NORMALISED: list[Case] = [
    ("ordinary", POST + BODY, 200, 200, ONE),
    ("chunked", POST + CHUNKED + CHUNKS, 200, 200, ONE),
    ("CHUNKED in capitals", POST + CHUNKED.replace(b"chunked", b"CHUNKED") + CHUNKS, 200, 200, ONE),
    ("chunk extension and trailer", POST + CHUNKED + b"\r\n2;a=b\r\nhi\r\n0\r\nT: x\r\n\r\n", 200, 200, ONE),
    ("LF alone ends every line", (POST + BODY).replace(b"\r\n", b"\n"), 200, 200, ONE),
    ("LF alone ends one line", POST + b"A: b\n" + BODY, 200, 200, ONE),
    ("LF alone in chunks", POST + CHUNKED + b"\r\n2\nhi\n0\n\n", 200, 200, ONE),
    ("underscore for a hyphen", POST + b"Transfer_Encoding: chunked\r\n" + BODY, 200, 200, ONE),
    ("HTTP/1.0", POST.replace(b"1.1", b"1.0") + BODY, 200, 200, ONE),
    ("absolute address", at(b"http://x/predictions/m"), 200, 200, ONE),
    ("upgrade to HTTP/2", POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + BODY, 200, 200, ONE),
    ("a body that is a request", POST + b"Content-Length: 31\r\n\r\n" + HIDDEN, 200, 200, [(LINE, HIDDEN)]),
    ("GET with a body", at(b"/predictions/m", b"GET"), 200, 200, [(b"GET /predictions/m", b"hi")]),
    ("HEAD", b"HEAD /ping HTTP/1.1\r\nHost: x\r\n\r\n", 200, 200, [(b"HEAD /ping", b"")]),
    ("two requests at once", (POST + BODY) * 2, 200, 200, ONE * 2),
    ("version and query", at(b"/predictions/m/1.0?a=/x"), 200, 200, [(b"POST /predictions/m/1.0?a=/x", b"hi")]),
    ("encoded name", at(b"/predictions/%C3%BC"), 200, 200, [(b"POST /predictions/%C3%BC", b"hi")]),
    ("Open Inference Protocol: ready", at(b"/v2/health/ready", b"GET"), 200, 200, [(b"GET /v2/health/ready", b"hi")]),
    ("Open Inference Protocol: a version", at(b"/v2/models/m/versions/1.0/infer"), 200, 200,
     [(b"POST /v2/models/m/versions/1.0/infer", b"hi")]),
    ("Open Inference Protocol: metadata", at(b"/v2/models/m", b"GET"), 200, 200, [(b"GET /v2/models/m", b"hi")]),
    ("Open Inference Protocol", at(b"/v2/models/m/infer"), 200, 200, [(b"POST /v2/models/m/infer", b"hi")]),
    ("explanations", at(b"/explanations/m"), 200, 200, [(b"POST /explanations/m", b"hi")]),
]  # fmt: skip

# One proxy passes these on in normal form, the other refuses them.
DIFFERENT: list[Case] = [
    ("the same length twice", POST + b"Content-Length: 2\r\n" + BODY, 200, 400, ONE),
    ("a list of equal lengths", POST + b"Content-Length: 2, 2\r\n\r\nhi", 200, 400, ONE),
    ("a length beside chunks", POST + b"Content-Length: 4\r\n" + CHUNKED + ENDED + HIDDEN, 200, 400, [(LINE, b"")]),
    ("chunks beside a length", POST + CHUNKED + b"Content-Length: 4\r\n" + ENDED + HIDDEN, 200, 400, [(LINE, b"")]),
    ("tabs in the first line", b"POST\t/predictions/m\tHTTP/1.1\r\nHost: x\r\n" + BODY, 200, 400, ONE),
    ("absolute address of another host", at(b"http://y/predictions/m"), 400, 200, ONE),
    ("HTTP/1.2", POST.replace(b"1.1", b"1.2") + BODY, 200, 200, ONE),
    ("a bad percent sign", at(b"/predictions/%zz"), 200, 400, [(b"POST /predictions/%zz", b"hi")]),
    ("200 header lines", POST + b"A: b\r\n" * 200 + BODY, 400, 200, ONE),
]  # fmt: skip

# Refused by both; nothing of them reaches TorchServe.
REFUSED: list[Case] = [
    (name, data, haproxy, nginx, [])
    for name, data, haproxy, nginx in [
        ("length +2", POST + b"Content-Length: +2\r\n\r\nhi", 400, 400),
        ("length -2", POST + b"Content-Length: -2\r\n\r\nhi", 400, 400),
        ("length 0x2", POST + b"Content-Length: 0x2\r\n\r\nhi", 400, 400),
        ("length of 20 digits", POST + b"Content-Length: 99999999999999999999\r\n\r\nhi", 400, 400),
        ("empty length", POST + b"Content-Length:\r\n\r\nhi", 400, 400),
        ("two lengths", POST + b"Content-Length: 3\r\n" + BODY, 400, 400),
        ("a space before the colon of a length", POST + b"Content-Length : 2\r\n\r\nhi", 400, 400),
        ("encoding gzip", POST + b"Transfer-Encoding: gzip\r\n\r\nhi", 400, 501),
        ("encoding xchunked", POST + b"Transfer-Encoding: xchunked\r\n" + BODY, 400, 501),
        ("encoding identity", POST + b"Transfer-Encoding: identity\r\n" + BODY, 400, 501),
        ("encoding gzip, chunked", POST + b"Transfer-Encoding: gzip, chunked\r\n" + CHUNKS, 422, 501),
        ("encoding chunked, identity", POST + b"Transfer-Encoding: chunked, identity\r\n" + CHUNKS, 400, 501),
        ("encoding behind a vertical tab", POST + b"Transfer-Encoding: \x0bchunked\r\n" + BODY, 400, 501),
        ("two encodings", POST + CHUNKED * 2 + CHUNKS, 400, 400),
        ("a space before the colon of an encoding", POST + b"Transfer-Encoding : chunked\r\n" + BODY, 400, 400),
        ("an encoding on a folded line", POST + b"Transfer-Encoding:\r\n chunked\r\n" + BODY, 400, 400),
        ("chunks in HTTP/1.0", POST.replace(b"1.1", b"1.0") + CHUNKED + CHUNKS, 400, 400),
        ("chunk length 2x", POST + CHUNKED + b"\r\n2x\r\nhi\r\n0\r\n\r\n", 400, 400),
        ("chunk length -2", POST + CHUNKED + b"\r\n-2\r\nhi\r\n0\r\n\r\n", 400, 400),
        ("chunk length of 17 digits", POST + CHUNKED + b"\r\n10000000000000002\r\nhi\r\n0\r\n\r\n", 400, 400),
        ("a chunk longer than its length", POST + CHUNKED + b"\r\n2\r\nhiXX0\r\n\r\n", 400, 400),
        ("CR alone ends a line", POST + b"A: b\r" + BODY, 400, 400),
        ("NUL in a value", POST + b"A: b\0c\r\n" + BODY, 400, 400),
        ("NUL in a name", POST + b"A\0: b\r\n" + BODY, 400, 400),
        ("a space before the first name", POST.replace(b"Host", b" A: b\r\nHost") + BODY, 400, 400),
        ("no Host", POST.replace(b"Host: x\r\n", b"") + BODY, 400, 400),
        ("two Hosts", POST + b"Host: y\r\n" + BODY, 400, 400),
        ("a space in the path", at(b"/predictions/m x"), 400, 400),
        ("bytes beyond ASCII in the path", at("/predictions/ü".encode()), 400, 404),
        ("HTTP/2 in plain", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 400),
        ("a line of 9,000 bytes", POST + b"A: " + b"b" * 9000 + b"\r\n" + BODY, 431, 431),
        ("15,000 bytes of header", POST + (b"A: " + b"b" * 3000 + b"\r\n") * 5 + BODY, 431, 431),
        ("PUT", at(b"/predictions/m", b"PUT"), 405, 405),
        ("TRACE", b"TRACE /ping HTTP/1.1\r\nHost: x\r\n\r\n", 405, 405),
        ("CONNECT", b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 404, 400),
        ("management", at(b"/models/m"), 404, 404),
        ("the repository of models", at(b"/v2/repository/models/m/unload"), 404, 404),
        ("metrics", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 404, 404),
        ("dots behind an allowed path", at(b"/predictions/../models"), 404, 404),
        ("dots before an allowed path", at(b"/models/../predictions/m"), 404, 404),
        ("encoded slashes", at(b"/models%2f..%2fpredictions/m"), 404, 404),
        ("two slashes", at(b"//predictions/m"), 404, 404),
        ("the place of nginx's own answers", at(b"/refused/404"), 404, 404),
    ]
]


def cases() -> list[Any]:
    """Each case once for each proxy: kind, bytes, status, what reaches the backend."""
    return [
        pytest.param(kind, data, status, reached if status == 200 else [], id=f"{kind}-{name}")
        for kind in KINDS
        for name, data, *both, reached in [*NORMALISED, *DIFFERENT, *REFUSED]
        for status in [both[KINDS.index(kind)]]
    ]
