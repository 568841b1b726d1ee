"""A model is embedding → encoder → head; this puts the three together by a recipe."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from .embeddings import Pooling, Table
from .encoders import Bag
from .heads import Classifier
from .recipes import Recipe


class BagModel(nn.Module):
    """A bag over an embedding that can sum a text's vectors without forming them."""

    # 20 to 40 µs a batch: handing half of it to a second thread took ten times as long on busy cores (319 µs on
    # average against 44).
    PARALLEL: ClassVar[bool] = False

    def __init__(self, embedding: Pooling, encoder: Bag, head: Classifier) -> None:
        """Keep the three parts."""
        super().__init__()
        self.embedding = embedding
        self.encoder = encoder
        self.head = head

    def forward(self, ids: Tensor) -> Tensor:
        """Indices int64 [batch, length], PAD on the right → logits float32 [batch, labels]."""
        count = (ids != 0).sum(dim=1)
        logits: Tensor = self.head(self.encoder(self.embedding.pooled(ids), count))
        return logits


def build(recipe: Recipe, *, rows: int, words: int, labels: int) -> BagModel:
    """A fresh model for `rows` indices (the first `words` of them words) and `labels` labels."""
    table = Table(rows, words, recipe.embedding)
    return BagModel(table, Bag(), Classifier(recipe.embedding.dim, labels, recipe.head))
