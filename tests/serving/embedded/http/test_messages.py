"""Requests and responses by themselves: parts of a target, headers that cannot be forged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.serving.embedded.http import Fields, Limits, Request, Response
from lexport.serving.embedded.http.messages import render

from ....refusals import refused


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a/b?c=d&e=/f?g", "/a/b", "c=d&e=/f?g"),
        ("/%2e%2E/a%20b", "/%2e%2E/a%20b", ""),
        ("//a", "//a", ""),
        ("*", "*", ""),
        ("http://h:80/a?b", "/a", "b"),
        ("HTTPS://h", "/", ""),
        ("http://h?b", "/", "b"),
        ("http://h/a?b=http://c/", "/a", "b=http://c/"),
    ],
)
def test_a_target_has_path_and_query(target: str, path: str, query: str) -> None:
    request = Request("GET", target, {})
    assert (request.path, request.query) == (path, query)


def test_a_header_is_found_by_its_name_in_lower_case() -> None:
    request = Request("GET", "/", {b"a": b"b \t", b"c": b"caf\xe9"})
    assert (request.header("a"), request.header("c"), request.header("d")) == ("b", "café", None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a", "b\r\nc: d"),
        ("a", "b\nc"),
        ("a", "b\rc"),
        ("a", "b\0"),
        ("a", " b"),
        ("a", "b "),
        ("a", "é"),
        ("a b", "c"),
        ("a:", "b"),
        ("a\r\nb", "c"),
        ("", "b"),
        ("Content-Length", "0"),
        ("transfer-encoding", "chunked"),
        ("CONNECTION", "close"),
    ],
)
def test_a_header_that_could_be_read_as_another_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        Fields((name, value))


@given(st.text(max_size=8), st.text(max_size=8), st.binary(max_size=20))
def test_whatever_headers_are_accepted_an_answer_has_one_head(name: str, value: str, body: bytes) -> None:
    try:
        fields = Fields((name, value))
    except ValueError:
        return
    head, _, rest = render(Response(200, body, fields), b"", minor=1, bodiless=False, keep=True).partition(
        b"\r\n\r\n"
    )
    assert rest == body
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        f"{name}: {value}".encode(),
        b"content-length: %d" % len(body),
    ]


@pytest.mark.parametrize(("status", "body"), [(100, b""), (101, b""), (600, b""), (0, b""), (204, b"a"), (304, b"a")])
def test_an_answer_is_final_and_has_a_body_where_it_may(status: int, body: bytes) -> None:
    with pytest.raises(ValueError, match=str(status)):
        Response(status, body)


def test_a_status_without_a_name_is_written() -> None:
    assert render(Response(299), b"", minor=1, bodiless=False, keep=True).startswith(b"HTTP/1.1 299 \r\n")


@pytest.mark.parametrize("name", ["connections", "body", "head_seconds", "least_rate"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_of_nothing_is_refused_by_name(name: str, value: float) -> None:
    with refused(InputError, "LX-SERVE-101", name, value):
        Limits(**{name: value})  # type: ignore[arg-type]
