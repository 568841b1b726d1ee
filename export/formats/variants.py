"""The forms a run can be exported in, each by its name ENGINE-PRECISION, with -text where it takes texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...models.compose import TextModel
from ...models.embeddings import Embedding
from ...models.heads import Joint
from .dense import has_dense_layers, quantize_onnx, quantized_for_torch
from .low_bit_tables import HalfGatherTable, HalfTable, NibbleGatherTable, NibbleTable
from .pt2 import unsupported_program_reason, write_program
from .tables import BagTable, ByteTable, GatherTable, Int8GatherTable, exported
from .torchscript_onnx import Scoring, hide_vectors, write_onnx, write_torchscript

# By the layout of the indices: the names of the symbolic axes, and how long the third axis is where it is fixed.
AXES = {
    "indices": (["batch", "length"], ()),
    "hashes": (["batch", "length"], ()),
    "characters": (["batch", "length", "characters"], (4,)),
    "languages": (["batch", "length"], (2,)),
}


@dataclass(frozen=True)
class Variant:
    """One exported form: what becomes of the table, and how the file is written.

    dense: whether the encoder's layers are quantized as well. named: whether it was asked for by its own name, so
    that it is an error if it cannot be made.
    """

    name: str
    suffix: str
    table: Callable[[Tensor], Embedding]
    dense: bool = False
    named: bool = False

    @property
    def engine(self) -> str:
        """What runs it: "torchscript", "onnx" or "pt2"."""
        return self.name.partition("-")[0]

    @property
    def precision(self) -> str:
        """What its table is stored in: "fp32", "fp16", "int8" or "int4"."""
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

    def unsupported_reason(self, model: TextModel) -> str | None:
        """Return why this variant cannot be made of the model, in a sentence, or None."""
        if self.dense and not has_dense_layers(model.encoder):
            return "its encoder has no dense layers; leave --quantize-dense out"
        if self.engine == "pt2":
            return unsupported_program_reason(model)
        return None

    def form(self, model: TextModel) -> TextModel:
        """Return the model with its table in this variant's form; everything else is shared and fp32."""
        return model.with_embedding(exported(model.embedding, self.table))

    def write(self, model: TextModel, inputs: str, folder: Path) -> None:
        """Write the model's files; `inputs` is the layout of its indices. Raises RuntimeError if a shape froze."""
        axes, rest = AXES[inputs]
        form, path = self.form(model), folder / self.file
        if self.dense and self.engine == "torchscript":
            form = quantized_for_torch(form)
        self._write(Scoring(form), path, "ids", torch.ones(2, 3, *rest).long(), axes)
        if self.engine == "onnx":
            if self.dense:
                quantize_onnx(path, model)
            hide_vectors(path)
        if isinstance(model.head, Joint):
            tower = model.head.image
            self._write(tower, folder / self.image_file, "image", torch.ones(2, tower.values), ["batch"])

    def _write(self, module: nn.Module, path: Path, feed: str, example: Tensor, axes: list[str]) -> None:
        if self.engine == "torchscript":
            write_torchscript(module, path)
        elif self.engine == "pt2":
            write_program(module, path, example=example, symbolic=axes)
        else:
            write_onnx(module, path, feed=feed, example=example, symbolic=axes)


IDS_IN = {
    variant.name: variant
    for variant in (
        Variant("torchscript-fp32", ".pt", BagTable),
        Variant("torchscript-fp16", ".pt", HalfTable),
        Variant("torchscript-int8", ".pt", ByteTable),
        Variant("torchscript-int4", ".pt", NibbleTable),
        Variant("onnx-fp32", ".onnx", GatherTable),
        Variant("onnx-fp16", ".onnx", HalfGatherTable),
        Variant("onnx-int8", ".onnx", Int8GatherTable),
        Variant("onnx-int4", ".onnx", NibbleGatherTable),
        Variant("pt2-fp32", ".pt2", BagTable),
    )
}
TEXT_IN = {
    f"{name}-text": replace(variant, name=f"{name}-text")
    for name, variant in IDS_IN.items()
    if variant.engine == "onnx"
}
VARIANTS = IDS_IN | TEXT_IN


DEFAULT = ("torchscript-fp32", "torchscript-int8", "onnx-fp32", "onnx-int8", "onnx-fp32-text", "onnx-int8-text")
"""What is exported unless variants are named: the exact and the small of both engines, and those that take texts."""


def choose(names: str | None, *, quantize_dense: bool = False) -> list[Variant]:
    """Return the variants of a comma-separated list of names and patterns (`onnx-*`, `*`), or the usual ones.

    `quantize_dense`: the int8 variants among them quantize the encoder's layers too. Raises InputError for a name
    that there is not, naming those there are, and where nothing would be quantized.
    """
    wanted = DEFAULT if names is None else tuple(name.strip() for name in names.split(","))
    found: dict[str, Variant] = {}
    unknown = []
    for one in wanted:
        matching = [variant for name, variant in VARIANTS.items() if fnmatchcase(name, one)]
        if not matching:
            unknown.append(one)
        for variant in matching:
            named = variant.name == one and names is not None
            found[variant.name] = replace(variant, named=named or found.get(variant.name, variant).named)
    if unknown:
        raise InputError(
            f"There is no variant {', '.join(map(repr, unknown))}; known are: {', '.join(VARIANTS)}.",
            code="LX-EXPORT-014",
        )
    if not quantize_dense:
        return list(found.values())
    if not any(variant.precision == "int8" for variant in found.values()):
        raise InputError(
            f"Dense layers are quantized in int8 variants, and none is among {', '.join(found)}. Add one, or leave "
            "--quantize-dense out.",
            code="LX-EXPORT-015",
        )
    return [replace(variant, dense=variant.precision == "int8") for variant in found.values()]
