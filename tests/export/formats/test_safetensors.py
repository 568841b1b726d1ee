"""Large TorchScript tables lie beside their program, whatever holds them, and are put in place when it is opened."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lexport.export.formats import safetensors
from lexport.export.formats.variants import VARIANTS
from lexport.handlers.engine.engines import open_engine

from ...chain.combination_cases import BATCHES, EMBEDDINGS, Combination, assembled, made

# Of torch.jit itself.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

Capture = pytest.CaptureFixture[str]
_PAGE = (Path(__file__).parents[3] / "docs" / "memory.md").read_text(encoding="utf-8")
_SECTION = _PAGE.partition("## A TorchScript file without lexport")[2].partition("\n## ")[0]
SHOWN = [textwrap.dedent(code) for code in re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", _SECTION, re.MULTILINE)]
"""The two programs of the page: for a table inside, and for one beside the program."""

TORCHSCRIPT = [name for name, variant in VARIANTS.items() if variant.engine == "torchscript"]


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of any size lie beside their program, as large ones do."""
    monkeypatch.setattr(safetensors, "INSIDE", 0)


def rows_of(combination: Combination) -> int:
    model, _ = made(combination)
    return max(len(value) for name, value in model.embedding.named_parameters() if name.endswith("weight"))


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("variant", TORCHSCRIPT)
@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_the_table_of_every_embedding_lies_outside_and_one_row_within(
    embedding: str, variant: str, tmp_path: Path
) -> None:
    combination = Combination(embedding, "cnn")
    model, encoder = made(combination)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    VARIANTS[variant].write(model, encoder.spec.inputs, tmp_path)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    [table] = load_file(tmp_path / "model.safetensors").values()
    program: torch.nn.Module = torch.jit.load(str(tmp_path / "model.pt"))  # type: ignore[no-untyped-call]
    left: Tensor
    [left] = program.state_dict().values()
    assert len(table) == rows_of(combination)
    assert left.shape == (1, *table.shape[1:])
    assert left.dtype == table.dtype
    assert torch.equal(left[0], table[0])


@pytest.mark.usefixtures("outside")
def test_a_model_answers_by_the_table_beside_it(tmp_path: Path) -> None:
    combination = Combination("table", "bag")
    model, encoder = made(combination)
    ids = assembled(combination, BATCHES["ragged"])
    VARIANTS["torchscript-fp32"].write(model, encoder.spec.inputs, tmp_path)
    file = tmp_path / "model.safetensors"
    [(name, table)] = load_file(file).items()
    answers = [open_engine("torchscript", tmp_path / "model.pt", threads=1, device="cpu")(ids)]
    save_file({name: table.flip(0).contiguous()}, file)
    answers.append(open_engine("torchscript", tmp_path / "model.pt", threads=1, device="cpu")(ids))
    assert abs(answers[0] - answers[1]).max() > 0.01


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table.half(), "is torch.float16 [25, 8], expected torch.float32 and rows of [8]"),
        (lambda table: table[:, :7].contiguous(), "is torch.float32 [25, 7], expected torch.float32 and rows of [8]"),
    ],
)
def test_a_table_that_does_not_fit_its_program_is_refused(
    change: Callable[[Tensor], Tensor], reason: str, tmp_path: Path
) -> None:
    model, encoder = made(Combination("table", "bag"))
    VARIANTS["torchscript-fp32"].write(model, encoder.spec.inputs, tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({name: change(table) for name, table in load_file(file).items()}, file)
    with pytest.raises(ValueError, match=re.escape(reason)):
        open_engine("torchscript", tmp_path / "model.pt", threads=1, device="cpu")


@pytest.mark.parametrize(("inside", "files"), [(None, ["model.pt"]), (0, ["model.pt", "model.safetensors"])])
def test_the_page_shows_how_to_open_one_without_lexport(
    inside: int | None, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    if inside is not None:
        monkeypatch.setattr(safetensors, "INSIDE", inside)
    combination = Combination("table", "bag")
    model, encoder = made(combination)
    VARIANTS["torchscript-int8"].write(model, encoder.spec.inputs, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    monkeypatch.chdir(tmp_path)
    exec(compile(SHOWN[len(files) - 1], "docs/memory.md", "exec"), {})
    engine = open_engine("torchscript", Path("model.pt"), threads=1, device="cpu")
    expected = torch.from_numpy(engine(torch.tensor([[2, 3, 4]]).numpy()))
    assert capsys.readouterr().out == f"{expected}\n"


@pytest.mark.parametrize("variant", TORCHSCRIPT)
@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_a_small_table_lies_inside_and_torch_alone_opens_it(embedding: str, variant: str, tmp_path: Path) -> None:
    combination = Combination(embedding, "cnn")
    model, encoder = made(combination)
    VARIANTS[variant].write(model, encoder.spec.inputs, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    program = torch.jit.load(str(tmp_path / "model.pt"))  # type: ignore[no-untyped-call]
    ids = torch.from_numpy(assembled(combination, BATCHES["ragged"]))
    engine = open_engine("torchscript", tmp_path / "model.pt", threads=1, device="cpu")
    assert torch.equal(program(ids), torch.from_numpy(engine(ids.numpy())))


def test_tables_of_the_limit_lie_inside_and_those_of_a_byte_more_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoder = made(Combination("table", "bag"))
    size = 4 * 8 * rows_of(Combination("table", "bag"))
    for limit, outside in ((size, False), (size - 1, True)):
        monkeypatch.setattr(safetensors, "INSIDE", limit)
        (folder := tmp_path / str(limit)).mkdir()
        VARIANTS["torchscript-fp32"].write(model, encoder.spec.inputs, folder)
        assert (folder / "model.safetensors").exists() == outside
