"""A table whose rows count by their importance and their frequency in the text: TF-IDF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...handlers.text.spec import TextSpec
from ...storage.validation import raise_any
from .base import Embedding, EmbeddingOptions, check_dim, chosen
from .table import Table, TableOptions

COUNTS = ("plain", "sublinear", "binary")
NORMS = ("l2", "none")


@dataclass(frozen=True)
class TfIdfOptions(EmbeddingOptions):
    """Options of the embedding `tfidf`."""

    NAME: ClassVar[str] = "tfidf"
    POOLS: ClassVar[bool] = False

    dim: int | None = None
    """Dimensions of a vector; None: chosen by the size of the data."""
    counts: str = "plain"
    """What a word counts that a text has n times: "plain", n; "sublinear", 1 + log n; "binary", 1."""
    norm: str = "l2"
    """What the numbers of a text are divided by: "l2", the root of the sum of their squares; "none", nothing."""
    spread: float = 0.05
    """Words start with uniform numbers within ±spread."""

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        problems: list[str] = []
        check_dim(self.dim, self.spread)
        for name, value, known in (("counts", self.counts, COUNTS), ("norm", self.norm, NORMS)):
            if value not in known:
                problems.append(f'embedding: {name} is "{value}", known are {", ".join(known)}.')
        raise_any(problems)

    def build(self, spec: TextSpec) -> TfIdf:
        """Return a new embedding for the ids of `spec`."""
        return TfIdf(spec.rows, spec.words, self)


class TfIdf(Embedding):
    """The rows of a table, each times the importance of its word and what it counts in the text.

    The sum of a text's vectors is its TF-IDF vector times the table (Salton, Buckley: Term-weighting Approaches in
    Automatic Text Retrieval, Information Processing and Management 24, 1988). The importance of a word, the IDF where
    a model is brought in, is learned like the rows and starts at 1. Each text is compared with itself word by word,
    so time and memory grow with the square of its length.
    """

    def __init__(self, rows: int, words: int, options: TfIdfOptions) -> None:
        """`rows` vectors in all, the first `words` of them for PAD, UNK and the vocabulary. Raises ValueError."""
        super().__init__(chosen(options.dim))
        self.table: Embedding = Table(rows, words, TableOptions(self.dim, options.spread, sparse=False))
        importance = torch.ones(rows, 1)
        importance[0] = 0
        self.importance = nn.Parameter(importance)
        self.sublinear, self.binary = options.counts == "sublinear", options.counts == "binary"
        self.normed = options.norm == "l2"

    def shares(self, ids: Tensor) -> Tensor:
        """Return what each token's row is multiplied by: int64 [batch, length] → float32 [batch, length].

        A word that a text has n times has n shares of what it counts.
        """
        times = (ids.unsqueeze(2) == ids.unsqueeze(1)).to(torch.float32).sum(dim=2)
        counted = times
        if self.sublinear:
            counted = times.log() + 1.0
        if self.binary:
            counted = torch.ones_like(times)
        numbers = counted * F.embedding(ids, self.importance, padding_idx=0).flatten(1)
        found = numbers / times
        if self.normed:
            # Differentiable where a text has nothing that counts.
            squares = (numbers * found).sum(dim=1, keepdim=True)
            found = found / squares.clamp(min=1e-24).sqrt()
        return found

    def vectors(self, ids: Tensor) -> Tensor:
        """Map ids int64 [batch, length] → float32 [batch, length, dim]. Raises as the table does."""
        return self.table.vectors(ids) * self.shares(ids).unsqueeze(2)
