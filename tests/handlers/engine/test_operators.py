"""A TorchScript file is opened only if it calls what exports of lexport call: none of that touches a file."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lexport.export.formats import safetensors
from lexport.export.formats.torchscript_onnx import rewrite
from lexport.export.formats.variants import VARIANTS
from lexport.handlers.engine.engines import open_engine
from lexport.handlers.engine.operators import (
    CLASSES,
    FUNCTIONS,
    GLOBALS,
    OPERATORS,
    check_torchscript,
    check_torchscript_members,
    code_problem,
    pickle_problem,
)
from lexport.handlers.engine.programs import ATEN
from lexport.handlers.text.spec import Layout
from lexport.models import recipes
from lexport.models.compose import TextModel, build
from lexport.models.vocabulary import build_encoder

from ...chain.combination_cases import Combination
from ...chain.combination_cases import made as made_of_parts
from ...chain.test_every_variant import made

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

TORCHSCRIPT = [
    *(variant for variant in VARIANTS.values() if variant.engine == "torchscript"),
]
# What no recipe has.
PARTS = [
    Combination("table", "bag", "multilabel"),
    Combination("dynamic_dim", "bag"),
    Combination("char_cnn", "lstm"),
    Combination("hashed", "transformer", "vector"),
    # With layers wide enough for 8 bits; the LSTM's have more weights than a pickle's shorter integers count.
    Combination("table", "cnn", dim=48),
    Combination("table", "lstm", dim=960),
]


def models() -> Iterator[tuple[TextModel, Layout]]:
    """Every recipe's model, and those of further parts, each with the layout of its indices."""
    for name in recipes.names():
        model, encoder = made(name)
        yield model, encoder.spec.inputs
    for parts in PARTS:
        model, encoder = made_of_parts(parts)
        yield model, encoder.spec.inputs
    sublinear = Combination("tfidf", "bag").recipe().changed("embedding", counts="sublinear")
    encoder = build_encoder(["a good film", "a bad one"], sublinear.text, inputs=sublinear.inputs)
    yield build(sublinear, encoder.spec, labels=3).eval(), encoder.spec.inputs
    recipe = recipes.load("bag").changed("embedding", dim=8, out_of_range="unk")
    # A table of 80,000 numbers, whose count takes four bytes of a pickle.
    words = " ".join(f"word{number}" for number in range(10_000))
    encoder = build_encoder([words] * 2, recipe.text, inputs=recipe.inputs)
    yield build(recipe, encoder.spec, labels=3).eval(), encoder.spec.inputs


def called(file: Path) -> set[str]:
    """The operators in the code of a TorchScript file."""
    found: set[str] = set()
    with zipfile.ZipFile(file) as members:
        for name in members.namelist():
            if name.endswith(".py"):
                code = re.sub(r'"[^"]*"', "", members.read(name).decode())
                found.update(re.findall(r"\b(?<!\.)(?:torch|ops)(?:\.\w+)+", code))
    return found


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every TorchScript file of every model in every variant, its tables inside and beside it."""
    files: list[Path] = []
    for (model, inputs), variant, inside in product(models(), TORCHSCRIPT, (safetensors.INSIDE, 0)):
        if variant.unsupported_reason(model) is None:
            folder = tmp_path_factory.mktemp("export")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(safetensors, "INSIDE", inside)
                variant.write(model, inputs, folder)
            files += folder.glob("*.pt")
    return files


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One TorchScript file of lexport."""
    model, encoder = made_of_parts(Combination("table", "bag"))
    folder = tmp_path_factory.mktemp("export")
    VARIANTS["torchscript-fp32"].write(model, encoder.spec.inputs, folder)
    return (folder / "model.pt").read_bytes()


@pytest.mark.long
def test_every_export_is_opened_and_the_list_has_what_they_call_and_nothing_else(exports: list[Path]) -> None:
    assert len(exports) > 120
    for file in exports:
        check_torchscript(file)
    assert set().union(*map(called, exports)) == OPERATORS


@pytest.mark.parametrize("variant", ["torchscript-fp32", "torchscript-int8-dynamic"])
def test_a_tensor_that_reaches_beyond_its_storage_is_not_opened(variant: str, tmp_path: Path) -> None:
    """torch would answer with whatever lies in memory behind it."""
    model, encoder = made_of_parts(Combination("table", "cnn", dim=48))
    VARIANTS[variant].write(model, encoder.spec.inputs, tmp_path)
    file, cut = tmp_path / "model.pt", tmp_path / "cut.pt"
    largest, short = 0, ""
    with zipfile.ZipFile(file) as members:
        for member in members.infolist():
            if re.search(r"/(?:data|constants)/[0-9]+$", member.filename) and member.file_size > largest:
                largest, short = member.file_size, member.filename
        with zipfile.ZipFile(cut, "w") as copy:
            for member in members.infolist():
                content = members.read(member)
                copy.writestr(member.filename, content[:64] if member.filename == short else content)
    check_torchscript(file)
    with pytest.raises(ValueError, match=r"cut\.pt: \w+\.pkl has the storage .* in 64 bytes"):
        check_torchscript(cut)


def test_no_operator_of_the_lists_takes_a_file_or_runs_anything_else() -> None:
    names = {name.replace("torch.", "aten::", 1).replace("ops.prim.", "prim::") for name in OPERATORS}
    names |= {f"aten::{name}" for name in ATEN}
    schemas = [one for one in torch._C._jit_get_all_schemas() if one.name in names]
    assert len({one.name for one in schemas}) > 60
    for schema in schemas:
        texts = [one.name for one in schema.arguments if "str" in str(one.type)]
        # Of text there is a padding's mode, an equation's or format's own, and comparisons of texts.
        assert not {"filename", "path", "file", "cmd"} & set(texts), schema
    for word in ("save", "load", "from_file", "print", "open", "rpc", "fork", "import", "set_", "resize", "env"):
        assert not [name for name in names | FUNCTIONS if re.search(rf"(::|_|^){word}(_|$)", name)], word


class Writes(torch.nn.Module):
    """Writes a file when it is asked."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, ids: Tensor) -> Tensor:
        torch.save(ids, self.path)
        return ids.float()


class Reads(Writes):
    """Answers with the bytes of a file."""

    def forward(self, ids: Tensor) -> Tensor:
        return torch.from_file(self.path, False, 6, dtype=torch.uint8).float().unsqueeze(0)


class Overwrites(Writes):
    """Changes the bytes of a file."""

    def forward(self, ids: Tensor) -> Tensor:
        return torch.from_file(self.path, True, 6, dtype=torch.uint8).fill_(65).float()


class Prints(Writes):
    """Writes to the log."""

    def forward(self, ids: Tensor) -> Tensor:
        print(self.path)  # noqa: T201
        return ids.float()


def scripted(module: torch.nn.Module, path: Path) -> Path:
    """A file of the module as an export of lexport has it, without torch's notes for debugging."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module.eval()).save(str(path.with_suffix(".whole")))  # type: ignore[no-untyped-call]
    with path.with_suffix(".whole").open("rb") as source, path.open("wb") as target:
        rewrite(source, target, drop=lambda name: name.endswith(".debug_pkl"))
    return path


def test_the_attacks_work_where_a_file_is_not_checked(tmp_path: Path) -> None:
    written, secret = tmp_path / "written", tmp_path / "secret"
    secret.write_bytes(b"secret")
    ids = torch.ones(1, 2, dtype=torch.int64)
    torch.jit.load(str(scripted(Writes(str(written)), tmp_path / "a.pt")))(ids)  # type: ignore[no-untyped-call]
    assert written.stat().st_size > 0
    read = torch.jit.load(str(scripted(Reads(str(secret)), tmp_path / "b.pt")))  # type: ignore[no-untyped-call]
    assert bytes(read(ids).int().flatten().tolist()) == b"secret"
    torch.jit.load(str(scripted(Overwrites(str(secret)), tmp_path / "c.pt")))(ids)  # type: ignore[no-untyped-call]
    assert secret.read_bytes() == b"AAAAAA"


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (Writes, "operator 'torch.save'"),
        (Reads, "operator 'torch.from_file'"),
        (Overwrites, "operator 'torch.from_file'"),
        (Prints, "calls 'print'"),
    ],
)
def test_a_worker_does_not_open_them_and_says_which_operator(
    tmp_path: Path, attack: Callable[[str], Writes], named: str
) -> None:
    path = scripted(attack(str(tmp_path / "file")), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=rf"model\.pt: code/.*\.py .*{named}"):
        open_engine("torchscript", path, threads=1, device="cpu")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    "code",
    [
        "x = torch.save",
        "t = torch\n  t.save(ids)",
        "t = (torch).save(ids)",
        "t = torch\\\n.save(ids)",
        "t = torch . save(ids)",
        "t = ops\n  t.aten.save(ids)",
        "t = ops.aten\n  t.save(ids)",
        "t = ops.aten.save(ids)",
        "ids.save('/tmp/x')",
        "ids.save(x)",
        "(ids.save)(x)",
        "[print][0](x)",
        "p = print\n  p(x)",
        "a = __torch__.torch.classes.dist_c10d.FileStore(x)",
        "a : __torch__.torch.classes.dist_c10d.FileStore = x",
        "a = __torch__.own.function(x)",
        "a = getattr(ids, x)(x)",
        "a = fork(x)",
        "with x:\n    pass",
        "import os",
        "a = x # torch.save",
        'a = f"{x}"',
        'a = """\ntorch.save(x)"""',
        'a = "\\" + torch.save(ids, "',
        "a = 'torch.save'",
        "a\t= x",
        "a\r= x",
        "a = ｔorch.save(x)",
        "a = 1.save(x)",
        "a = 0x10",
        "a = lambda x: x",
        "while True:\n    pass",
        "@x\n",
    ],
)
def test_code_in_any_other_form_is_not_compiled(code: str) -> None:
    assert code_problem(f"class A(Module):\n  def f(self, ids: Tensor):\n    {code}\n".encode()) is not None


def test_the_rest_of_such_code_is_compiled() -> None:
    code = (
        'class A(Module):\n  w : Tensor\n  def f(self, ids: Tensor) -> Tensor:\n    return torch.add(ids, "a", 1.5)\n'
    )
    assert code_problem(code.encode()) is None
    assert code_problem(b"") is None


@pytest.mark.parametrize("name", ["extra/notes.txt", "bytecode.pkl", "code/__torch__.py.debug_pkl", "data/x", "x.so"])
def test_members_that_no_export_has_are_not_opened(exported: bytes, tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(exported)
    with zipfile.ZipFile(path, "a") as members:
        members.writestr(f"{members.namelist()[0].partition('/')[0]}/{name}", b"")
    with pytest.raises(ValueError, match=f"has '{name}', which no TorchScript file of lexport has"):
        check_torchscript(path)


def test_a_member_twice_in_other_letters_is_not_opened(exported: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(exported)
    with zipfile.ZipFile(path, "a") as members:
        members.writestr(f"{members.namelist()[0].partition('/')[0]}/BYTEORDER", b"")
    with pytest.raises(ValueError, match=r"has 'BYTEORDER'"):
        check_torchscript(path)


class Call:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("unpickled",)


def test_pickles_name_tensors_and_the_files_own_classes_alone() -> None:
    assert pickle_problem(pickle.dumps(Call(), 2)) == "names '__builtin__ print'"
    assert pickle_problem(b"\x80\x02c__torch__.own\nModel\n.") is None
    assert pickle_problem(b"\x80\x02c__torch__.torch.classes.dist_c10d\nFileStore\n.") is not None
    assert pickle_problem(b"\x80\x04\x8c\x02os\x8c\x06system\x93.") == "has the pickle's opcode SHORT_BINUNICODE"
    assert str(pickle_problem(b"\x80\x02X\xff\xff\xff\x7f")).startswith("is a damaged pickle")
    assert not [
        name for name in GLOBALS if not name.startswith(("torch", "collections ", "__torch__.torch.classes."))
    ]
    assert {name for name in CLASSES if not name.startswith("__torch__.torch.classes.")} == set()


def test_more_code_than_any_export_has_is_not_read() -> None:
    def read(name: str) -> bytes:
        raise AssertionError(f"{name} was read")

    names = ["code/__torch__.py", "code/__torch__/more.py", "data.pkl"]
    with pytest.raises(ValueError, match=r"1,200,000 bytes of code and pickles, expected at most 1,048,576"):
        check_torchscript_members("model.pt", names, lambda name: 400_000, read)


def test_a_file_that_torch_takes_for_a_flatbuffer_is_not_opened(tmp_path: Path) -> None:
    path = scripted(torch.nn.Identity(), tmp_path / "model.pt")
    path.write_bytes(b"\x24\0\0\0PTMF" + bytes(56) + path.read_bytes())
    with pytest.raises(ValueError, match=r"model\.pt does not begin as the zip that it should be"):
        check_torchscript(path)
