"""What `verify` checks behind a good signature: an archive holds what its evidence was measured with, and no more."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lexport.cli import archive_tables as archive_screens
from lexport.errors import InputError, LexportError, RefusedError
from lexport.export.archive.format.contents import problems as content_problems
from lexport.export.archive.inspect import inspect
from lexport.export.archive.pack import archive
from lexport.export.archive.trust import keys
from lexport.export.archive.trust.signature import sign
from lexport.export.archive.verify import verify
from lexport.handlers.model.digests import MANIFEST, SIGNATURE

from ...refusals import refused
from .test_verify import changed

ArchiveOf = Callable[[str], Path]
Members = dict[str, bytes]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key in a file."""
    path = tmp_path_factory.mktemp("keys") / "release.pem"
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
    path.write_bytes(private.private_bytes(serialization.Encoding.PEM, form, plain))
    return path


@pytest.fixture(scope="module")
def trusted(key: Path) -> list[keys.PublicKey]:
    return [keys.PublicKey(keys.read_private(key).public_key().public_bytes_raw(), "release.pub")]


@pytest.fixture(scope="module")
def signed(run_folder: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("signed")
    return archive(run_folder, version="1.0", variant="torchscript-int8", out=out, sign=key)


def resigned(members: Members, key: Path | None) -> None:
    """Make DIGESTS right again, and sign them where there is a key."""
    listed = {name: hashlib.sha256(one).hexdigest() for name, one in members.items()}
    lines = [f"{listed[name]}  {name}\n" for name in sorted(listed.keys() - {"MAR-INF/DIGESTS", SIGNATURE})]
    members["MAR-INF/DIGESTS"] = "".join(lines).encode()
    if key is not None:
        members[SIGNATURE] = sign(members["MAR-INF/DIGESTS"], key)


Told = Callable[[Callable[[Members], None]], str]


@pytest.fixture
def told(signed: Path, key: Path, trusted: list[keys.PublicKey], tmp_path: Path) -> Told:
    """What verification says of an archive that was changed before it was signed."""

    def told(change: Callable[[Members], None]) -> str:
        def change_and_sign(members: Members) -> None:
            change(members)
            resigned(members, key)

        with pytest.raises((RefusedError, InputError)) as caught:
            verify(changed(signed, change_and_sign, tmp_path / "bad.mar"), trusted)
        return str(caught.value)

    return told


def in_json(member: str, change: Callable[[Any], None]) -> Callable[[Members], None]:
    def in_members(members: Members) -> None:
        value = json.loads(members[member])
        change(value)
        members[member] = json.dumps(value).encode()

    return in_members


@pytest.mark.parametrize(
    "value", ["topics\nx.mar: signed by release.pub", "", "a b", "\x1b[31m", "ä", ["topics"], None]
)
@pytest.mark.parametrize("field", ["modelName", "modelVersion"])
def test_names_and_versions_are_words_without_lines_or_signs(told: Told, field: str, value: object) -> None:
    """They are printed beside "signed by", and become parts of URLs and file names."""
    change = in_json(MANIFEST, lambda manifest: manifest["model"].update({field: value}))
    said = told(change)
    assert f"its {field} is {value!r}. Only letters, digits" in said
    assert "\n" not in said


def test_a_variants_name_is_a_word(told: Told) -> None:
    def rename(evidence: Any) -> None:
        [own] = [one for one in evidence["variants"] if one["name"] == evidence["variant"]]
        own["name"] = evidence["variant"] = "a\nb"

    said = told(in_json("MAR-INF/EVIDENCE.json", rename))
    assert "its variant is 'a\\nb'" in said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sitecustomize.py", b""),
        ("lexport_handlers/sub/sub/x.py", b""),
        ("data/texts.csv", b"text"),
        ("golden.made.jsonl", b""),
    ],
)
def test_a_member_that_no_archive_of_ours_has_is_named(told: Told, name: str, content: bytes) -> None:
    said = told(lambda members: members.update({name: content}))
    assert f"failed verification: {name} is not a member of a lexport archive." in said


@pytest.mark.parametrize(
    "name",
    [
        "handler.py",
        "golden.jsonl",
        "README.md",
        "requirements.txt",
        "model.json",
        "model.pt",
        "MAR-INF/SBOM.cdx.json",
    ],
)
def test_a_member_that_every_archive_of_ours_has_is_missed(told: Told, name: str) -> None:
    said = told(lambda members: members.__delitem__(name))
    assert f"{name} is missing" in said


@pytest.mark.parametrize("name", ["model.pt", "golden.jsonl", "labels.json", "text.json", "README.md"])
def test_a_file_that_is_not_the_one_the_evidence_was_measured_with_is_named(told: Told, name: str) -> None:
    def change(members: Members) -> None:
        members[name] = members[name].replace(b"sport", b"trops") + b"\n"

    said = told(change)
    assert f"failed verification: {name} is not the file of the evidence" in said


def test_an_archive_without_golden_requests_proves_nothing(told: Told) -> None:
    content = b""

    def change(members: Members) -> None:
        members["golden.jsonl"] = content
        evidence = json.loads(members["MAR-INF/EVIDENCE.json"])
        for one in evidence["variants"]:
            one["digests"]["golden.jsonl"] = hashlib.sha256(content).hexdigest()
        members["MAR-INF/EVIDENCE.json"] = json.dumps(evidence).encode()

    said = told(change)
    assert "golden.jsonl has no golden request" in said


def test_golden_requests_without_texts_are_the_evidences_too(run_folder: Path, tmp_path: Path) -> None:
    assert verify(archive(run_folder, version="1.0", variant="onnx-int8", out=tmp_path, no_texts=True)).members > 10


def test_of_many_problems_twenty_are_named(told: Told) -> None:
    said = told(lambda members: members.update({f"data/{number:02}": b"" for number in range(30)}))
    assert "data/19 is not a member of a lexport archive; and 10 more." in said


def test_no_text_of_the_evidence_makes_a_line_of_its_own(told: Told) -> None:
    def refuse(evidence: Any) -> None:
        for one in evidence["variants"]:
            one["refused"] = "max_flips\nx.mar: signed by release.pub"

    said = told(in_json("MAR-INF/EVIDENCE.json", refuse))
    assert "was refused: 'max_flips\\nx.mar: signed" in said


def test_a_manifest_that_names_other_code_is_refused(told: Told) -> None:
    change = in_json(MANIFEST, lambda manifest: manifest["model"].update(handler="lexport_handlers/worker.py"))
    said = told(change)
    assert "MANIFEST.json has handler 'lexport_handlers/worker.py' instead of 'handler.py'" in said


def test_a_model_file_of_another_variant_is_refused(told: Told) -> None:
    change = in_json("model.json", lambda model: model.update(variant="onnx-int8"))
    assert "model.json names the variant 'onnx-int8'" in told(change)


def test_a_model_file_may_differ_from_the_exported_one_in_name_and_version_alone(told: Told) -> None:
    change = in_json("model.json", lambda model: model.update(threshold=0.1))
    assert "model.json is not the file of the evidence" in told(change)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"[1]", "EVIDENCE.json is not a JSON object. Make"),
        (b"\xff{}", "can't decode"),
        (b'{"a": ' * 50 + b"1" + b"}" * 50, "nests deeper than 32"),
        (b"[" * 100_000, "nests deeper than 32"),
        (b'{"created": ' + b"9" * 5000 + b"}", "a number has 5,000 digits"),
        (b'{"created": NaN}', "NaN is not a finite number"),
        (b'{"created": 1e999}', "1e999 is not a finite number"),
        (b'{"variant": "a", "variant": "b"}', "a key twice"),
        (b"[" + b"[]," * 1_300_000 + b"[]]", "about 2,600,00. values"),
        (b'{"variants": [[]], "variant": "a"}', "do not say what is packed"),
        (b'{"variants": 7, "variant": []}', "do not say what is packed"),
    ],
    ids=lambda value: value[:20].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_evidence_that_cannot_be_read_is_refused_with_the_reason(told: Told, content: bytes, reason: str) -> None:
    said = told(lambda members: members.update({"MAR-INF/EVIDENCE.json": content}))
    assert re.search(reason, said), said


def test_all_is_read_from_the_file_that_was_opened(
    signed: Path, trusted: list[keys.PublicKey], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file takes the archive's place as soon as it is open: what is reported is of the first one."""
    path, whole = tmp_path / "topics.mar", signed.read_bytes()
    path.write_bytes(whole)

    def replaced(members: Any) -> Any:
        (tmp_path / "other").write_bytes(b"another archive")
        (tmp_path / "other").replace(path)
        return content_problems(members)

    monkeypatch.setattr("lexport.export.archive.verify.content_problems", replaced)
    found = verify(path, trusted)
    assert path.read_bytes() == b"another archive"
    assert found.digest == hashlib.sha256(whole).hexdigest()


@pytest.mark.parametrize("name", ["golden.jsonl", "requirements.txt", "README.md", "MAR-INF/EVIDENCE.json"])
def test_inspect_refuses_an_archive_without_what_it_shows(signed: Path, tmp_path: Path, name: str) -> None:
    bad = changed(signed, lambda members: members.__delitem__(name), tmp_path / "bad.mar")
    code = "LX-ARCHIVE-036" if name == "MAR-INF/EVIDENCE.json" else "LX-ARCHIVE-038"
    with refused(LexportError, code, "bad.mar", name):
        inspect(bad)


@pytest.mark.parametrize(
    "change",
    [
        lambda evidence: evidence.pop("machine"),
        lambda evidence: evidence.update(created=10**19),
        lambda evidence: evidence.update(gates={"max_flips": "many"}),
        lambda evidence: evidence.update(left_out=[]),
        lambda evidence: evidence["run"].update(task="divination"),
        lambda evidence: evidence["run"]["data"].update(name=None, digest=7),
        lambda evidence: evidence["variants"][0].update(latency={}, name={}),
        lambda evidence: evidence.update(trained=None),
    ],
)
def test_evidence_without_what_is_shown_is_refused_where_it_is_shown(
    archive_of: ArchiveOf, tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    def change_and_list(members: Members) -> None:
        in_json("MAR-INF/EVIDENCE.json", change)(members)
        resigned(members, None)

    found = inspect(changed(archive_of("onnx-int8"), change_and_list, tmp_path / "bad.mar"))
    with refused(RefusedError, "LX-REPORT-003", "EVIDENCE.json"):
        archive_screens.inspection(found)


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"numpy\n", ("LX-ARCHIVE-015", "line 1", "'numpy'")), (b"\xff", ("LX-ARCHIVE-016", "UTF-8", "0xff"))],
)
def test_inspect_refuses_requirements_that_name_no_version(
    archive_of: ArchiveOf, tmp_path: Path, content: bytes, error: tuple[str, ...]
) -> None:
    def as_exported(evidence: Any) -> None:
        [own] = [one for one in evidence["variants"] if one["name"] == evidence["variant"]]
        own["digests"]["requirements.txt"] = hashlib.sha256(content).hexdigest()

    def change(members: Members) -> None:
        members["requirements.txt"] = content
        in_json("MAR-INF/EVIDENCE.json", as_exported)(members)
        resigned(members, None)

    with refused(RefusedError, *error):
        inspect(changed(archive_of("onnx-int8"), change, tmp_path / "bad.mar"))
