"""Triton's config.pbtxt: the tensors of a model, its batches and what it warms up with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ...handlers.model.decoders import DECODERS
from ...handlers.request.outputs import DATATYPES
from .packed import Packed

PYTHON = "python"
ONNX = "onnxruntime"
_TYPES = {"BYTES": "TYPE_STRING", "FP32": "TYPE_FP32", "INT64": "TYPE_INT64", "BOOL": "TYPE_BOOL"}


@dataclass(frozen=True)
class Tensor:
    """An input or an output, without the axis of the batch."""

    name: str
    datatype: str
    """As the Open Inference Protocol names it."""
    size: int = 1
    """Number of values for each text."""
    flat: bool = False
    """Whether the model has no second axis, and Triton's is taken away and added."""
    optional: bool = False
    """Whether a request may leave it out."""
    holds: str = ""
    """What an input holds: text, lang or image."""
    labels: str = ""
    """The file with the names of its values."""

    def sample(self, number: int) -> str:
        """Return the name of the file with a sample of this input."""
        return f"{self.name}-{number}"

    def lines(self) -> str:
        """Return the tensor as the configuration has it."""
        parts = [f"name: {json.dumps(self.name)}", f"data_type: {_TYPES[self.datatype]}", f"dims: [ {self.size} ]"]
        if self.flat:
            parts.append("reshape: { shape: [ ] }")
        if self.optional:
            parts.append("optional: true")
        if self.labels:
            parts.append(f"label_filename: {json.dumps(self.labels)}")
        return "  {\n" + "".join(f"    {part}\n" for part in parts) + "  }"


@dataclass(frozen=True)
class Config:
    """The configuration of a model."""

    name: str
    backend: str
    batch: int
    """The most texts of a batch."""
    delay: float
    """Seconds for which a batch may wait for more."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    samples: int
    """Number of samples that the model warms up with, each of one text."""

    def text(self) -> str:
        """Return config.pbtxt, protobuf's text format of Triton's ModelConfig."""
        lines = [f"name: {json.dumps(self.name)}", f"backend: {json.dumps(self.backend)}"]
        lines += [f"max_batch_size: {self.batch}"]
        lines += [_list("input", self.inputs), _list("output", self.outputs)]
        lines += ["instance_group [ { kind: KIND_CPU count: 1 } ]", "version_policy: { latest: { num_versions: 1 } }"]
        if self.batch > 1:
            lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {round(self.delay * 1e6)} }}")
        if self.backend == ONNX:
            lines.append('parameters { key: "intra_op_thread_count" value: { string_value: "1" } }')
        lines += [self._warmup(number) for number in range(1, self.samples + 1)]
        return "".join(f"{line}\n" for line in lines)

    def _warmup(self, number: int) -> str:
        inputs = "".join(
            f"  inputs {{ key: {json.dumps(one.name)} value: {{ data_type: {_TYPES[one.datatype]} "
            f"dims: [ {one.size} ] input_data_file: {json.dumps(one.sample(number))} }} }}\n"
            for one in self.inputs
            if one.holds in ("text", "lang")
        )
        return f'model_warmup {{\n  name: "golden-{number}"\n  batch_size: 1\n{inputs}}}'


def _list(field: str, tensors: Sequence[Tensor]) -> str:
    return f"{field} [\n" + ",\n".join(one.lines() for one in tensors) + "\n]"


def graph_config(packed: Packed, samples: int = 0) -> Config:
    """Return the configuration of the graph itself on the ONNX Runtime backend."""
    inputs = [Tensor("texts", "BYTES", flat=True, holds="text")]
    if packed.languages:
        inputs.append(Tensor("languages", "BYTES", flat=True, holds="lang"))
    answer = [Tensor("vector", "FP32", packed.dim)]
    if packed.gives_scores:
        answer = [Tensor("scores", "FP32", len(packed.labels), labels="labels.txt")]
        if packed.model.task == "multilabel":
            answer.append(Tensor("chosen", "BOOL", len(packed.labels)))
        else:
            answer += [Tensor("label", "BYTES", flat=True), Tensor("label_index", "INT64", flat=True)]
    counts = [Tensor(name, DATATYPES[name], flat=True) for name in ("tokens", "unknown", "truncated")]
    return _config(packed, ONNX, inputs, [*answer, *counts], samples)


def python_config(packed: Packed, samples: int = 0) -> Config:
    """Return the configuration of the archive's code on the Python backend, with the tensors of lexport's servers."""
    inputs = [Tensor("text", "BYTES", optional=packed.takes_images, holds="text")]
    if packed.languages:
        inputs.append(Tensor("lang", "BYTES", holds="lang"))
    if packed.takes_images:
        inputs.append(Tensor("image", "FP32", packed.model.image_values, optional=True, holds="image"))
    sizes = {"scores": len(packed.labels), "vector": packed.dim}
    outputs = [
        Tensor(name, DATATYPES[name], sizes.get(name, 1), labels="labels.txt" if name == "scores" else "")
        for name in DECODERS[packed.model.task].TENSORS
    ]
    return _config(packed, PYTHON, inputs, outputs, samples)


def _config(
    packed: Packed, backend: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], samples: int
) -> Config:
    name, batch = packed.model.name, max(packed.batch, 1)
    return Config(name, backend, batch, packed.delay, tuple(inputs), tuple(outputs), samples)
