"""`inspect` and `verify` of archives that lexport did not make: described, never loaded, never called verified."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import warnings
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from lexport.__main__ import run
from lexport.errors import InputError, RefusedError
from lexport.export.archive.foreign import describe_foreign
from lexport.export.archive.format.opcodes import MADE_UP, imports
from lexport.export.archive.trust.keys import read_public
from lexport.export.archive.verify import verify

from ...refusals import refused
from ...stranger_cases import stock_archive
from ...trust_cases import key_pair


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch ran",)


class Pooled(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.EmbeddingBag(10, 4)

    def forward(self, ids: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        return self.embedding(ids, offsets)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def unsafe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stock archive with a handler, a TorchScript model, a harmless and a harmful pickle, settings, packages."""
    folder = tmp_path_factory.mktemp("stock")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what torch says of TorchScript
        # Of some 1,500 random tables the bytes of one, read from the file's start, go on like a pickle's.
        with torch.random.fork_rng():
            torch.manual_seed(0)
            torch.jit.script(Pooled()).save(str(folder / "model.pt"))  # type: ignore[no-untyped-call]
    torch.save({"goal": torch.ones(1)}, folder / "source_vocab.pt")
    (folder / "vocab.bin").write_bytes(pickle.dumps({"vocabulary": Evil()}))
    (folder / "packages.txt").write_text("# ours\ntorch\ngit+https://example.org/x\n")
    (folder / "settings.yaml").write_text("batchSize: 4\nuseVenv: true\n")
    extra = ["--serialized-file", "model.pt", "--extra-files", "source_vocab.pt,vocab.bin"]
    return stock_archive(folder, "topics", *extra, "-r", "packages.txt", "--config-file", "settings.yaml")


def test_a_stock_archive_is_described_with_what_its_pickles_would_import(unsafe: Path) -> None:
    found = describe_foreign(unsafe)
    assert found is not None
    assert (found.name, found.version, found.handler, found.own_handler) == ("topics", "1.0", "handler.py", True)
    assert found.archiver == "0.12.0"
    assert found.settings == {"batchSize": 4, "useVenv": True}
    assert found.requirements == ("torch", "git+https://example.org/x")
    assert found.members["source_vocab.pt"] > 500
    by_place = {one.place: one.imports for one in found.pickles}
    assert by_place["vocab.bin"] == ("posix.system",)
    assert "torch._utils._rebuild_tensor_v2" in by_place["source_vocab.pt: source_vocab/data.pkl"]
    assert "model.pt: model/data.pkl" in by_place
    assert not (unsafe.parent / "ran").exists()


def test_what_is_unsafe_is_named_and_what_is_not_is_not(unsafe: Path) -> None:
    found = describe_foreign(unsafe)
    assert found is not None
    told = "\n".join(found.unsafe)
    for words in (
        "handler.py (the handler)",
        "vocab.bin is a Python pickle; loading it runs code of posix.system",
        "settings beyond batches, delays and timeouts, which can start other programs: useVenv",
        "packages from elsewhere than the usual index: git+https://example.org/x",
    ):
        assert words in told
    assert "source_vocab.pt" not in told
    assert "model.pt" not in told


def test_torchscript_that_writes_files_is_named(tmp_path: Path) -> None:
    content = b'def forward(self, x: Tensor) -> Tensor:\n  torch.save(x, "/tmp/x")\n  _0 = ops.mine.open(x)\n'
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as program:
        program.writestr("model/code/__torch__.py", content)
        program.writestr("model/constants.pkl", pickle.dumps((), 2))
    found = describe_foreign(stock_archive(tmp_path, "topics", "--serialized-file", "model.pt"))
    assert found is not None
    assert any("model.pt is TorchScript that calls ops.mine.open, torch.save" in line for line in found.unsafe)


def test_a_stock_handler_is_told_from_a_members_name_that_is_not_there(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "source_vocab.pt")
    found = describe_foreign(
        stock_archive(tmp_path, "topics", "--extra-files", "source_vocab.pt", handler="text_classifier")
    )
    assert found is not None
    assert not found.own_handler
    assert "the handler text_classifier is TorchServe's own" in found.unsafe[0]


def test_a_no_archive_folder_is_described_as_its_archive_is(tmp_path: Path, unsafe: Path) -> None:
    folder = tmp_path / "topics"
    with zipfile.ZipFile(unsafe) as archive:
        archive.extractall(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "handler.cpython-311.pyc").write_bytes(b"x")
    found, packed = describe_foreign(folder), describe_foreign(unsafe)
    assert found is not None
    assert packed is not None
    assert (found.kind, found.digest) == ("folder", "")
    assert (found.members, found.pickles) == (packed.members, packed.pickles)
    assert set(found.unsafe) - set(packed.unsafe) == {
        "compiled Python, which may run in place of its source: __pycache__/handler.cpython-311.pyc"
    }
    made = stock_archive(tmp_path / "own", "plain", "--archive-format", "no-archive")
    assert made.is_dir()
    described = describe_foreign(made)
    assert described is not None
    assert described.handler == "handler.py"


def test_an_unpacked_archive_of_lexports_is_verified_as_the_archive_it_makes(
    archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    packed = archive_of("onnx-int8")
    folder = tmp_path / "topics"
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    assert describe_foreign(packed) is None
    assert describe_foreign(folder) is None
    assert verify(folder).digest == verify(packed).digest
    (folder / "labels.json").write_text("[]")
    with refused(RefusedError, "LX-ARCHIVE-038", folder, "labels.json"):
        verify(folder)


@pytest.mark.parametrize("make", ["empty", "link"])
def test_folders_that_are_no_archive_are_refused(tmp_path: Path, make: str) -> None:
    folder = tmp_path / "folder"
    (folder / "MAR-INF").mkdir(parents=True)
    error: tuple[str, ...] = ("LX-ARCHIVE-078", "folder", "MAR-INF/MANIFEST.json")
    if make == "link":
        (folder / "MAR-INF" / "MANIFEST.json").write_text("{}")
        (folder / "passwords").symlink_to("/etc/passwd")
        error = ("LX-ARCHIVE-081", "passwords")
    with refused(InputError, *error):
        describe_foreign(folder)


def test_verify_of_a_strangers_archive_is_refused_and_says_what_it_is(
    unsafe: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(unsafe)]) == 1
    out, err = capfd.readouterr()
    assert "not made by lexport" in out
    assert "loading it runs code of posix.system" in " ".join(out.split())
    assert "nothing in it was verified" in err
    assert run(["verify", str(unsafe), "--json"]) == 1
    assert json.loads(capfd.readouterr().out)["made_by_lexport"] is False
    with refused(RefusedError, "LX-ARCHIVE-036"):
        verify(unsafe)


def test_inspect_shows_it_and_succeeds(unsafe: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(unsafe)]) == 0
    shown = capfd.readouterr().out
    for words in ("handler.py (a member)", "torch-model-archiver 0.12.0", "posix.system", "nothing was loaded"):
        assert words in shown
    assert run(["inspect", str(unsafe), "--json"]) == 0
    found = describe_foreign(unsafe)
    assert found is not None
    assert json.loads(capfd.readouterr().out)["pickles"] == json.loads(json.dumps(asdict(found)["pickles"]))


def test_where_keys_are_set_a_strangers_archive_is_refused_everywhere(unsafe: Path, tmp_path: Path) -> None:
    _, public = key_pair(tmp_path, "ours", 1)
    with refused(RefusedError, "LX-TRUST-010", "topics.mar"):
        describe_foreign(unsafe, [read_public(public)])
    shutil.copy(unsafe, tmp_path)
    assert run(["inspect", str(tmp_path / unsafe.name), "--key", str(public)]) == 1


@pytest.mark.parametrize("protocol", range(6))
def test_imports_are_read_from_pickles_of_every_protocol(protocol: int) -> None:
    content = pickle.dumps([Evil(), OrderedDict(a=1)], protocol)
    assert imports(io.BytesIO(content)) == (("collections.OrderedDict", "posix.system"), True)


def test_imports_of_names_made_up_while_loading_and_of_pickles_in_a_row(tmp_path: Path) -> None:
    # STACK_GLOBAL of what another call returned.
    made_up = b"\x80\x04cbuiltins\nstr\n)R\x8c\x06system\x93)R."
    assert imports(io.BytesIO(made_up)) == (tuple(sorted(("builtins.str", MADE_UP))), True)
    older = tmp_path / "older.pt"
    torch.save({"a": torch.ones(2)}, older, _use_new_zipfile_serialization=False)
    with older.open("rb") as file:
        found, complete = imports(file)
    assert "torch._utils._rebuild_tensor_v2" in found
    assert complete


@pytest.mark.parametrize(
    "content",
    [
        b"plain text, no pickle",
        zlib.compress(pickle.dumps(Evil())),
        b"\x80\x02" + b"N0" * 600_000 + pickle.dumps(Evil(), 2)[2:],  # behind a million opcodes
        b"\x80\x02cbuiltins\nlist\n)R" + b"cbuiltins\nlist\n)Rq\x00R" + pickle.dumps(Evil(), 2)[2:],
    ],
    ids=["text", "packed", "long", "arguments that a call returned"],
)
def test_a_pickle_that_cannot_be_followed_to_its_end_is_never_called_harmless(tmp_path: Path, content: bytes) -> None:
    assert imports(io.BytesIO(content))[1] is False
    (tmp_path / "vocab.pkl").write_bytes(content)
    found = describe_foreign(stock_archive(tmp_path, "topics", "--extra-files", "vocab.pkl"))
    assert found is not None
    told = "vocab.pkl is a Python pickle that cannot be read to its end; loading it can run any code"
    assert any(line.startswith(told) for line in found.unsafe)
