"""Bodies that arrive compressed with gzip (RFC 1952), unpacked as far as a body may be long and no further."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from .refusals import Refusal, shorten

# What the same body may have uncompressed, TorchServe's `max_request_size`.
LONGEST = 6_553_500
# A gzip body may be several, one after the other; each takes time, whatever is in it.
MOST_MEMBERS = 64

_MAGIC = b"\x1f\x8b"
_NAMES = ("Content-Encoding", "content-encoding")


def unpacked(parameters: Mapping[str, Any], headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters with their body uncompressed; the very same where nothing is compressed.

    Raises Refusal for an encoding that is not gzip (415), what is no gzip (400), and too much of it (413).
    """
    body = parameters.get("body")
    named = headers.get(_NAMES[0]) or headers.get(_NAMES[1])
    if named is None:
        # No UTF-8 begins like this, so that the other ways to write the header's name need not be looked for else.
        if not isinstance(body, (bytes, bytearray)) or body[:2] != _MAGIC:
            return parameters
        named = next((value for name, value in headers.items() if name.lower() == _NAMES[1]), None)
    # A form's field of that name is no string here.
    if not isinstance(named, str) or not isinstance(body, (bytes, bytearray)):
        return parameters
    encoding = named.strip().lower()
    if encoding in ("", "identity"):
        return parameters
    if encoding not in ("gzip", "x-gzip"):
        raise Refusal(415, f"The content encoding {shorten(encoding)} is not served.", "gzip, or none")
    return {**parameters, "body": _unpack(bytes(body))}


def _unpack(packed: bytes) -> bytes:
    expected = f"gzip of at most {LONGEST:,} bytes"
    if not packed:
        raise Refusal(400, "The request body is empty.")
    parts: list[bytes] = []
    left = LONGEST
    for _ in range(MOST_MEMBERS):
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            # One byte more than may be, so that too many are told from just enough.
            parts.append(member.decompress(packed, left + 1))
        except zlib.error:
            raise Refusal(400, "The body is not valid gzip, though its content encoding says so.", expected) from None
        left -= len(parts[-1])
        if left < 0:
            raise Refusal(413, f"The body has more than {LONGEST:,} bytes uncompressed.", expected)
        if not member.eof:
            raise Refusal(400, "The gzip body breaks off.", expected)
        packed = member.unused_data
        if not packed:
            return b"".join(parts)
    raise Refusal(400, f"The gzip body has more than {MOST_MEMBERS} members.", expected)
