"""The forms a run can be exported in, each by its name ENGINE-PRECISION."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import InputError
from ..models.compose import BagModel
from ..models.embeddings import Pooling, Table
from .formats import write_onnx, write_torchscript
from .tables import ByteTable, GatherTable, Int8GatherTable


@dataclass(frozen=True)
class Variant:
    """One exported form: which table it has and how its file is written."""

    name: str
    file: str
    table: Callable[[Tensor], Pooling]
    write: Callable[[BagModel, Path], None]

    @property
    def engine(self) -> str:
        """What runs it: "torchscript" or "onnx"."""
        return self.name.partition("-")[0]

    @property
    def precision(self) -> str:
        """What its table is stored in: "fp32" or "int8"."""
        return self.name.partition("-")[2]

    def form(self, model: BagModel) -> BagModel:
        """The model with its table in this variant's form; encoder and fp32 head are shared."""
        table = self.table(model.embedding.get_parameter("weight").detach())
        return BagModel(table, model.encoder, model.head).eval()


def _same_table(weight: Tensor) -> Pooling:
    return Table.holding(weight)


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("torchscript-fp32", "model.pt", _same_table, write_torchscript),
        Variant("torchscript-int8", "model.pt", ByteTable, write_torchscript),
        Variant("onnx-fp32", "model.onnx", GatherTable, write_onnx),
        Variant("onnx-int8", "model.onnx", Int8GatherTable, write_onnx),
    )
}


def choose(names: str | None) -> list[Variant]:
    """The variants of a comma-separated list, or all. Raises InputError naming those there are."""
    if names is None:
        return list(VARIANTS.values())
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in VARIANTS]
    if unknown:
        raise InputError(f"There is no variant {', '.join(map(repr, unknown))}; known are: {', '.join(VARIANTS)}.")
    return [VARIANTS[name] for name in dict.fromkeys(wanted)]
