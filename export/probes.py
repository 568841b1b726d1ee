"""What a variant's file makes of a text before the head: the encoder's output, by the engine that serves it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..handlers.engines import open_torchscript
from ..handlers.programs import open_program
from ..handlers.text import TextEncoder
from ..models.compose import TextModel
from ..models.data import Dataset
from ..models.run import Run
from .formats import VECTORS, show_vectors
from .programs import write_program
from .variants import AXES, Variant

Vectors = npt.NDArray[np.float32]
# Ids of texts, or texts and their languages where the variant takes those.
Probe = Callable[[Any, Sequence[str] | None], Vectors]

MOST = 1000
_BATCH = 64
_PERCENTILES = (1, 5, 50, 95, 99)


def trained_vectors(run: Run, part: Dataset) -> Vectors:
    """The trained encoder's outputs for the first texts of a part, float32 [texts, width]."""
    model = run.model

    def probe(ids: Any, languages: Sequence[str] | None) -> Vectors:
        with torch.inference_mode():
            found: Vectors = model.encode(torch.from_numpy(ids)).numpy()
        return found

    return _of_ids(probe, run.encoder, part)


def variant_vectors(run: Run, variant: Variant, folder: Path, part: Dataset) -> Vectors:
    """A written variant's, float32 [texts, width], in batches of 64."""
    file = folder / variant.file
    if variant.engine == "torchscript":
        program = open_torchscript(file, "cpu").vectors
        return _of_ids(lambda ids, _: _run(program, ids), run.encoder, part)
    if variant.engine == "pt2":
        with tempfile.TemporaryDirectory(dir=folder) as name:
            module = _Encoding(variant.form(run.model))
            axes, rest = AXES[run.encoder.spec.inputs]
            path = Path(name) / "encoder.pt2"
            write_program(module, path, example=torch.ones(2, 3, *rest).long(), symbolic=axes)
            compiled = open_program(path, "cpu")
            return _of_ids(lambda ids, _: _run(compiled, ids), run.encoder, part)
    shown = folder / "encoder.onnx"  # beside the weights that it names
    show_vectors(file, shown)
    try:
        session = _session(shown)
        if variant.takes == "text":
            return _of_texts(session, part)
        return _of_ids(lambda ids, _: session.run([VECTORS], {"ids": ids})[0], run.encoder, part)
    finally:
        shown.unlink()


def likeness(trained: Vectors, found: Vectors) -> dict[str, Any]:
    """How the rows of two matrices, float32 [texts, width], agree: percentiles of cosine and of largest difference.

    Two rows of zeros have the cosine 1, one of them alone 0.
    """
    norms = np.linalg.norm(trained, axis=1), np.linalg.norm(found, axis=1)
    product = norms[0] * norms[1]
    # Halves of a cosine above 1 by rounding are cut.
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


def _run(program: Callable[[Tensor], Tensor], ids: Any) -> Vectors:
    with torch.inference_mode():
        found: Vectors = program(torch.from_numpy(ids)).numpy()
    return found


def _of_ids(probe: Probe, encoder: TextEncoder, part: Dataset) -> Vectors:
    languages = part.languages and part.languages[:MOST]
    tokens = encoder.look_up(part.texts[:MOST], languages)
    order = np.argsort(tokens.lengths, kind="stable")
    batches = [order[first : first + _BATCH] for first in range(0, len(order), _BATCH)]
    found = np.concatenate([probe(encoder.assemble(tokens.take(rows)), None) for rows in batches])
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


def _session(path: Path) -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
