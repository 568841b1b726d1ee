"""Probe the encoder's output of a variant, before the head, with the engine that serves it. Nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...data.load import Dataset
from ...handlers.text.encoder import Ids, TextEncoder
from ...models.compose import TextModel
from ...models.run import Run
from ..formats.pt2 import program_of
from ..formats.torchscript_onnx import VECTORS, graph_to_vectors
from ..formats.variants import AXES
from ..formats.writer import WrittenVariant

Vectors = npt.NDArray[np.float32]
# The encoder's outputs for the first texts of a part, float32 [texts, width].
Probe = Callable[[Dataset], Vectors]

MOST = 1000
_BATCH = 64
_PERCENTILES = (1, 5, 50, 95, 99)


def trained_probe(run: Run) -> Probe:
    """Return a probe of the trained encoder."""
    return lambda part: _of_ids(_in_torch(run.model.encode), run.encoder, part)


def variant_probe(run: Run, written: WrittenVariant) -> Probe:
    """Return a probe of the encoder of an opened variant."""
    if written.variant.takes == "text":
        session = _encoder_session(written.folder / written.variant.file)
        return lambda part: _of_texts(session, part)
    encode = _encode(run, written)
    return lambda part: _of_ids(encode, run.encoder, part)


def _encode(run: Run, written: WrittenVariant) -> Callable[[Ids], Vectors]:
    """Return a function from ids to the encoder's output."""
    variant = written.variant
    if variant.engine == "onnx":
        session = _encoder_session(written.folder / variant.file)
        return lambda ids: session.run([VECTORS], {"ids": ids})[0]
    if variant.engine == "torchscript":
        return _in_torch(written.predictor.engine.model.vectors)
    # A program has one entry point, so we export the same form again without the head.
    axes, rest = AXES[run.encoder.spec.inputs]
    form = _Encoding(variant.form(run.model))
    return _in_torch(program_of(form, example=torch.ones(2, 3, *rest).long(), symbolic=axes).module())


def _encoder_session(file: Path) -> Any:
    """Return a session of the graph in a file, cut at the encoder's output, which the graph's own session hides."""
    # As `engines.open_session` has it.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(file.parent))
    return onnxruntime.InferenceSession(graph_to_vectors(file), options, providers=["CPUExecutionProvider"])


def compare_vectors(trained: Vectors, found: Vectors) -> dict[str, Any]:
    """Compare the rows of two matrices float32 [texts, width]: percentiles of cosine and of largest difference.

    The cosine of two rows of zeros is 1, that of one row of zeros and another row 0.
    """
    norms = np.linalg.norm(trained, axis=1), np.linalg.norm(found, axis=1)
    product = norms[0] * norms[1]
    # Rounding makes a cosine a little above 1.
    cosine = np.clip(np.einsum("ij,ij->i", trained, found) / np.where(product > 0, product, 1), -1, 1)
    cosine = np.where(product > 0, cosine, (norms[0] == norms[1]) * 1.0)
    difference = np.abs(trained - found).max(axis=1)
    return {"texts": len(trained), "cosine": _percentiles(cosine), "difference": _percentiles(difference)}


def _percentiles(values: npt.NDArray[Any]) -> dict[str, float]:
    found = np.percentile(values.astype(np.float64), _PERCENTILES)
    return {f"p{percent}": float(value) for percent, value in zip(_PERCENTILES, found, strict=True)}


class _Encoding(nn.Module):
    """A text model up to its head."""

    def __init__(self, model: TextModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        return self.model.encode(ids)


def _in_torch(encode: Callable[[Tensor], Tensor]) -> Callable[[Ids], Vectors]:
    def run(ids: Ids) -> Vectors:
        with torch.inference_mode():
            found: Vectors = encode(torch.from_numpy(ids)).numpy()
        return found

    return run


def _of_ids(encode: Callable[[Ids], Vectors], encoder: TextEncoder, part: Dataset) -> Vectors:
    batch = part.batch[:MOST]
    tokens = encoder.look_up(batch.texts, batch.languages)
    order = np.argsort(tokens.lengths, kind="stable")
    batches = [order[first : first + _BATCH] for first in range(0, len(order), _BATCH)]
    found = np.concatenate([encode(encoder.assemble(tokens.take(rows))) for rows in batches])
    vectors: Vectors = np.empty_like(found)
    vectors[order] = found
    return vectors


def _of_texts(session: Any, part: Dataset) -> Vectors:
    found = []
    for first in range(0, min(len(part), MOST), _BATCH):
        rows = slice(first, min(first + _BATCH, MOST))
        feeds = {"texts": np.array(part.texts[rows], object)}
        if part.languages is not None:
            feeds["languages"] = np.array(part.languages[rows], object)
        found.append(session.run([VECTORS], feeds)[0])
    return np.concatenate(found)
