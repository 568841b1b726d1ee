"""The forms a run can be exported in, each by its name ENGINE-PRECISION, with -text where it takes texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..models.compose import TextModel
from ..models.embeddings import Embedding, Table
from ..models.heads import Joint
from .formats import Scoring, write_onnx, write_torchscript
from .tables import ByteTable, GatherTable, Int8GatherTable, exported

# By the layout of the indices: the names of the symbolic axes, and how long the third axis is where it is fixed.
_AXES = {
    "indices": (["batch", "length"], ()),
    "hashes": (["batch", "length"], ()),
    "characters": (["batch", "length", "characters"], (4,)),
    "languages": (["batch", "length"], (2,)),
}


@dataclass(frozen=True)
class Variant:
    """One exported form: what becomes of the table, and how the file is written."""

    name: str
    suffix: str
    table: Callable[[Tensor], Embedding]

    @property
    def engine(self) -> str:
        """What runs it: "torchscript" or "onnx"."""
        return self.name.partition("-")[0]

    @property
    def precision(self) -> str:
        """What its table is stored in: "fp32" or "int8"."""
        return self.name.split("-")[1]

    @property
    def takes(self) -> str:
        """What its text model's input is: "ids", or "text" where the text code is in the graph."""
        return "text" if self.name.endswith("-text") else "ids"

    @property
    def file(self) -> str:
        """The text model's file."""
        return f"model{self.suffix}"

    @property
    def image_file(self) -> str:
        """The image tower's file, where there is one; it is fp32 in every variant."""
        return f"image{self.suffix}"

    def form(self, model: TextModel) -> TextModel:
        """The model with its table in this variant's form; everything else is shared and fp32."""
        return model.with_embedding(exported(model.embedding, self.table))

    def write(self, model: TextModel, inputs: str, folder: Path) -> None:
        """Write the model's files; `inputs` is the layout of its indices. Raises RuntimeError if a shape froze."""
        axes, rest = _AXES[inputs]
        self._write(Scoring(self.form(model)), folder / self.file, "ids", torch.ones(2, 3, *rest).long(), axes)
        if isinstance(model.head, Joint):
            tower = model.head.image
            self._write(tower, folder / self.image_file, "image", torch.ones(2, tower.values), ["batch"])

    def _write(self, module: nn.Module, path: Path, feed: str, example: Tensor, axes: list[str]) -> None:
        if self.engine == "torchscript":
            write_torchscript(module, path)
        else:
            write_onnx(module, path, feed=feed, example=example, symbolic=axes)


def _same_table(weight: Tensor) -> Embedding:
    return Table.holding(weight)


IDS_IN = {
    variant.name: variant
    for variant in (
        Variant("torchscript-fp32", ".pt", _same_table),
        Variant("torchscript-int8", ".pt", ByteTable),
        Variant("onnx-fp32", ".onnx", GatherTable),
        Variant("onnx-int8", ".onnx", Int8GatherTable),
    )
}
TEXT_IN = {
    f"{name}-text": replace(variant, name=f"{name}-text")
    for name, variant in IDS_IN.items()
    if variant.engine == "onnx"
}
VARIANTS = IDS_IN | TEXT_IN


def choose(names: str | None) -> list[Variant]:
    """The variants of a comma-separated list, or all. Raises InputError naming those there are."""
    if names is None:
        return list(VARIANTS.values())
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in VARIANTS]
    if unknown:
        raise InputError(f"There is no variant {', '.join(map(repr, unknown))}; known are: {', '.join(VARIANTS)}.")
    return [VARIANTS[name] for name in dict.fromkeys(wanted)]
