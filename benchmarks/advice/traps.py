"""Quantizing a table the common ways: what the calls do, and what one scale for all rows does to a trained table."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexport.benchmarks.figures import Values
from lexport.export.formats.variants import VARIANTS
from lexport.handlers.engine.engines import open_engine
from lexport.handlers.text.spec import Layout

from . import fits
from .claim import tried
from .exports import judged_by
from .fits import Fitted, points_between


def by_tensor(trained: Sequence[Fitted], name: str) -> dict[str, Any]:
    """What quantizing loses with one scale a row and with one for all; accuracy in points from fp32.

    lost_row, lost_tensor: mean 1 − cosine over the words' rows. norms: 99th percentile of theirs over the first.
    """
    rows, ort = [], []
    cosines: dict[str, list[float]] = {"row": [], "tensor": []}
    norms = []
    for one in trained:
        weight = one.model.embedding.get_parameter("weight").detach()
        words = weight[2 : one.encoder.spec.words]
        for kind, own in (("row", _by_row(words)), ("tensor", _in_one(words, weight))):
            cosines[kind].append(float((1 - F.cosine_similarity(own, words)).mean()))
        low, high = np.percentile(words.norm(dim=1).numpy(), (1, 99))
        norms.append(high / low)
        model = copy.deepcopy(one.model)
        model.embedding.get_parameter("weight").data = _by_row(weight)
        rows.append(fits.judged(model, one.encoder, name))
        ort.append(_by_onnxruntime(one, name))
    theirs = np.stack([one.right for one in trained])
    return {
        "lost_row": float(np.mean(cosines["row"])),
        "lost_tensor": float(np.mean(cosines["tensor"])),
        "norms": float(np.mean(norms)),
        "row": points_between(np.stack(rows), theirs).__dict__,
        "ort": points_between(np.stack(ort), theirs).__dict__,
    }


def _by_row(weight: Tensor) -> Tensor:
    scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
    return (weight / scale).round() * scale


def _in_one(rows: Tensor, table: Tensor) -> Tensor:
    scale = table.abs().max() / 127
    return (rows / scale).round() * scale


def _by_onnxruntime(one: Fitted, name: str) -> Values:
    """The trained model exported in fp32, quantized by ONNX Runtime's dynamic quantizer, judged."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    variant = VARIANTS["onnx-fp32"]
    with tempfile.TemporaryDirectory(prefix="lexport-traps-") as folder:
        variant.write(one.model, Layout.INDICES, Path(folder))
        target = Path(folder) / "quantized.onnx"
        quiet = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)  # it advises to run its preprocessing
        try:
            quantize_dynamic(Path(folder) / variant.file, target, weight_type=QuantType.QInt8)
        finally:
            logging.getLogger().setLevel(quiet)
        return judged_by(open_engine("onnx", target, threads=1, device="cpu"), one.encoder, name)


class _Classifier(nn.Module):
    def __init__(self, table: nn.Module) -> None:
        super().__init__()
        self.table = table
        self.head = nn.Linear(8, 2)

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.head(self.table(ids).mean(dim=1))
        return found


def calls() -> dict[str, str]:
    """What the common calls do, found by making them."""
    from torch.ao.quantization import float_qparams_weight_only_qconfig
    from torch.ao.quantization import quantize_dynamic as untyped

    quantize_dynamic: Any = untyped

    def bare() -> str:
        done = quantize_dynamic(nn.Embedding(100, 8), {nn.Embedding}, torch.qint8)
        return f"no error; the result is still a `{type(done).__module__}.{type(done).__name__}`"

    def inside() -> str:
        done = quantize_dynamic(_Classifier(nn.Embedding(100, 8)), {nn.Embedding}, torch.qint8)
        return f"the table is a `{type(done.table).__module__}.{type(done.table).__name__}`"

    def told() -> str:
        settings = {nn.Embedding: float_qparams_weight_only_qconfig}
        done = quantize_dynamic(_Classifier(nn.Embedding(100, 8)), settings)
        return f"the table is a `{type(done.table).__module__}.{type(done.table).__name__}`"

    def averaged() -> str:
        bag = nn.EmbeddingBag(100, 8, mode="mean")
        done = quantize_dynamic(nn.Sequential(bag), {nn.EmbeddingBag: float_qparams_weight_only_qconfig})
        ids = torch.tensor([[1, 2, 3, 4]])
        ratio = float((done(ids).norm() / bag(ids).norm()).detach())
        return f"no error; of four words its answer is {ratio:.1f} times as long as the mean"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "`quantize_dynamic(embedding, {nn.Embedding}, torch.qint8)`": tried(bare),
            "`quantize_dynamic(model, {nn.Embedding}, torch.qint8)`": tried(inside),
            "`quantize_dynamic(model, {nn.Embedding: float_qparams_weight_only_qconfig})`": tried(told),
            'the same for `nn.EmbeddingBag(mode="mean")`': tried(averaged),
        }
