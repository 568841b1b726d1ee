from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from lexport.errors import InputError, SystemProblem
from lexport.export.archive.format.reader import EVIDENCE, read_json
from lexport.export.archive.trust.keys import PublicKey
from lexport.serving import Server
from lexport.serving.stores import contents
from lexport.serving.stores.listing import entries
from lexport.storage.atomic import sha256_file

from ...refusals import refused
from ...trust_cases import repacked
from ..conftest import MakeArchive
from .conftest import Fill, Pack


def test_an_entry_says_what_the_archive_says(store: Fill, nothing_served: Path) -> None:
    folder = store("1.0")
    path = folder / "topics-1.0.mar"
    [one] = entries(folder, state_dir=nothing_served)
    evidence = read_json(path, EVIDENCE)
    own = next(variant for variant in evidence["variants"] if variant["name"] == "onnx-int8")
    assert (one.path, one.name, one.version, one.variant) == (path, "topics", "1.0", "onnx-int8")
    assert (one.digest, one.size) == (sha256_file(path), path.stat().st_size)
    assert (one.fingerprint, one.signer, one.default, one.problem) == (None, None, False, None)
    assert one.measured is not None
    assert (one.measured.metric, one.measured.value) == ("accuracy", own["test"]["accuracy"])
    assert one.measured.gates.startswith("passed")
    assert one.measured.p95_ms == own["latency"]["1"]["1"]["p95_ms"]


def test_names_are_in_order_and_the_newest_version_of_each_is_first(
    tmp_path: Path, make_archive: MakeArchive, nothing_served: Path
) -> None:
    given = ["1.9", "1.10", "1.10rc1", "v2", "latest", "2026-01-31"]
    for version in given:
        make_archive(tmp_path / "store", "b", version, made_by_lexport=False)
    make_archive(tmp_path / "store", "a", made_by_lexport=False)
    (tmp_path / "store" / "README.md").write_text("not an archive")
    (tmp_path / "store" / "._b-1.mar").write_text("of another program")
    listed = [f"{one.name} {one.version}" for one in entries(tmp_path / "store", state_dir=nothing_served)]
    assert listed == ["a 1.0", "b 2026-01-31", "b v2", "b 1.10", "b 1.10rc1", "b 1.9", "b latest"]


def test_damaged_archives_are_listed_with_their_reason_and_end_nothing(
    store: Fill, pack: Pack, nothing_served: Path
) -> None:
    folder = store("1.0", "1.1")
    content = bytearray((folder / "topics-1.1.mar").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "topics-1.1.mar").write_bytes(content)
    (folder / "half.mar").write_bytes(pack("1.0").read_bytes()[:1000])
    (folder / "gone.mar").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.mar")
    listed = {one.path.name: one for one in entries(folder, state_dir=nothing_served)}
    assert list(listed) == ["topics-1.1.mar", "topics-1.0.mar", "gone.mar", "half.mar", "pipe.mar"]
    assert listed["topics-1.0.mar"].problem is None
    assert "failed verification" in str(listed["topics-1.1.mar"].problem)
    assert (listed["topics-1.1.mar"].version, listed["topics-1.1.mar"].variant) == ("1.1", None)
    for name in ("half.mar", "gone.mar", "pipe.mar"):
        assert (listed[name].name, listed[name].digest) == (None, None)
        assert name in str(listed[name].problem)


def test_who_signed_is_the_keys_name_where_keys_are_given(
    tmp_path: Path, pack: Pack, ours: tuple[Path, PublicKey], nothing_served: Path
) -> None:
    private, public = ours
    (tmp_path / "store").mkdir()
    shutil.copy(pack("1.0"), tmp_path / "store")
    shutil.copy(pack("2.0", sign=private), tmp_path / "store")
    signed, unsigned = entries(tmp_path / "store", state_dir=nothing_served)
    assert (signed.fingerprint, signed.signer) == (public.fingerprint, None)
    assert (unsigned.fingerprint, unsigned.problem) == (None, None)
    signed, unsigned = entries(tmp_path / "store", trusted=[public], state_dir=nothing_served)
    assert (signed.fingerprint, signed.signer) == (public.fingerprint, "ours.pub")
    assert public.fingerprint in str(unsigned.problem)


def test_what_lexport_did_not_make_is_no_problem_unless_keys_are_given(
    tmp_path: Path, make_archive: MakeArchive, ours: tuple[Path, PublicKey], nothing_served: Path
) -> None:
    path = make_archive(tmp_path / "store", "theirs", made_by_lexport=False)
    [one] = entries(tmp_path / "store", state_dir=nothing_served)
    assert (one.name, one.digest, one.variant, one.problem) == ("theirs", sha256_file(path), None, None)
    [one] = entries(tmp_path / "store", trusted=[ours[1]], state_dir=nothing_served)
    assert one.problem is not None


def test_an_unpacked_archive_has_the_digest_of_the_file_that_it_was(
    tmp_path: Path, pack: Pack, nothing_served: Path
) -> None:
    with zipfile.ZipFile(pack("1.0")) as archive:
        archive.extractall(tmp_path / "store" / "topics")
    [one] = entries(tmp_path / "store", state_dir=nothing_served)
    assert (one.path, one.size, one.digest) == (tmp_path / "store" / "topics", 0, sha256_file(pack("1.0")))


def test_evidence_without_the_figures_leaves_them_out(tmp_path: Path, pack: Pack, nothing_served: Path) -> None:
    evidence = read_json(pack("1.0"), EVIDENCE)
    for one in evidence["variants"]:
        one["latency"] = ["gone"]
    (tmp_path / "store").mkdir()
    repacked(pack("1.0"), {EVIDENCE: json.dumps(evidence).encode()}, tmp_path / "made.mar")
    shutil.copy(tmp_path / "made.mar", tmp_path / "store")
    [one] = entries(tmp_path / "store", state_dir=nothing_served)
    assert one.name == "topics"
    assert one.measured is None


def test_what_the_running_server_has_is_marked(store: Fill, server: Server, nothing_served: Path) -> None:
    folder = store("1.0", "1.1", "1.2")
    listed = entries(folder, state_dir=server.state_dir)
    assert [(one.version, one.served, one.default) for one in listed] == [
        ("1.2", False, False),
        ("1.1", True, False),
        ("1.0", True, True),
    ]
    assert not any(one.served for one in entries(folder, state_dir=nothing_served))


def test_of_a_server_that_does_not_answer_what_it_was_started_with(
    store: Fill, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silence(*_: object, **__: object) -> None:
        raise SystemProblem("no answer", code="LX-SERVE-041")

    monkeypatch.setattr(contents, "describe", silence)
    listed = entries(store("1.0", "1.1"), state_dir=server.state_dir)
    assert [(one.version, one.served, one.default) for one in listed] == [("1.1", False, False), ("1.0", True, True)]


def test_a_missing_store_is_said(tmp_path: Path, nothing_served: Path) -> None:
    with refused(InputError, "LX-SERVE-150", tmp_path / "absent", "lexport store add"):
        entries(tmp_path / "absent", state_dir=nothing_served)
