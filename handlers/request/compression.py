"""Unpack bodies that are compressed with gzip (RFC 1952), up to the longest allowed body."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from .limits import MAX_REQUEST
from .refusals import Refusal, shorten

# A gzip body may have several members; each takes time, even an empty one.
MAX_MEMBERS = 64

_MAGIC = b"\x1f\x8b"
_NAMES = ("Content-Encoding", "content-encoding")


def unpacked(parameters: Mapping[str, Any], headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters with their body uncompressed; the same object if the body is not compressed.

    Raises Refusal for an encoding that is not gzip (415), a body that is not gzip (400) or that is too long (413).
    """
    body = parameters.get("body")
    named = headers.get(_NAMES[0]) or headers.get(_NAMES[1])
    if named is None:
        # No UTF-8 text begins like this, so other spellings of the header's name matter only for such a body.
        if not isinstance(body, (bytes, bytearray)) or body[:2] != _MAGIC:
            return parameters
        named = next((value for name, value in headers.items() if name.lower() == _NAMES[1]), None)
    # For form requests this header value is a field, not a string.
    if not isinstance(named, str) or not isinstance(body, (bytes, bytearray)):
        return parameters
    encoding = named.strip().lower()
    if encoding in ("", "identity"):
        return parameters
    if encoding not in ("gzip", "x-gzip"):
        raise Refusal(
            415, f"The content encoding {shorten(encoding)} is not served.", "gzip, or none", code="LX-HTTP-001"
        )
    return {**parameters, "body": _unpack(bytes(body))}


def _unpack(packed: bytes) -> bytes:
    expected = f"gzip of at most {MAX_REQUEST:,} bytes"
    if not packed:
        raise Refusal(400, "The request body is empty.", code="LX-HTTP-002")
    parts: list[bytes] = []
    left = MAX_REQUEST
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            # One byte more than allowed, to detect a body that is too long.
            parts.append(member.decompress(packed, left + 1))
        except zlib.error:
            raise Refusal(
                400, "The body is not valid gzip, though its content encoding says so.", expected, code="LX-HTTP-003"
            ) from None
        left -= len(parts[-1])
        if left < 0:
            raise Refusal(
                413, f"The body has more than {MAX_REQUEST:,} bytes uncompressed.", expected, code="LX-HTTP-004"
            )
        if not member.eof:
            raise Refusal(400, "The gzip body breaks off.", expected, code="LX-HTTP-005")
        packed = member.unused_data
        if not packed:
            return b"".join(parts)
    raise Refusal(400, f"The gzip body has more than {MAX_MEMBERS} members.", expected, code="LX-HTTP-006")
