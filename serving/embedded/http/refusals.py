"""What the server answers by itself: requests it cannot or will not read, in the form of a model's refusals."""

from __future__ import annotations

from ....handlers.request.answers import render_refusal
from ....handlers.request.refusals import Refusal
from .limits import Limits
from .messages import JSON, Fields, Response

_LATER = Fields(("content-type", "application/json"), ("retry-after", "1"))


def response(refusal: Refusal) -> Response:
    """Return the answer of a refusal; 429 and 503 say that the client may ask again after a second."""
    return Response(refusal.status, render_refusal(refusal), _LATER if refusal.status in (429, 503) else JSON)


def malformed(problem: str) -> Refusal:
    """Return the refusal of bytes that are not one request, or not one alone to every reader."""
    return Refusal(
        400, f"This is not a valid HTTP request: {problem}.", "a request as RFC 9112 has it", code="LX-HTTP-101"
    )


def host(problem: str) -> Refusal:
    """Return the refusal of a request without one readable Host."""
    return Refusal(400, f"The request has {problem}.", "one header Host with a name and a port", code="LX-HTTP-102")


def encoding(value: str) -> Refusal:
    """Return the refusal of a body in another transfer encoding than chunks."""
    return Refusal(
        400,
        f"The transfer encoding {value!r} is not read.",
        "chunked, in HTTP/1.1, or a Content-Length",
        code="LX-HTTP-103",
    )


def method(name: str) -> Refusal:
    """Return the refusal of a method that no resource here has."""
    return Refusal(501, f"The method {name} is not known.", "GET, HEAD, POST or OPTIONS", code="LX-HTTP-104")


def version(name: str) -> Refusal:
    """Return the refusal of another version of HTTP."""
    return Refusal(505, f"The version {name} is not spoken here.", "HTTP/1.1 or HTTP/1.0", code="LX-HTTP-105")


def target(limits: Limits) -> Refusal:
    """Return the refusal of a long path and query."""
    return Refusal(
        414, "The path with its query is too long.", f"at most {limits.target:,} bytes", code="LX-HTTP-106"
    )


def head(limits: Limits) -> Refusal:
    """Return the refusal of a long head, or of one with many lines."""
    return Refusal(
        431,
        "The header is too long.",
        f"at most {limits.fields:,} lines and {limits.head:,} bytes",
        code="LX-HTTP-107",
    )


def body(limits: Limits) -> Refusal:
    """Return the refusal of a long body."""
    return Refusal(413, "The body is too long.", f"at most {limits.body:,} bytes", code="LX-HTTP-108")


def chunks(limits: Limits) -> Refusal:
    """Return the refusal of a body in many chunks."""
    return Refusal(
        413,
        "The body comes in too many chunks.",
        f"at most {limits.chunks:,} chunks, or a Content-Length",
        code="LX-HTTP-109",
    )


def slow_head(limits: Limits) -> Refusal:
    """Return the refusal of a head that takes too long."""
    return Refusal(
        408,
        "The header took too long to arrive.",
        f"all of it within {limits.head_seconds:g} s",
        code="LX-HTTP-110",
    )


def slow_body(limits: Limits) -> Refusal:
    """Return the refusal of a body that takes too long."""
    return Refusal(
        408,
        "The body took too long to arrive.",
        f"{limits.least_rate:g} bytes a second after the first {limits.body_seconds:g} s",
        code="LX-HTTP-111",
    )


def expectation(value: str) -> Refusal:
    """Return the refusal of an expectation that is not known."""
    return Refusal(417, f"The expectation {value!r} cannot be met.", "100-continue, or none", code="LX-HTTP-112")


def full(limits: Limits) -> Refusal:
    """Return the refusal of a connection too many."""
    return Refusal(
        503,
        f"All {limits.connections:,} connections of this server are in use.",
        "fewer connections; try again in a second",
        code="LX-HTTP-113",
    )


def crowded() -> Refusal:
    """Return the refusal of a body for which there is no memory beside the others that arrive or are answered."""
    return Refusal(
        503,
        "Too many long bodies are here at once.",
        "shorter bodies, or fewer at once; try again in a second",
        code="LX-HTTP-114",
    )


def unread() -> Refusal:
    """Return the refusal of an answer for which there is no memory beside the others that wait to be read."""
    return Refusal(
        503,
        "Too many long answers wait for their clients to read them.",
        "clients that read, or shorter answers; try again in a second",
        code="LX-HTTP-134",
    )


def failure() -> Refusal:
    """Return the refusal of a request whose handler failed; the log says more."""
    return Refusal(500, "The server failed to answer.", "an answer; the server's log says more", code="LX-HTTP-115")


def ending() -> Refusal:
    """Return the refusal of a request whose answer was given up while the client waited."""
    return Refusal(
        503, "The request was given up.", "a server that is not stopping; try again in a second", code="LX-HTTP-116"
    )
