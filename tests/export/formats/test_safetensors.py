"""TorchScript tables lie beside their program, whatever holds them, and are put in their place when it is opened."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lexport.export.formats.torchscript_onnx import without_debug
from lexport.export.formats.variants import VARIANTS
from lexport.handlers.engine.engines import open_engine

from ...chain.combination_cases import BATCHES, EMBEDDINGS, Combination, assembled, made

# Of torch.jit itself.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

TORCHSCRIPT = [name for name, variant in VARIANTS.items() if variant.engine == "torchscript"]


def rows_of(combination: Combination) -> int:
    model, _ = made(combination)
    return max(len(value) for name, value in model.embedding.named_parameters() if name.endswith("weight"))


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


def test_the_page_shows_how_to_open_one_without_lexport(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "memory.md").read_text(encoding="utf-8")
    section = page.partition("## A TorchScript file without lexport")[2].partition("\n## ")[0]
    code = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    ") or not line)
    monkeypatch.chdir(run_folder / "export" / "torchscript-int8")
    exec(compile(code, "docs/memory.md", "exec"), {})
    engine = open_engine("torchscript", Path("model.pt"), threads=1, device="cpu")
    expected = torch.from_numpy(engine(torch.tensor([[2, 3, 4]]).numpy()))
    assert capsys.readouterr().out == f"{expected}\n"


def test_a_program_with_its_table_inside_opens_too(tmp_path: Path) -> None:
    """As archives had it before."""

    class Sum(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Buffer(torch.arange(6.0).reshape(3, 2))

        def forward(self, ids: Tensor) -> Tensor:
            return self.weight[ids].sum(dim=1)

    buffer = io.BytesIO()
    torch.jit.save(torch.jit.freeze(torch.jit.script(Sum().eval())), buffer)
    (tmp_path / "model.pt").write_bytes(without_debug(buffer.getvalue()))
    engine = open_engine("torchscript", tmp_path / "model.pt", threads=1, device="cpu")
    assert engine(torch.tensor([[1, 2]]).numpy()).tolist() == [[6.0, 8.0]]
