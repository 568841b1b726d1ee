"""Compose a model from embedding, encoder and head, as the recipe says."""

from __future__ import annotations

import re
from typing import ClassVar

from torch import Tensor, nn

from ..errors import InputError
from ..handlers.text.encoder import TextSpec
from .embeddings import Embedding
from .encoders import Encoder
from .heads import Head
from .recipes import Recipe


class TextModel(nn.Module):
    """A text model: indices → outputs through embedding, encoder and head."""

    # Whether more than one thread makes a batch faster.
    PARALLEL: ClassVar[bool] = True

    def __init__(self, embedding: Embedding, encoder: Encoder, head: Head) -> None:
        """Store the three parts."""
        super().__init__()
        self.embedding = embedding
        self.encoder = encoder
        self.head = head

    def forward(self, ids: Tensor) -> Tensor:
        """Map indices int64 [batch, length, …], PAD on the right → outputs float32 [batch, outputs]."""
        outputs: Tensor = self.head(self.encode(ids))
        return outputs

    def encode(self, ids: Tensor) -> Tensor:
        """Map indices int64 [batch, length, …], PAD on the right → the encoder's output float32 [batch, width]."""
        encoded: Tensor = self.encoder(self.embedding.vectors(ids), self.embedding.mask(ids))
        return encoded

    def with_embedding(self, embedding: Embedding) -> TextModel:
        """Return the same encoder and head behind another form of the embedding, in evaluation mode."""
        return type(self)(embedding, self.encoder, self.head).eval()


class PooledModel(TextModel):
    """A bag model whose embedding sums the vectors of a text without storing them."""

    # 20 to 40 µs a batch: handing half of it to a second thread took ten times as long on busy cores (319 µs on
    # average against 44).
    PARALLEL: ClassVar[bool] = False

    def encode(self, ids: Tensor) -> Tensor:
        """Map indices int64 [batch, length, …], PAD on the right → their mean vectors, float32 [batch, width]."""
        count = self.embedding.mask(ids).sum(dim=1)
        averaged: Tensor = self.encoder.average(self.embedding.pooled(ids), count)  # type: ignore[operator]
        return averaged

    def forward_flat(self, cells: Tensor, counts: Tensor) -> Tensor:
        """Do the same as `forward` with flat indices, as `TextEncoder.flatten` returns them; training uses this."""
        averaged: Tensor = self.encoder.average(self.embedding.pooled_cells(cells, counts), counts)  # type: ignore[operator]
        outputs: Tensor = self.head(averaged)
        return outputs


def build(recipe: Recipe, spec: TextSpec, *, labels: int = 0, image_values: int = 0) -> TextModel:
    """Return a new model for the indices of `spec`, `labels` labels or images of `image_values` numbers.

    Raises ValueError for a recipe whose parts do not match, InputError if it needs more memory than there is.
    """
    try:
        return _assemble(recipe, spec, labels, image_values)
    except (MemoryError, RuntimeError, TypeError) as error:  # as torch says it, by how far too large a size is
        if not isinstance(error, MemoryError) and not re.search("memory|overflow", str(error), re.IGNORECASE):
            raise
        raise InputError(
            f"The model of recipe {recipe.name} is larger than this machine's memory. Lower its dim, buckets, "
            "max_tokens or sizes.",
            code="LX-MODEL-001",
        ) from None


def _assemble(recipe: Recipe, spec: TextSpec, labels: int, image_values: int) -> TextModel:
    embedding = recipe.embedding.build(spec)
    encoder = recipe.encoder.build(embedding.dim, spec)
    head = recipe.head.build(encoder.out, labels, image_values)
    pooled = recipe.encoder.pools and recipe.embedding.POOLS
    return (PooledModel if pooled else TextModel)(embedding, encoder, head)
