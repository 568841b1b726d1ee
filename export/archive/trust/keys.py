"""Ed25519 keys from files, as openssl (PEM) and ssh-keygen write them.

    openssl genpkey -algorithm ed25519 -out signing.pem
    openssl pkey -in signing.pem -pubout -out signing.pub

Ed25519: Josefsson, Liusvaara: Edwards-Curve Digital Signature Algorithm, RFC 8032, 2017.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ....errors import InputError, MissingExtra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PASSPHRASE = "LEXPORT_KEY_PASSPHRASE"
"""The environment variable with the passphrase of an encrypted private key."""

_HOW = "Make one with: openssl genpkey -algorithm ed25519 -out signing.pem"


@dataclass(frozen=True)
class PublicKey:
    """Whom an archive is trusted from. raw: the 32 bytes of the key. name: what its file calls it."""

    raw: bytes
    name: str

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, the same that `ssh-keygen -lf` shows of this key."""
        return fingerprint(self.raw)


def fingerprint(raw: bytes) -> str:
    """`SHA256:…` of a public key's 32 bytes, in the wire format of RFC 8709 that ssh-keygen hashes."""
    kind = b"ssh-ed25519"
    wire = len(kind).to_bytes(4, "big") + kind + len(raw).to_bytes(4, "big") + raw
    return "SHA256:" + base64.b64encode(hashlib.sha256(wire).digest()).decode().rstrip("=")


def read_private(path: Path) -> Ed25519PrivateKey:
    """Return the private key of a file. Raises InputError without a key, MissingExtra without `cryptography`."""
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    content = _read(path)
    ssh = b"OPENSSH PRIVATE KEY" in content
    load = serialization.load_ssh_private_key if ssh else serialization.load_pem_private_key
    given = os.environ.get(PASSPHRASE)
    try:
        key = load(content, given.encode() if given else None)
    except TypeError:  # encrypted without a passphrase, or the reverse
        wanted = f"is encrypted: set {PASSPHRASE}" if not given else f"is not encrypted: unset {PASSPHRASE}"
        raise InputError(f"The private key {path} {wanted}.", code="LX-TRUST-002") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{path} cannot be read as a private key ({error}). Expected an Ed25519 key in PEM or OpenSSH form and, "
            f"where it is encrypted, its passphrase in {PASSPHRASE}. {_HOW}",
            code="LX-TRUST-003",
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(
            f"{path} holds a key of another kind than Ed25519 ({type(key).__name__}). {_HOW}", code="LX-TRUST-004"
        )
    return key


def read_public(path: Path) -> PublicKey:
    """Return the public key of a file. Its name is the comment of an OpenSSH key, else the file's own.

    Raises InputError for a file without one, also for a private key, which must not be where archives are verified.
    Raises MissingExtra without `cryptography`.
    """
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    content = _read(path)
    if b"PRIVATE KEY" in content:
        raise InputError(
            f"{path} is a private key; archives are verified with the public one: openssl pkey -in {path} -pubout",
            code="LX-TRUST-005",
        )
    ssh = content.startswith(b"ssh-")
    try:
        key = (serialization.load_ssh_public_key if ssh else serialization.load_pem_public_key)(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{path} cannot be read as a public key ({error}). Expected an Ed25519 key in PEM or OpenSSH form.",
            code="LX-TRUST-006",
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(
            f"{path} holds a key of another kind than Ed25519 ({type(key).__name__}). {_HOW}", code="LX-TRUST-007"
        )
    comment = content.decode("utf-8", "replace").split(None, 2)[2:] if ssh else []
    return PublicKey(key.public_bytes_raw(), (comment or [path.name])[0].strip())


def check(raw: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether the holder of the public key `raw`, 32 bytes, signed `message`. Raises MissingExtra."""
    _need_cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"The key {path} cannot be read: {error.strerror}. {_HOW}", code="LX-TRUST-008") from None


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise MissingExtra.of("cryptography", "Signing and checking signatures") from None
