"""Key pairs in files, and archives whose members were changed with digests made to fit."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lexport.handlers.digests import DIGESTS, SIGNATURE


def key_pair(folder: Path, name: str, seed: int) -> tuple[Path, Path]:
    """The private and the public Ed25519 key in PEM files, NAME.pem and NAME.pub."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    pem = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def members_of(path: Path) -> dict[str, bytes]:
    """The members of an archive by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(source: Path, changes: Mapping[str, bytes | None], target: Path) -> Path:
    """`source` with members added, changed, or (None) left out, unsigned, its digests made to fit."""
    members = {**members_of(source), **changes, DIGESTS: None, SIGNATURE: None}
    kept = {name: content for name, content in members.items() if content is not None}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in kept.items()}
    kept[DIGESTS] = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()
    return write_members(target, kept)


def write_members(target: Path, members: Mapping[str, bytes]) -> Path:
    """An archive of these members, in the order of their names."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in sorted(members.items()):
            archive.writestr(name, content)
    return target
