"""TorchScript of others is opened only if all that it can do is to compute on tensors."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lexport.errors import InputError
from lexport.export.imports.bags.programs import open_torchscript

from ....refusals import refused
from . import cases

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.warns(DeprecationWarning, match=r"torch\.jit"):
        return cases.script(cases.spread(cases.Classifier()), tmp_path_factory.mktemp("script") / "model.pt")


def rewritten(path: Path, to: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """The file with its members changed; None leaves one out."""
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(to, "w") as after:
        for one in before.infolist():
            found = change(one.filename, before.read(one))
            if found is not None:
                after.writestr(one.filename, found)
    return to


def test_a_usual_program_is_opened_and_asked(script: Path, tmp_path: Path) -> None:
    state, ask = open_torchscript(script, "model.pt")
    assert sorted(state) == ["embedding.weight", "fc.bias", "fc.weight"]
    with torch.inference_mode():
        expected = cases.spread(cases.Classifier())(torch.tensor([3, 4]), torch.tensor([0]))[0]
    assert ask([3, 4]) == pytest.approx(expected.numpy())
    # The same, rewritten and not changed, is the same: what is refused below is refused for its change.
    open_torchscript(rewritten(script, tmp_path / "same.pt", lambda _, found: found), "same.pt")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('torch.save(text, "written")', "torch.save"),
        ('(text).save("written")', "has '.save"),
        ('_9 = text.save\n    _10 = _9("written")', "_9"),
        ('_9 = ops.aten.from_file("written")', "ops.aten.from_file"),
        ("_9 = ops.own.operator(text)", "ops.own.operator"),
        ("_9 = __torch__.torch.classes.own.Class\n    _10 = _9(text)", "__torch__.torch.classes.own.Class"),
        ("_9 = __torch__.torch.nn.functional.linear\n    _9 = text.save\n    _10 = _9(text)", "_9"),
        ("_9 = unchecked_cast(str, text)", "unchecked_cast"),
        ("_9 = self.embedding.anything(text)", "self.embedding.anything"),
        ("_9 = [text.save]\n    _10 = (_9[0])(text)", "calls '"),
        ("_9 = \"\\\"\n    torch.save(text, 'x')", "is not plain code"),
        ("import os", "'import'"),
    ],
)
def test_a_program_that_does_more_is_not_opened(script: Path, tmp_path: Path, line: str, reason: str) -> None:
    changed: list[str] = []

    def change(name: str, content: bytes) -> bytes:
        if not name.endswith("cases.py"):
            return content
        place = content.index(b"-> Tensor:\n") + len(b"-> Tensor:\n")
        changed.append(name)
        return content[:place] + f"    {line}\n".encode() + content[place:]

    path = rewritten(script, tmp_path / "more.pt", change)
    assert len(changed) == 1
    with refused(InputError, "LX-IMPORT-091", "more.pt", changed[0], reason):
        open_torchscript(path, "more.pt")


@pytest.mark.parametrize("kind", [torch.float16, torch.float64], ids=str)
def test_weights_of_every_precision_are_read(kind: torch.dtype, tmp_path: Path) -> None:
    module = cases.spread(cases.Classifier()).to(kind)
    state, ask = open_torchscript(cases.script(module, tmp_path / "model.pt"), "model.pt")
    for name, tensor in module.state_dict().items():
        assert state[name].tolist() == tensor.tolist()
    with torch.inference_mode():
        expected = module(torch.tensor([3, 4]), torch.tensor([0]))[0]
    assert ask([3, 4]) == pytest.approx(expected.float().numpy(), rel=1e-2)


@pytest.mark.parametrize("key", ["0", "1", "2"])
@pytest.mark.parametrize("change", [lambda found: found[:-4], lambda found: b"", lambda found: found + bytes(4)])
def test_storages_of_other_lengths_are_not_opened(
    script: Path, tmp_path: Path, key: str, change: Callable[[bytes], bytes]
) -> None:
    """torch would read whatever lies in memory behind a storage that is too short."""
    path = rewritten(
        script, tmp_path / "cut.pt", lambda name, found: change(found) if name.endswith(f"data/{key}") else found
    )
    with refused(InputError, "LX-IMPORT-091", "cut.pt", "data.pkl", f"'{key}'"):
        open_torchscript(path, "cut.pt")


def test_tensors_that_reach_beyond_their_storage_are_not_opened(script: Path, tmp_path: Path) -> None:
    # The table, 17 x 8, by the opcodes of its sizes.
    wider = (b"(K\x11K\x08t", b"(K\x12K\x08t")

    def change(name: str, content: bytes) -> bytes:
        assert not name.endswith("data.pkl") or wider[0] in content
        return content.replace(*wider) if name.endswith("data.pkl") else content

    with refused(InputError, "LX-IMPORT-091", "wide.pt", "data.pkl", "[18, 8]", "144", "136"):
        open_torchscript(rewritten(script, tmp_path / "wide.pt", change), "wide.pt")


def test_a_program_that_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    path = cases.script(torch.nn.ModuleList([torch.nn.Linear(2, 2)]), tmp_path / "list.pt")
    with refused(InputError, "LX-IMPORT-402", "list.pt", "forward"):
        open_torchscript(path, "list.pt")


def test_members_that_a_program_does_not_need_are_not_opened(script: Path, tmp_path: Path) -> None:
    path = rewritten(script, tmp_path / "more.pt", lambda _, found: found)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/other.pkl", b"cos\nsystem\n.")
    with refused(InputError, "LX-IMPORT-091", "model/other.pkl", "not a member"):
        open_torchscript(path, "more.pt")
    path = rewritten(script, tmp_path / "twice.pt", lambda _, found: found)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/constants/0", b"")
        archive.writestr("model/CONSTANTS.pkl", b"N.")
    with refused(InputError, "LX-IMPORT-091", "model/CONSTANTS.pkl"):
        open_torchscript(path, "twice.pt")
    hostile = rewritten(
        script, tmp_path / "pickle.pt", lambda name, found: b"cos\nsystem\n." if name.endswith("data.pkl") else found
    )
    with refused(InputError, "LX-IMPORT-091", "data.pkl", "os system"):
        open_torchscript(hostile, "pickle.pt")


def test_a_damaged_program_is_refused(script: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.pt"
    path.write_bytes(script.read_bytes()[:-20])
    with refused(InputError, "LX-IMPORT-092", "short.pt"):
        open_torchscript(path, "short.pt")
    without = rewritten(script, tmp_path / "without.pt", lambda name, found: None if "version" in name else found)
    with refused(InputError, "LX-IMPORT-090", "without.pt"):
        open_torchscript(without, "without.pt")
