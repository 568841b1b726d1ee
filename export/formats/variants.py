"""The forms a run can be exported in: an engine, a precision, and ids or texts as input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...handlers.text.spec import Layout
from ...messages.nearest import did_you_mean
from ...models.compose import TextModel
from ...models.embeddings import Embedding
from ...models.heads import Joint
from .dense import quantize_onnx, quantized_for_torch, reason_against_dense
from .low_bit_tables import HalfGatherTable, HalfTable, NibbleGatherTable, NibbleTable
from .pt2 import unsupported_program_reason, write_program
from .tables import BagTable, ByteTable, GatherTable, Int8GatherTable, exported
from .torchscript_onnx import Scoring, hide_vectors, write_onnx, write_torchscript

# By the layout of the indices: the names of the symbolic axes, and how long the third axis is where it is fixed.
AXES = {
    Layout.INDICES: (["batch", "length"], ()),
    Layout.HASHES: (["batch", "length"], ()),
    Layout.CHARACTERS: (["batch", "length", "characters"], (4,)),
    Layout.LANGUAGES: (["batch", "length"], (2,)),
}


@dataclass(frozen=True)
class Format:
    """How an engine's files are written. `handlers/engine/engines.py` opens them."""

    suffix: str
    """Of the text model's file."""
    package: str
    """The package that runs it, which a worker needs."""
    write: Callable[[nn.Module, Path, str, Tensor, list[str]], None]
    """Write a module to a file, given the name of its input, an example of it and the names of its symbolic axes."""
    quantize: Callable[[TextModel], TextModel] | None = None
    """Quantize the encoder's dense layers before the model is written."""
    finish: Callable[[Path], None] = lambda path: None
    """Change the file afterwards."""
    quantize_file: Callable[[Path, TextModel], None] | None = None
    """Quantize the encoder's dense layers in a finished file of the model."""
    unsupported_reason: Callable[[TextModel], str | None] = lambda model: None
    """Return why the engine cannot run a model, in a sentence, or None."""


def _write_torchscript(module: nn.Module, path: Path, feed: str, example: Tensor, axes: list[str]) -> None:
    write_torchscript(module, path)


def _write_program(module: nn.Module, path: Path, feed: str, example: Tensor, axes: list[str]) -> None:
    write_program(module, path, example=example, symbolic=axes)


def _write_onnx(module: nn.Module, path: Path, feed: str, example: Tensor, axes: list[str]) -> None:
    write_onnx(module, path, feed=feed, example=example, symbolic=axes)


FORMATS = {
    "torchscript": Format(".pt", "torch", _write_torchscript, quantize=quantized_for_torch),
    "onnx": Format(".onnx", "onnxruntime", _write_onnx, finish=hide_vectors, quantize_file=quantize_onnx),
    "pt2": Format(".pt2", "torch", _write_program, unsupported_reason=unsupported_program_reason),
}
"""The engines by name."""


@dataclass(frozen=True)
class Variant:
    """One exported form of a model."""

    engine: str
    """What runs it, one of FORMATS."""
    precision: str
    """What its table is stored in: "fp32", "fp16", "int8" or "int4"."""
    table: Callable[[Tensor], Embedding]
    """Make the table's stored form of its rows, float32 [rows, dim]."""
    takes: str = "ids"
    """What its text model's input is: "ids", or "text" where the text code is in the graph."""
    dense: bool = False
    """Whether the encoder's wide layers are quantized as well, what goes into them as it comes."""
    named: bool = False
    """Whether the user named it, so that it is an error if it cannot be made."""

    @property
    def name(self) -> str:
        """The name, ENGINE-PRECISION[-dynamic][-text]."""
        dynamic, text = "-dynamic" if self.dense else "", "-text" if self.takes == "text" else ""
        return f"{self.engine}-{self.precision}{dynamic}{text}"

    @property
    def file(self) -> str:
        """The text model's file."""
        return f"model{FORMATS[self.engine].suffix}"

    @property
    def image_file(self) -> str:
        """The image tower's file, where there is one; it is fp32 in every variant."""
        return f"image{FORMATS[self.engine].suffix}"

    def unsupported_reason(self, model: TextModel) -> str | None:
        """Return why this variant cannot be made of the model, in a sentence, or None."""
        against_dense = reason_against_dense(model.encoder, self.engine) if self.dense else None
        return against_dense or FORMATS[self.engine].unsupported_reason(model)

    def form(self, model: TextModel) -> TextModel:
        """Return the model with its table in this variant's form; everything else is shared and fp32."""
        return model.with_embedding(exported(model.embedding, self.table))

    def write(self, model: TextModel, inputs: Layout, folder: Path) -> None:
        """Write the model's files; `inputs` is the layout of its indices. Raises RuntimeError if a shape froze."""
        axes, rest = AXES[inputs]
        form, path, kind = self.form(model), folder / self.file, FORMATS[self.engine]
        if self.dense and kind.quantize is not None:
            form = kind.quantize(form)
        kind.write(Scoring(form), path, "ids", torch.ones(2, 3, *rest).long(), axes)
        kind.finish(path)
        if self.dense and kind.quantize_file is not None:
            kind.quantize_file(path, model)
        if isinstance(model.head, Joint):
            tower = model.head.image
            kind.write(tower, folder / self.image_file, "image", torch.ones(2, tower.values), ["batch"])


IDS_IN = {
    variant.name: variant
    for variant in (
        Variant("torchscript", "fp32", BagTable),
        Variant("torchscript", "fp16", HalfTable),
        Variant("torchscript", "int8", ByteTable),
        Variant("torchscript", "int4", NibbleTable),
        Variant("onnx", "fp32", GatherTable),
        Variant("onnx", "fp16", HalfGatherTable),
        Variant("onnx", "int8", Int8GatherTable),
        Variant("onnx", "int4", NibbleGatherTable),
        Variant("pt2", "fp32", BagTable),
    )
}
TEXT_IN = {
    variant.name: variant
    for variant in (replace(one, takes="text") for one in IDS_IN.values() if one.engine == "onnx")
}
DYNAMIC = {
    variant.name: variant
    for variant in (replace(one, dense=True) for one in (IDS_IN | TEXT_IN).values() if one.precision == "int8")
}
"""int8 whose encoder's layers have 8 bits too: a score depends on the other texts of its batch."""
VARIANTS = IDS_IN | TEXT_IN | DYNAMIC


PLAIN = "fp32"
"""The precision that others of the same engine and input are timed against."""


def families(variants: Sequence[Variant]) -> list[list[Variant]]:
    """Return the variants by engine and input, in each list the fp32 one first, if it is among them."""
    found: dict[tuple[str, str], list[Variant]] = {}
    for variant in variants:
        found.setdefault((variant.engine, variant.takes), []).append(variant)
    return [sorted(family, key=lambda one: one.precision != PLAIN) for family in found.values()]


DEFAULT = (
    "torchscript-fp32",
    "torchscript-int8",
    "torchscript-int8-dynamic",
    "onnx-fp32",
    "onnx-int8",
    "onnx-int8-dynamic",
    "onnx-fp32-text",
    "onnx-int8-text",
)
"""What is exported unless variants are named: the exact and the small of both engines, and those that take texts."""


def choose(names: str | None) -> list[Variant]:
    """Return the variants of a comma-separated list of names and patterns (`onnx-*`, `*`), or the usual ones.

    Raises InputError for a name that there is not, naming those there are.
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
            f"There is no variant {', '.join(map(repr, unknown))}.{did_you_mean(unknown[0], VARIANTS)} Known are: "
            f"{', '.join(VARIANTS)}.",
            code="LX-EXPORT-014",
        )
    return list(found.values())
