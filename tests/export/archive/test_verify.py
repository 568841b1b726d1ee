"""Signatures and digests: what holds says by whom it was signed, what does not says where it was altered."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lexport.errors import InputError, LexportError, RefusedError
from lexport.export.archive.format.pickles import pickles
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.pack import archive
from lexport.export.archive.trust import keys
from lexport.export.archive.verify import verify

from ...refusals import refused

ArchiveOf = Callable[[str], Path]
Members = dict[str, bytes]
PEM, SSH = serialization.Encoding.PEM, serialization.Encoding.OpenSSH


class Pair:
    """An Ed25519 key pair in files: PEM, and as ssh-keygen writes them with a comment."""

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir()
        key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        plain = serialization.NoEncryption()
        self.private, self.public = folder / "release.pem", folder / "release.pub"
        self.private.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain))
        public = key.public_key()
        self.public.write_bytes(public.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        self.ssh_private, self.ssh_public = folder / "id_ed25519", folder / "id_ed25519.pub"
        self.ssh_private.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.OpenSSH, plain))
        line = public.public_bytes(SSH, serialization.PublicFormat.OpenSSH)
        self.ssh_public.write_bytes(line + b" release team <r@example.org>\n")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("keys") / "ours", 1)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("keys") / "theirs", 2)


@pytest.fixture(scope="module")
def signed(run_folder: Path, ours: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("signed")
    return archive(run_folder, version="1.0", variant="torchscript-int8", out=out, sign=ours.private)


def changed(mar: Path, change: Callable[[Members], None], out: Path) -> Path:
    """A copy of an archive whose members `change` has altered, added or removed."""
    with zipfile.ZipFile(mar) as source:
        members = {name: source.read(name) for name in source.namelist()}
    change(members)
    with zipfile.ZipFile(out, "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    return out


def flipped(content: bytes, place: int = 0) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_a_signed_archive_says_by_whom(signed: Path, ours: Pair) -> None:
    found = verify(signed, [keys.read_public(ours.public)])
    assert (found.name, found.version, found.variant) == ("topics", "1.0", "torchscript-int8")
    assert found.signer == "release.pub"
    assert found.fingerprint == keys.read_public(ours.ssh_public).fingerprint
    assert found.fingerprint.startswith("SHA256:")
    by_comment = verify(signed, [keys.read_public(ours.ssh_public)])
    assert by_comment.signer == "release team <r@example.org>"


def test_without_a_trusted_key_the_signer_has_a_fingerprint_and_no_name(signed: Path) -> None:
    found = verify(signed)
    assert found.signer is None
    assert found.fingerprint is not None


def test_an_unsigned_archive_holds_unless_a_key_is_asked_for(archive_of: ArchiveOf, ours: Pair) -> None:
    assert verify(archive_of("onnx-int8")).fingerprint is None
    with refused(RefusedError, "LX-TRUST-010", "release.pub", "--sign"):
        verify(archive_of("onnx-int8"), [keys.read_public(ours.public)])


def test_another_signer_is_refused_unless_trusted_too(signed: Path, ours: Pair, theirs: Pair) -> None:
    both = [keys.read_public(pair.public) for pair in (theirs, ours)]
    assert verify(signed, both).signer == "release.pub"
    with refused(RefusedError, "LX-TRUST-011", "release.pub"):
        verify(signed, both[:1])


def test_openssh_and_pem_keys_make_the_same_archive(
    run_folder: Path, signed: Path, ours: Pair, tmp_path: Path
) -> None:
    again = archive(run_folder, version="1.0", variant="torchscript-int8", out=tmp_path, sign=ours.ssh_private)
    assert again.read_bytes() == signed.read_bytes()


def test_a_signed_archive_is_answered_in_this_process(signed: Path) -> None:
    with load_archive(signed) as loaded:
        assert loaded.predict(["goal and match"])[0]["label"] == "sport"


@pytest.mark.parametrize(
    ("member", "place"), [("model.pt", -1), ("labels.json", 3), ("handler.py", 0), ("MAR-INF/EVIDENCE.json", 9)]
)
def test_an_altered_member_is_named(signed: Path, tmp_path: Path, member: str, place: int) -> None:
    def change(members: Members) -> None:
        members[member] = flipped(members[member], place % len(members[member]))

    with refused(RefusedError, "LX-ARCHIVE-038", f"{member} was altered"):
        verify(changed(signed, change, tmp_path / "bad.mar"))


def test_everything_that_does_not_hold_is_named_at_once(signed: Path, tmp_path: Path) -> None:
    def change(members: Members) -> None:
        del members["labels.json"]
        members["text.json"] += b" "
        members["extra.py"] = b"x"

    with refused(RefusedError, "LX-ARCHIVE-038") as caught:
        verify(changed(signed, change, tmp_path / "bad.mar"))
    for problem in ("labels.json is missing", "extra.py is not listed", "text.json was altered"):
        assert problem in str(caught.value)


def test_digests_made_to_fit_an_altered_member_fail_the_signature(signed: Path, tmp_path: Path) -> None:
    """An attacker can repair DIGESTS, which are no secret; without the key not the signature."""

    def change(members: Members) -> None:
        before = hashlib.sha256(members["labels.json"]).hexdigest()
        members["labels.json"] = members["labels.json"].replace(b"sport", b"trops")
        after = hashlib.sha256(members["labels.json"]).hexdigest()
        members["MAR-INF/DIGESTS"] = members["MAR-INF/DIGESTS"].replace(before.encode(), after.encode())

    with refused(RefusedError, "LX-TRUST-014"):
        verify(changed(signed, change, tmp_path / "bad.mar"))


def test_a_removed_signature_is_noticed_where_a_key_is_asked_for(signed: Path, ours: Pair, tmp_path: Path) -> None:
    bare = changed(signed, lambda members: members.__delitem__("MAR-INF/SIGNATURE.json"), tmp_path / "bare.mar")
    assert verify(bare).fingerprint is None
    with refused(RefusedError, "LX-TRUST-010"):
        verify(bare, [keys.read_public(ours.public)])


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", ("LX-TRUST-013", "JSONDecodeError")),
        (b"[]", ("LX-TRUST-013", "TypeError")),
        (b"{}", ("LX-TRUST-013", "'schema'")),
        (b'{"schema": 2, "algorithm": "Ed25519"}', ("LX-TRUST-012", "2", "'Ed25519'", "1")),
        (b'{"schema":1,"algorithm":"none"}', ("LX-TRUST-012", "1", "'none'", "Ed25519")),
        (b"[" * 9999, ("LX-TRUST-013", "32")),
    ],
)
def test_a_damaged_signature_is_refused_with_the_reason(
    signed: Path, tmp_path: Path, content: bytes, error: tuple[str, ...]
) -> None:
    bad = changed(signed, lambda members: members.update({"MAR-INF/SIGNATURE.json": content}), tmp_path / "bad.mar")
    with refused(RefusedError, *error):
        verify(bad)


@pytest.mark.parametrize("field", ["key", "signature"])
@pytest.mark.parametrize(
    ("value", "code"),
    [("", "LX-TRUST-014"), ("AAAA", "LX-TRUST-014"), ("not base64!", "LX-TRUST-013"), (7, "LX-TRUST-013")],
)
def test_no_field_of_a_signature_can_be_made_up(
    signed: Path, tmp_path: Path, field: str, value: object, code: str
) -> None:
    def change(members: Members) -> None:
        values = json.loads(members["MAR-INF/SIGNATURE.json"])
        members["MAR-INF/SIGNATURE.json"] = json.dumps(values | {field: value}).encode()

    with refused(RefusedError, code, "bad.mar", "MAR-INF/SIGNATURE.json"):
        verify(changed(signed, change, tmp_path / "bad.mar"))


def test_evidence_of_a_refused_variant_is_no_proof(archive_of: ArchiveOf, tmp_path: Path) -> None:
    def change(members: Members) -> None:
        evidence = json.loads(members["MAR-INF/EVIDENCE.json"])
        for one in evidence["variants"]:
            one["refused"] = "max_metric_drop: accuracy fell"
        before = hashlib.sha256(members["MAR-INF/EVIDENCE.json"]).hexdigest()
        members["MAR-INF/EVIDENCE.json"] = json.dumps(evidence).encode()
        after = hashlib.sha256(members["MAR-INF/EVIDENCE.json"]).hexdigest()
        members["MAR-INF/DIGESTS"] = members["MAR-INF/DIGESTS"].replace(before.encode(), after.encode())

    with refused(RefusedError, "LX-ARCHIVE-041", "onnx-int8", "max_metric_drop"):
        verify(changed(archive_of("onnx-int8"), change, tmp_path / "bad.mar"))


def torch_saved() -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(2)}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocabulary.pkl", b"anything"),
        ("labels.bin", pickle.dumps(["a"])),
        ("weights.pt", torch_saved()),
        ("MODEL.PICKLE", b""),
    ],
)
def test_python_pickles_are_refused_however_they_are_called(
    archive_of: ArchiveOf, tmp_path: Path, name: str, content: bytes
) -> None:
    bad = changed(archive_of("onnx-int8"), lambda members: members.update({name: content}), tmp_path / "bad.mar")
    with refused(RefusedError, "LX-ARCHIVE-038", name, "pickle"):
        verify(bad)
    with refused(LexportError, "LX-ARCHIVE-077"), load_archive(bad):
        pass


def test_a_pickle_hidden_in_a_torchscript_file_is_found(archive_of: ArchiveOf, tmp_path: Path) -> None:
    def change(members: Members) -> None:
        buffer = io.BytesIO(members["model.pt"])
        with zipfile.ZipFile(buffer, "a") as inner:
            inner.writestr("model/extra/evil.pkl", pickle.dumps(1))
        members["model.pt"] = buffer.getvalue()

    bad = changed(archive_of("torchscript-fp32"), change, tmp_path / "bad.mar")
    with zipfile.ZipFile(bad) as mar:
        assert list(pickles(mar)) == ["model.pt: model/extra/evil.pkl"]


@pytest.mark.parametrize("variant", ["torchscript-fp32", "torchscript-int8", "onnx-fp32", "onnx-int8"])
def test_our_own_archives_hold_no_pickle(archive_of: ArchiveOf, variant: str) -> None:
    with zipfile.ZipFile(archive_of(variant)) as mar:
        assert list(pickles(mar)) == []


def test_keys_of_the_wrong_kind_are_refused_with_what_to_do(ours: Pair, tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    wrong, encrypted, text = tmp_path / "ec.pem", tmp_path / "locked.pem", tmp_path / "text.pem"
    plain = serialization.NoEncryption()
    wrong.write_bytes(other.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain))
    locked = serialization.BestAvailableEncryption(b"secret")
    key = Ed25519PrivateKey.generate()
    encrypted.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, locked))
    text.write_text("hello")
    with refused(InputError, "LX-TRUST-004", "Ed25519"):
        keys.read_private(wrong)
    with refused(InputError, "LX-TRUST-002", "is encrypted: set LEXPORT_KEY_PASSPHRASE"):
        keys.read_private(encrypted)
    with refused(InputError, "LX-TRUST-003"):
        keys.read_private(text)
    with refused(InputError, "LX-TRUST-006"):
        keys.read_public(text)
    with refused(InputError, "LX-TRUST-005"):
        keys.read_public(ours.private)
    with refused(InputError, "LX-TRUST-008", "No such file"):
        keys.read_private(tmp_path / "none.pem")


def test_an_encrypted_key_opens_with_its_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, key = tmp_path / "locked.pem", Ed25519PrivateKey.generate()
    locked = serialization.BestAvailableEncryption("päss".encode())
    path.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, locked))
    monkeypatch.setenv("LEXPORT_KEY_PASSPHRASE", "päss")
    assert keys.read_private(path).private_bytes_raw() == key.private_bytes_raw()
    monkeypatch.setenv("LEXPORT_KEY_PASSPHRASE", "pass")
    with refused(InputError, "LX-TRUST-003"):
        keys.read_private(path)


def test_the_command_line_signs_verifies_and_refuses(
    run_folder: Path, ours: Pair, theirs: Pair, tmp_path: Path
) -> None:
    def lexport(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lexport", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    packed = lexport(
        "archive", str(run_folder), "--version", "1", "--out", str(tmp_path), "--sign", str(ours.private)
    )
    assert packed.returncode == 0, packed.stderr
    mar = str(tmp_path / "topics-1.mar")
    held = lexport("verify", mar, "--key", str(ours.ssh_public))
    assert (held.returncode, "signed by release team <r@example.org> SHA256:" in held.stdout) == (0, True)
    refused = lexport("verify", mar, "--key", str(theirs.public))
    assert (refused.returncode, "expected release.pub" in refused.stderr) == (1, True)
