"""What docs/extending.md shows: an embedding, an encoder, a head, a task, a variant and an engine of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexport.data.dataset import Dataset
from lexport.evaluation.bootstrap import bootstrap_means, insert_intervals, percentile_interval
from lexport.evaluation.metrics import Outputs, Values
from lexport.evaluation.tasks import TASKS, Classify
from lexport.export.formats.tables import BagTable
from lexport.export.formats.variants import FORMATS, VARIANTS, Format, Variant
from lexport.handlers.engine.engines import OPENERS, Scores
from lexport.handlers.text.spec import TextSpec
from lexport.models.compose import TextModel
from lexport.models.embeddings import EMBEDDINGS, Embedding, EmbeddingOptions, Table, TableOptions
from lexport.models.encoders import ENCODERS, Bag, Encoder, EncoderOptions
from lexport.models.heads import HEADS, Classifier, ClassifierOptions


@dataclass(frozen=True)
class GatedOptions(EmbeddingOptions):
    """Options of the embedding `gated`."""

    NAME: ClassVar[str] = "gated"

    dim: int | None = None
    """Dimensions of a vector; None: chosen by the size of the data."""

    def build(self, spec: TextSpec) -> Gated:
        """Return a new embedding for the ids of `spec`."""
        return Gated(Table(spec.rows, spec.words, TableOptions(dim=self.dim, sparse=False)))


class Gated(Embedding):
    """A table whose dimensions are scaled by trained numbers."""

    def __init__(self, table: Table) -> None:
        """`table`: the rows; a submodule of this name is what int8 and int4 variants store in their form."""
        super().__init__(table.dim)
        self.table = table
        self.gate = nn.Parameter(torch.ones(table.dim))

    def vectors(self, ids: Tensor) -> Tensor:
        """Map ids int64 [batch, length] → float32 [batch, length, dim]."""
        return self.table.vectors(ids) * self.gate

    def pooled(self, ids: Tensor) -> Tensor:
        """Map ids int64 [batch, length] → float32 [batch, dim], the sum of the vectors."""
        return self.table.pooled(ids) * self.gate


@dataclass(frozen=True)
class EdgesOptions(EncoderOptions):
    """Options of the encoder `edges`."""

    NAME: ClassVar[str] = "edges"

    dropout: float = 0.0
    """Share of components that a training step drops."""

    def build(self, dim: int, spec: TextSpec) -> Edges:
        """Return a new encoder of token vectors of width `dim`."""
        return Edges(dim, self)


class Edges(Encoder):
    """The vectors of a text's first and last token, one behind the other."""

    def __init__(self, dim: int, options: EdgesOptions) -> None:
        """`dim`: width of a token's vector."""
        super().__init__(2 * dim)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Map vectors float32 [batch, length, dim], mask bool [batch, length] → float32 [batch, 2 * dim]."""
        vectors = vectors.masked_fill(~mask.unsqueeze(2), 0.0)
        last = (mask.sum(dim=1) - 1).clamp(min=0)
        ends = vectors.gather(1, last.view(-1, 1, 1).expand(-1, 1, vectors.size(2))).squeeze(1)
        encoded: Tensor = self.dropout(torch.cat([vectors[:, 0], ends], dim=1))
        return encoded


@dataclass(frozen=True)
class CosineOptions(ClassifierOptions):
    """Options of the head `cosine`: those of the classifier, whose task it has."""

    NAME: ClassVar[str] = "cosine"

    def build(self, width: int, labels: int, image_values: int) -> Cosine:
        """Return a new head of text vectors of `width`."""
        return Cosine(width, labels, self)


class Cosine(Classifier):
    """Ten times the cosine of a text's vector with the vector of each label."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Map float32 [batch, width] → logits float32 [batch, labels]."""
        weight: Tensor = self.linear.weight
        logits: Tensor = 10.0 * F.linear(F.normalize(vectors, dim=1), F.normalize(weight, dim=1))
        return logits


class Levels(Classify):
    """Labels in an order, such as one to five stars: an answer that is one level off is nearly right."""

    NAME: ClassVar[str] = "levels"
    METRIC: ClassVar[str] = "within_one"
    HEADLINES: ClassVar[Mapping[str, str]] = {"within_one": "within one level", "accuracy": "accuracy"}

    def terms(self, part: Dataset, outputs: Outputs) -> Values:
        """Return 1 for each answer at most one level off, float64 [texts, 1]."""
        off = np.abs(outputs.argmax(axis=1) - self.truth(part))
        nearly: Values = (off <= 1)[:, None].astype(np.float64)
        return nearly

    def metrics(self, part: Dataset, outputs: Outputs) -> dict[str, Any]:
        """Return the share of answers at most one level off, and the metrics of a classifier."""
        return {"within_one": float(self.terms(part, outputs).mean()), **super().metrics(part, outputs)}

    def with_intervals(self, part: Dataset, outputs: Outputs, metrics: dict[str, Any]) -> dict[str, Any]:
        """Add the interval of that share."""
        drawn = bootstrap_means(self.terms(part, outputs))[:, 0]
        of_classifier = super().with_intervals(part, outputs, metrics)
        return insert_intervals(of_classifier, {"within_one": percentile_interval(drawn)})


@dataclass(frozen=True)
class LevelsOptions(ClassifierOptions):
    """Options of the head `levels`: the classifier, judged by another task."""

    NAME: ClassVar[str] = "levels"

    @property
    def task(self) -> str:
        """The task of this head."""
        return Levels.NAME


def write_numpy(module: nn.Module, path: Path, feed: str, example: Tensor, axes: list[str]) -> None:
    """Write the table and the layer of a classifier of means as arrays."""
    state = module.state_dict()
    names = {"table": "embedding.weight", "weight": "head.linear.weight", "bias": "head.linear.bias"}
    arrays: dict[str, Any] = {name: state[f"model.{parameter}"].numpy() for name, parameter in names.items()}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def why_not_numpy(model: TextModel) -> str | None:
    """Return why a model cannot be written by `write_numpy`, in a sentence, or None."""
    mean = isinstance(model.encoder, Bag) and model.encoder.mode == "mean"
    return None if mean and isinstance(model.head, Classifier) else "NumPy runs a mean with a classifier alone"


def open_numpy(file: Path, threads: int, device: str, feed: str) -> Callable[[npt.NDArray[Any]], Scores]:
    """Open what `write_numpy` wrote: a function from ids int64 [batch, length] to scores float32 [batch, labels]."""
    with np.load(file, allow_pickle=False) as arrays:
        table, weight, bias = (arrays[name] for name in ("table", "weight", "bias"))

    def run(ids: npt.NDArray[Any]) -> Scores:
        count = np.maximum((ids != 0).sum(axis=1, keepdims=True), 1)
        logits = table[ids].sum(axis=1) / count @ weight.T + bias
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores: Scores = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
        return scores

    return run


def register() -> None:
    """Register them all: a line each."""
    EMBEDDINGS[GatedOptions.NAME] = GatedOptions
    ENCODERS[EdgesOptions.NAME] = EdgesOptions
    HEADS[CosineOptions.NAME] = CosineOptions
    HEADS[LevelsOptions.NAME] = LevelsOptions
    TASKS[Levels.NAME] = Levels
    VARIANTS["torchscript-half"] = Variant("torchscript", "half", lambda rows: BagTable(rows.half().float()))
    FORMATS["numpy"] = Format(".npz", "numpy", write_numpy, unsupported_reason=why_not_numpy)
    OPENERS["numpy"] = open_numpy
    VARIANTS["numpy-fp32"] = Variant("numpy", "fp32", BagTable)
