"""Key pairs in files, and archives whose members were changed with digests made to fit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lexport.export.archive.format.reader import EVIDENCE
from lexport.export.formats.files import MODEL, without_name
from lexport.handlers.model.digests import DIGESTS, SIGNATURE

_USUAL = {"handler.py", "golden.jsonl", "model.json", "model-config.yaml", "requirements.txt"}


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
    """`source` with members added, changed, or (None) left out, unsigned, its digests and evidence made to fit."""
    members = {**members_of(source), **changes, DIGESTS: None, SIGNATURE: None}
    return write_members(target, fitted({name: one for name, one in members.items() if one is not None}))


def fitted(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """Members with the evidence and the DIGESTS that whoever altered them would write."""
    kept = {name: content for name, content in members.items() if name != DIGESTS}
    if EVIDENCE in kept:
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            kept[EVIDENCE] = _evidence_of(kept)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in kept.items()}
    kept[DIGESTS] = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()
    return kept


def _evidence_of(members: Mapping[str, bytes]) -> bytes:
    evidence = json.loads(members[EVIDENCE])
    [own] = [one for one in evidence["variants"] if one["name"] == evidence["variant"]]
    run = evidence["run"]["digests"]
    for name, content in members.items():
        if name in run:
            run[name] = hashlib.sha256(content).hexdigest()
        elif name == MODEL and name in own["digests"]:
            own["digests"][name] = hashlib.sha256(without_name(json.loads(content))).hexdigest()
        elif name in own["digests"] or not (name in _USUAL or name.startswith(("MAR-INF/", "lexport_handlers/"))):
            own["digests"][name] = hashlib.sha256(content).hexdigest()
    return json.dumps(evidence).encode()


def write_members(target: Path, members: Mapping[str, bytes]) -> Path:
    """An archive of these members, in the order of their names."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in sorted(members.items()):
            archive.writestr(name, content)
    return target
