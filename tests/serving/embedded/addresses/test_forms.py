"""Forms as TorchServe reads them; what cannot be read has no fields, however it is made."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from lexport.serving.embedded.addresses.forms import fields_of, is_form

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="data"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n'
    b'goal\r\n\xc3\xa9\r\n--b\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n1\r\n--b--\r\n'
)


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"data=goal+x%21&top_k=1", "application/x-www-form-urlencoded", {"data": b"goal x!", "top_k": b"1"}),
        (b"data=&x", "Application/X-WWW-Form-Urlencoded; charset=utf-8", {"data": b"", "x": b""}),
        (b"&".join(b"a%d=1" % place for place in range(101)), "application/x-www-form-urlencoded", {}),
        (FORM, "multipart/form-data; boundary=b", {"data": b"goal\r\n\xc3\xa9", "top_k": b"1"}),
        (b"no parts", "multipart/form-data; boundary=b", {}),
        (b"", "multipart/form-data", {}),
        (b"--b--", f"multipart/form-data; boundary={'b' * 300}", {}),
        (b"--b\r\n" + b"a: b\r\n" * 100_000 + b"\r\nx\r\n--b--", "multipart/form-data; boundary=b", {}),
        (b"--b\r\n" + b"a" * 1_000_000, "multipart/form-data; boundary=b", {}),
    ],
)
def test_forms_are_read_as_torchserve_reads_them(body: bytes, kind: str, expected: dict[str, bytes]) -> None:
    assert fields_of(body, kind) == expected


def test_a_broken_form_is_no_line_in_a_log(caplog: pytest.LogCaptureFixture) -> None:
    assert fields_of(b"--x", "multipart/form-data; boundary=b") == {}
    assert caplog.records == []


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/json", "multipart/mixed; boundary=b", "x; multipart/form-data"]
)
def test_other_bodies_are_no_forms(kind: str) -> None:
    assert not is_form(kind)


def part(name: str, content: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), content)


def test_a_part_may_be_any_bytes_and_long() -> None:
    content = bytes(range(256)) * 20_000
    assert fields_of(part("data", content) + b"--b--\r\n", "multipart/form-data; boundary=b") == {"data": content}


@pytest.mark.parametrize(("count", "kept"), [(100, 100), (101, 0)])
def test_a_form_of_many_parts_is_not_read(count: int, kept: int) -> None:
    body = b"".join(part(f"d{place}", b"x") for place in range(count)) + b"--b--\r\n"
    assert len(fields_of(body, "multipart/form-data; boundary=b")) == kept


def test_forms_in_forms_are_the_content_of_a_part() -> None:
    body = b"x"
    for depth in range(3_000, 1, -1):
        body = b"--b%d\r\n\r\n%b\r\n--b%d--\r\n" % (depth, body, depth)
    body = b'--b1\r\nContent-Disposition: form-data; name="data"\r\n\r\n' + body + b"\r\n--b1--\r\n"
    assert [*fields_of(body, "multipart/form-data; boundary=b1")] == ["data"]


@pytest.mark.parametrize("text", ["Ω≈ç√", "名詞", "a+b&c=d %41", "\x00\x1f", "😀", ""])
def test_a_form_gives_the_bytes_that_were_sent(text: str) -> None:
    body = urlencode({"data": text, "schlüssel": "wert"}).encode()
    found = fields_of(body, "application/x-www-form-urlencoded")
    assert found == {"data": text.encode(), "schlüssel": b"wert"}


def test_bytes_that_are_no_utf8_are_left_for_the_handler_to_refuse() -> None:
    assert fields_of(b"data=%ff\xfe", "application/x-www-form-urlencoded") == {"data": b"\xff\xfe"}
