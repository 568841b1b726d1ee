"""Whose code TorchServe may be handed: this kit's, an earlier kit's, what is signed, or what is insisted on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lexport.errors import InputError, RefusedError
from lexport.export.archive.format.reader import EVIDENCE
from lexport.export.archive.pack import archive
from lexport.export.archive.profiles import PROFILES
from lexport.export.archive.trust import code
from lexport.export.archive.trust.code import accept, code_digest, kit_code, packed_code
from lexport.export.archive.trust.keys import read_public
from lexport.export.archive.trust.rule import Trust, configured
from lexport.export.formats.variants import IDS_IN, TEXT_IN
from lexport.handlers.model.digests import DIGESTS, MANIFEST

from ....refusals import refused
from ....trust_cases import key_pair, members_of, repacked, write_members

ArchiveOf = Callable[[str], Path]

OWN = "this lexport's own code"


@pytest.mark.parametrize("variant", [*IDS_IN, *TEXT_IN])
def test_what_lexport_packs_is_its_own_code_in_every_variant(archive_of: ArchiveOf, variant: str) -> None:
    assert accept(archive_of(variant), Trust()) == OWN
    assert packed_code(archive_of(variant)) == kit_code()


@pytest.mark.parametrize("task", ["multilabel", "vector", "joint", "languages"])
def test_and_for_every_task(task_archive: ArchiveOf, task: str) -> None:
    assert accept(task_archive(task), Trust()) == OWN


@pytest.mark.parametrize("profile", PROFILES)
def test_and_in_every_profile(run_folder: Path, tmp_path: Path, profile: str) -> None:
    path = archive(run_folder, version="1.0", variant="torchscript-int8", out=tmp_path, profile=profile)
    assert accept(path, Trust()) == OWN


WORKER = "lexport_handlers/worker.py"

CODE: dict[str, tuple[Mapping[str, bytes | None], str]] = {
    "a byte more": ({"handler.py": kit_code()["handler.py"] + b"\n"}, "'handler.py' differs"),
    "another worker": ({WORKER: b""}, f"'{WORKER}' differs"),
    "a module less": (
        {"lexport_handlers/engine/prefault.py": None},
        "'lexport_handlers/engine/prefault.py' is missing",
    ),
    "a module more": ({"mmh3.py": b""}, "'mmh3.py' is not part of it"),
    "a package": ({"torch/__init__.py": b""}, "'torch/__init__.py' is not part of it"),
    "in a folder": ({"deep/er/a.py": b""}, "'deep/er/a.py' is not part of it"),
    "in capitals": ({"A.PY": b""}, "'A.PY' is not part of it"),
    "a shared library": ({"mmh3.cpython-311-x86_64-linux-gnu.so": b""}, "linux-gnu.so' is not part of it"),
    "optimised": ({"a.pyo": b""}, "'a.pyo' is not part of it"),
    "a zip of modules": ({"a.zip": b""}, "'a.zip' is not part of it"),
    "no ending": ({"run-me": b""}, "'run-me' is not part of it"),
}


@pytest.mark.parametrize(("changes", "says"), CODE.values(), ids=CODE)
def test_other_code_is_refused_by_name_unless_insisted_on(
    archive_of: ArchiveOf, tmp_path: Path, changes: Mapping[str, bytes | None], says: str
) -> None:
    path = repacked(archive_of("onnx-int8"), changes, tmp_path / "m.mar")
    with refused(RefusedError, "LX-TRUST-001") as caught:
        accept(path, Trust())
    for said in (f"{path} would run code", says, "--trust-code", "--sign KEY", "archive the run again"):
        assert said in str(caught.value)
    assert accept(path, Trust(insist=True)) == "--trust-code"


def test_compiled_code_is_refused_even_then(archive_of: ArchiveOf, tmp_path: Path) -> None:
    path = repacked(archive_of("onnx-int8"), {"__pycache__/handler.cpython-311.pyc": b""}, tmp_path / "m.mar")
    with refused(InputError, "LX-ARCHIVE-053"):
        accept(path, Trust(insist=True))


def test_many_differences_are_counted(archive_of: ArchiveOf, tmp_path: Path) -> None:
    path = repacked(archive_of("onnx-int8"), {f"m{n}.py": b"" for n in range(20)}, tmp_path / "m.mar")
    with refused(RefusedError, "LX-TRUST-001", "12"):
        accept(path, Trust())


MANIFESTS: dict[str, tuple[Mapping[str, Any], str]] = {
    "another handler": ({"handler": "text_classifier"}, "'text_classifier'"),
    "a function of ours": ({"handler": "handler.py:Handler"}, "'handler.py:Handler'"),
    "our worker": ({"handler": WORKER}, f"'{WORKER}'"),
    "requirements": ({"requirementsFile": "requirements.txt"}, "'requirementsFile'"),
    "an envelope": ({"envelope": "kserve"}, "'envelope'"),
    "other settings": ({"configFile": "text.json"}, "'text.json'"),
    "no settings": ({"configFile": None}, "'None'"),
}


@pytest.mark.parametrize(("model", "named"), MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_starts_something_else_is_refused(
    archive_of: ArchiveOf, tmp_path: Path, model: Mapping[str, Any], named: str
) -> None:
    manifest = json.loads(members_of(archive_of("onnx-int8"))[MANIFEST])
    manifest["model"] |= model
    path = without_evidence(archive_of("onnx-int8"), manifest, tmp_path)
    with refused(RefusedError, "LX-TRUST-001", path, "the manifest", named):
        accept(path, Trust())
    assert accept(path, Trust(insist=True)) == "--trust-code"


def without_evidence(source: Path, manifest: Any, folder: Path) -> Path:
    """The same code under another manifest, as an archive of nobody in particular."""
    members = members_of(source) | {MANIFEST: json.dumps(manifest).encode()}
    for name in (EVIDENCE, DIGESTS):
        del members[name]
    return write_members(folder / "m.mar", members)


@pytest.mark.parametrize("model", [model for model, _ in MANIFESTS.values()], ids=MANIFESTS)
def test_no_archive_with_evidence_has_such_a_manifest(
    archive_of: ArchiveOf, tmp_path: Path, model: Mapping[str, Any]
) -> None:
    manifest = json.loads(members_of(archive_of("onnx-int8"))[MANIFEST])
    manifest["model"] |= model
    path = repacked(archive_of("onnx-int8"), {MANIFEST: json.dumps(manifest).encode()}, tmp_path / "m.mar")
    with refused(RefusedError, "LX-ARCHIVE-038", "MAR-INF/MANIFEST.json"):
        accept(path, Trust(insist=True))


def test_a_manifest_of_another_runtime_is_refused(archive_of: ArchiveOf, tmp_path: Path) -> None:
    manifest = json.loads(members_of(archive_of("onnx-int8"))[MANIFEST]) | {"runtime": "LSP"}
    path = without_evidence(archive_of("onnx-int8"), manifest, tmp_path)
    with refused(RefusedError, "LX-TRUST-001", "the manifest's runtime is 'LSP', expected 'python'"):
        accept(path, Trust())


@pytest.mark.parametrize(
    "settings",
    [
        "parallelType: pp",
        "torchrun: {nproc-per-node: 8}",
        "useVenv: true",
        "handler: {a: 1}",
        "minWorkers: 1",
        "deviceIds: [0]",
        "1: 2",
    ],
)
def test_settings_that_start_something_else_are_refused(archive_of: ArchiveOf, tmp_path: Path, settings: str) -> None:
    source = archive_of("onnx-int8")
    content = members_of(source)["model-config.yaml"] + settings.encode()
    path = repacked(source, {"model-config.yaml": content}, tmp_path / "m.mar")
    with refused(RefusedError, "LX-TRUST-001", path, "the settings", f"'{settings.partition(':')[0]}'"):
        accept(path, Trust())


def test_what_a_configured_key_signed_may_bring_any_code(
    archive_of: ArchiveOf, run_folder: Path, tmp_path: Path
) -> None:
    private, public = key_pair(tmp_path, "ours", 1)
    trust = Trust([read_public(public)])
    signed = archive(run_folder, version="1.0", variant="onnx-int8", out=tmp_path, sign=private)
    assert accept(signed, trust).startswith("signed by ours.pub (SHA256:")
    with refused(RefusedError, "LX-TRUST-010"):
        accept(archive_of("onnx-int8"), trust)
    with refused(RefusedError, "LX-TRUST-010"):
        accept(archive_of("onnx-int8"), Trust(trust.keys, insist=True))


def test_code_of_an_earlier_kit_is_known_by_its_digest(
    archive_of: ArchiveOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = repacked(archive_of("onnx-int8"), {WORKER: b"# as it was"}, tmp_path / "m.mar")
    monkeypatch.setattr(code, "EARLIER", {code_digest(packed_code(path)): "lexport 0.9"})
    assert accept(path, Trust()) == "the code of lexport 0.9"
    more = repacked(path, {"more.py": b""}, tmp_path / "more.mar")
    with refused(RefusedError, "LX-TRUST-001", "more.py"):
        accept(more, Trust())


@pytest.mark.parametrize("variant", ["torchscript-fp32", "pt2-fp32"])
def test_an_earlier_kits_code_which_does_not_check_operators_gets_onnx_models_alone(
    archive_of: ArchiveOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    path = repacked(archive_of(variant), {WORKER: b"# as it was"}, tmp_path / "m.mar")
    monkeypatch.setattr(code, "EARLIER", {code_digest(packed_code(path)): "lexport 0.9"})
    with refused(RefusedError, "LX-TRUST-001", path, f"'{variant.partition('-')[0]}'"):
        accept(path, Trust())


def test_a_strangers_archive_is_insisted_on_or_refused(tmp_path: Path) -> None:
    model = {"modelName": "m", "modelVersion": "1.0", "handler": "handler.py"}
    members = {MANIFEST: json.dumps({"runtime": "python", "model": model}).encode(), "handler.py": b""}
    path = write_members(tmp_path / "m.mar", members)
    with refused(RefusedError, "LX-TRUST-001", path, "'handler.py'", "'None'", "'model-config.yaml'"):
        accept(path, Trust())
    assert accept(path, Trust(insist=True)) == "--trust-code"


def test_a_members_change_after_packing_is_refused_whatever_is_insisted_on(
    archive_of: ArchiveOf, tmp_path: Path
) -> None:
    members = members_of(archive_of("onnx-int8")) | {"labels.json": b"[]"}
    path = write_members(tmp_path / "m.mar", members)
    with refused(RefusedError, "LX-ARCHIVE-038", "labels.json was altered"):
        accept(path, Trust(insist=True))


def test_no_keys_given_means_those_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, public = key_pair(tmp_path, "ours", 1)
    monkeypatch.delenv("LEXPORT_KEYS", raising=False)
    assert configured(None) == ()
    monkeypatch.setenv("LEXPORT_KEYS", f" {public} :")
    assert [key.name for key in configured(None)] == ["ours.pub"]
    assert configured(()) == (), "none, on purpose"
    monkeypatch.setenv("LEXPORT_KEYS", "")
    with refused(RefusedError, "LX-TRUST-009", "LEXPORT_KEYS"):
        configured(None)
    assert configured([read_public(public)])[0].name == "ours.pub"
