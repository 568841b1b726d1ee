"""Embeddings: from what the text code makes of a token to its vector. One file each, by the name in a recipe."""

from .base import Embedding, EmbeddingOptions
from .char_cnn import CharCNN, CharCNNOptions
from .dynamic_dim import DynamicDim, DynamicDimOptions
from .hashed import Hashed, HashedOptions
from .multilingual import Multilingual, MultilingualOptions
from .positions import Positions
from .table import Table, TableOptions
from .tfidf import TfIdf, TfIdfOptions

__all__ = [
    "EMBEDDINGS",
    "CharCNN",
    "CharCNNOptions",
    "DynamicDim",
    "DynamicDimOptions",
    "Embedding",
    "EmbeddingOptions",
    "Hashed",
    "HashedOptions",
    "Multilingual",
    "MultilingualOptions",
    "Positions",
    "Table",
    "TableOptions",
    "TfIdf",
    "TfIdfOptions",
]

EMBEDDINGS: dict[str, type[EmbeddingOptions]] = {
    kind.NAME: kind
    for kind in (TableOptions, HashedOptions, CharCNNOptions, DynamicDimOptions, MultilingualOptions, TfIdfOptions)
}
"""What a recipe may name as embedding; the first is the default."""
