"""Every command that opens an archive asks the configured keys first, and none runs a stranger's code unasked."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from lexport.export.archive.pack import archive
from lexport.export.archive.trust import signature
from lexport.handlers.model.digests import DIGESTS, SIGNATURE

from ..trust_cases import key_pair, members_of, repacked, write_members
from .conftest import Place, Result

Command = Callable[..., Result]
Signed = Callable[[str | None], Path]

COMMANDS = [
    "verify MAR",
    "inspect MAR",
    "diff MAR MAR",
    "run MAR text",
    "run MAR text --explain",
    "evaluate MAR topics.csv",
    "record MAR topics.csv --out recorded.jsonl",
    "store add MAR --store other",
    "store push topics:1.0 oci://127.0.0.1:1/topics:1.0 --store store",
    "serve MAR --port 0",
    "serve --model-store store --port 0",
    "loadtest MAR --workers cpu:1",
    "loadtest MAR --workers gpu:1",
    "loadtest topics --model-store store --workers cpu:1",
    "tune MAR --slo p99=1s",
]

SEEDS = {"ours": 1, "theirs": 2}
"""Of the keys."""


@pytest.fixture
def store(place: Place, tiny_csv: Path) -> Place:
    """A folder with data, the public keys ours.pub and theirs.pub with private ones, and an empty model store."""
    shutil.copy(tiny_csv, place.cwd / "topics.csv")
    (place.cwd / "store").mkdir()
    for name, seed in SEEDS.items():
        key_pair(place.cwd, name, seed)
    return place


@pytest.fixture(scope="module")
def signed(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """The archive `topics-1.0.mar` that one of the keys has signed, or none, packed once."""

    @cache
    def pack(signer: str | None) -> Path:
        folder = tmp_path_factory.mktemp("signed")
        sign = None if signer is None else key_pair(folder, signer, SEEDS[signer])[0]
        archive(run_folder, version="1.0", variant="onnx-int8", out=folder, sign=sign)
        return folder / "topics-1.0.mar"

    return pack


def refused(command: Command, store: Place, arguments: str, *more: str) -> str:
    """Run a command that must be refused before anything runs; the line it says."""
    result = command(*arguments.replace("MAR", "store/topics-1.0.mar").split(), *more)
    assert result.code == 1, result
    assert store.processes() == []
    assert not (store.cwd / "loadtest-report").exists()
    assert not (store.cwd / "tune").exists()
    return result.error[1]


@pytest.mark.parametrize("arguments", COMMANDS)
@pytest.mark.parametrize(
    ("signer", "says"),
    [
        (None, "is not signed; expected a signature by ours.pub"),
        pytest.param("theirs", "is signed by SHA256:", marks=pytest.mark.long),
    ],
)
def test_what_no_configured_key_signed_is_refused(
    store: Place,
    lexport: Command,
    signed: Signed,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    signer: str | None,
    says: str,
) -> None:
    shutil.copy(signed(signer), store.cwd / "store")
    trust = ["--trust-code"] if arguments.startswith(("serve", "loadtest", "tune")) else []
    line = refused(lexport, store, arguments, "--key", "ours.pub", *trust)
    assert "store/topics-1.0.mar: " in line
    assert says in line
    monkeypatch.setenv("LEXPORT_KEYS", f"{os.pathsep}ours.pub")
    assert refused(lexport, store, arguments, *trust) == line
    # What is given goes before what the environment says.
    monkeypatch.setenv("LEXPORT_KEYS", "theirs.pub")
    assert refused(lexport, store, arguments, "--key", "ours.pub", *trust) == line


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_variable_without_keys_does_not_turn_the_check_off(
    store: Place,
    lexport: Command,
    signed: Signed,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
) -> None:
    shutil.copy(signed("ours"), store.cwd / "store")
    for empty in ("", "  ", os.pathsep):
        monkeypatch.setenv("LEXPORT_KEYS", empty)
        line = refused(lexport, store, arguments)
        assert line.startswith("LEXPORT_KEYS is set and names no key, as when a secret of a CI job is absent.")


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_key_that_cannot_be_read_is_named(
    store: Place,
    lexport: Command,
    signed: Signed,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
) -> None:
    shutil.copy(signed("ours"), store.cwd / "store")
    monkeypatch.setenv("LEXPORT_KEYS", "absent.pub")
    result = lexport(*arguments.replace("MAR", "store/topics-1.0.mar").split())
    assert result.code == 2
    assert "The key absent.pub cannot be read" in result.line


def test_what_a_configured_key_signed_is_answered(
    store: Place, lexport: Command, signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(signed("ours"), store.cwd / "store")
    monkeypatch.setenv("LEXPORT_KEYS", os.pathsep.join(["theirs.pub", "ours.pub"]))
    for arguments in ("verify MAR", "inspect MAR", "diff MAR MAR", "run MAR text", "evaluate MAR topics.csv"):
        result = lexport(*arguments.replace("MAR", "store/topics-1.0.mar").split())
        assert result.code == 0, result.err


WRITES = b"""
import os
with open(os.environ["WRITTEN"], "a") as file:
    file.write(__name__)
"""


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_commands_in_this_process_never_import_what_an_archive_brings(
    store: Place, lexport: Command, archive_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, signed: bool
) -> None:
    code = (
        "handler.py",
        "lexport_handlers/__init__.py",
        "lexport_handlers/worker.py",
        "mmh3.py",
        "torch/__init__.py",
    )
    hostile = store.cwd / "store" / "topics-1.0.mar"
    repacked(archive_of("onnx-int8"), dict.fromkeys(code, WRITES), hostile)
    if signed:
        sign_again(hostile, store.cwd / "ours.pem")
        monkeypatch.setenv("LEXPORT_KEYS", "ours.pub")
    monkeypatch.setenv("WRITTEN", str(store.cwd / "written"))
    honest = archive_of("onnx-int8")
    expected = {
        arguments: lexport(*arguments.replace("MAR", str(honest)).split(), "--json").out
        for arguments in ("run MAR goal", "run MAR goal --explain", "evaluate MAR topics.csv")
        if not signed
    }
    before = list(sys.path), set(sys.modules)
    for arguments in ("run MAR goal", "run MAR goal --explain", "evaluate MAR topics.csv", "diff MAR MAR"):
        result = lexport(*arguments.replace("MAR", str(hostile)).split(), "--json")
        assert result.code == 0, result.err
        if arguments in expected:
            assert result.out == expected[arguments]
    assert not (store.cwd / "written").exists()
    assert list(sys.path) == before[0]
    assert not {"handler", "lexport_handlers"} & set(sys.modules) - before[1]


def sign_again(mar: Path, key: Path) -> None:
    """Sign an archive as it is: whoever has the key can sign anything."""
    members = members_of(mar)
    write_members(mar, {**members, SIGNATURE: signature.sign(members[DIGESTS], key)})


def test_the_process_is_left_as_it_was(
    store: Place, lexport: Command, archive_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        before = dict(os.environ), logging.getLogger().level, torch.backends.cudnn.allow_tf32
        for variant in ("onnx-int8", "torchscript-fp32"):
            assert lexport("run", str(archive_of(variant)), "goal").code == 0
        assert (dict(os.environ), logging.getLogger().level, torch.backends.cudnn.allow_tf32) == before
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("arguments", ["serve MAR --port 0", "loadtest MAR --workers cpu:1"])
def test_a_strangers_code_is_not_served_unasked(
    store: Place, lexport: Command, archive_of: Callable[[str], Path], arguments: str
) -> None:
    changes = {"handler.py": WRITES, "extra.py": b""}
    repacked(archive_of("onnx-int8"), changes, store.cwd / "store" / "topics-1.0.mar")
    line = refused(lexport, store, arguments)
    for said in (
        "store/topics-1.0.mar would run code",
        "'handler.py' differs",
        "'extra.py' is not part",
        "--trust-code",
    ):
        assert said in line


def test_a_load_test_of_a_run_needs_no_signature_of_what_it_packs_itself(
    store: Place, lexport: Command, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEXPORT_KEYS", "ours.pub")
    result = lexport("loadtest", str(run_folder), "--workers", "gpu:1", "--users", "1", "--json")
    assert "signed" not in result.err
    assert '"not_run"' in result.out


def test_an_engine_that_is_not_installed_is_named_with_its_pip_line(
    store: Place, lexport: Command, archive_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = lexport("run", str(archive_of("onnx-int8")), "goal")
    assert result.code == 3
    assert "needs the package onnxruntime, which is not installed" in result.line
    assert result.line.endswith('pip install "lexport[serve]"')


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("model.json", b"{}"),
        ("model.json", b'{"a": ' * 50_000),
        ("model.json", b"9" * 5_000),
        ("model.onnx", b"no graph"),
        ("labels.json", b"[1]"),
        ("golden.jsonl", b"[]\n"),
        ("MAR-INF/EVIDENCE.json", b"[]"),
        ("MAR-INF/EVIDENCE.json", b"[" * 50_000),
    ],
)
@pytest.mark.parametrize("command", ["run MAR text", "diff MAR MAR", "evaluate MAR topics.csv"])
def test_a_member_that_is_none_ends_in_a_line(
    store: Place, lexport: Command, archive_of: Callable[[str], Path], command: str, member: str, content: bytes
) -> None:
    repacked(archive_of("onnx-int8"), {member: content}, store.cwd / "m.mar")
    result = lexport(*command.replace("MAR", "m.mar").split())
    assert result.code in (1, 2), result
    assert "m.mar" in result.line
