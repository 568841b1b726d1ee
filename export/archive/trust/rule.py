"""Whose archives are used: the keys that the user has configured. One rule for every command and function.

Keys are those given (`--key`, `trusted=`), else the files that LEXPORT_KEYS names. With keys, an archive that none of
them signed is refused by whatever opens archives. Which code a TorchServe worker may run is in `code.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....errors import RefusedError
from . import signature
from .keys import PublicKey, fingerprint, read_public

VARIABLE = "LEXPORT_KEYS"
"""The environment variable with files of public keys, separated as PATH is."""


def configured(trusted: Sequence[PublicKey] | None) -> Sequence[PublicKey]:
    """Return the keys of which one must have signed an archive; none for no check.

    `trusted` None means what LEXPORT_KEYS says. Raises RefusedError if that is set and names no file, InputError for
    a file that is no public key.
    """
    if trusted is not None:
        return trusted
    named = os.environ.get(VARIABLE)
    if named is None:
        return ()
    files = [part.strip() for part in named.split(os.pathsep) if part.strip()]
    if not files:
        raise RefusedError(
            f"{VARIABLE} is set and names no key, as when a secret of a CI job is absent. Expected files of public "
            "keys; unset it to use archives whoever made them.",
            code="LX-TRUST-009",
        )
    return [read_public(Path(file)) for file in files]


def signer(signed: bytes | None, digests: bytes, trusted: Sequence[PublicKey]) -> bytes | None:
    """Return the key (32 bytes) that signed an archive's DIGESTS, one of those trusted if there are any.

    `signed` is its SIGNATURE, None where it has none; then the answer is None. Raises RefusedError for a signature
    that is damaged or not by a trusted key, or absent where keys are trusted.
    """
    known = " or ".join(f"{key.name} ({key.fingerprint})" for key in trusted)
    if signed is None:
        if trusted:
            raise RefusedError(
                f"The archive is not signed; expected a signature by {known}. Pack it with --sign KEY.",
                code="LX-TRUST-010",
            )
        return None
    by = signature.signer(signed, digests)
    if trusted and by not in {key.raw for key in trusted}:
        raise RefusedError(
            f"The archive is signed by {fingerprint(by)}, expected {known}. If that signer is to be trusted, "
            "give its public key as another --key.",
            code="LX-TRUST-011",
        )
    return by


@dataclass(frozen=True)
class Trust:
    """What the user trusts."""

    keys: Sequence[PublicKey] = ()
    """If there are any, one of them must have signed every archive."""
    insist: bool = False
    """Whether code that is not lexport's may run (`--trust-code`), where no keys decide."""

    @classmethod
    def of(cls, trusted: Sequence[PublicKey] | None, insist: bool) -> Trust:
        """From what a command was given. Raises as `configured` does."""
        return cls(configured(trusted), insist)
