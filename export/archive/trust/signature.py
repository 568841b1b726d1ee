"""The signature of an archive: Ed25519 over its DIGESTS, which list every other member.

`MAR-INF/SIGNATURE.json` holds the public key and the signature, both base64. Who the key belongs to an archive cannot
say of itself: that is for whoever has the key from elsewhere, `verify --key`.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

from ....errors import RefusedError
from ....handlers.model.digests import SIGNATURE
from ....storage.atomic import json_bytes
from ....storage.strict_json import parse_json
from . import keys

_SCHEMA = 1
# So that no signature made for something else is one of an archive.
_CONTEXT = b"lexport archive digests, schema 1\n"


def sign(digests: bytes, key: Path) -> bytes:
    """Return the member SIGNATURE for these DIGESTS by the private key in a file. Raises InputError, MissingExtra.

    Ed25519 is deterministic: the same archive and key make the same bytes.
    """
    private = keys.read_private(key)
    public = private.public_key().public_bytes_raw()
    return json_bytes(
        {
            "schema": _SCHEMA,
            "algorithm": "Ed25519",
            "signed": "MAR-INF/DIGESTS",
            "key": _text(public),
            "fingerprint": keys.fingerprint(public),
            "signature": _text(private.sign(_CONTEXT + digests)),
        }
    )


def signer(content: bytes, digests: bytes) -> bytes:
    """Return the public key, 32 bytes, that signed these DIGESTS. Raises RefusedError if the signature is wrong."""
    try:
        values = parse_json(content)
        schema, algorithm = values["schema"], values["algorithm"]
        if (schema, algorithm) != (_SCHEMA, "Ed25519"):
            raise RefusedError(
                f"{SIGNATURE} has schema {schema!r}, algorithm {algorithm!r}; this version reads schema {_SCHEMA}, "
                "Ed25519. Update lexport.",
                code="LX-TRUST-012",
            )
        raw, signature = _bytes(values["key"]), _bytes(values["signature"])
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"{SIGNATURE} is damaged: {type(error).__name__} {error}.", code="LX-TRUST-013") from None
    if not keys.check(raw, signature, _CONTEXT + digests):
        raise RefusedError(
            f"The signature by {keys.fingerprint(raw)} is not of these contents: MAR-INF/DIGESTS or {SIGNATURE} "
            "was altered after signing.",
            code="LX-TRUST-014",
        )
    return raw


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{error} in {str(text)[:40]!r}") from None
