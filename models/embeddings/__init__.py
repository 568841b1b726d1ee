"""Embeddings: from what the text code makes of a token to its vector. One file each, by the name in a recipe."""

from .base import Embedding
from .char_cnn import CharCNN, CharCNNOptions
from .dynamic_dim import DynamicDim, DynamicDimOptions
from .hashed import Hashed, HashedOptions
from .multilingual import Multilingual, MultilingualOptions
from .positions import Positions
from .table import Table, TableOptions

__all__ = [
    "CharCNN",
    "CharCNNOptions",
    "DynamicDim",
    "DynamicDimOptions",
    "Embedding",
    "Hashed",
    "HashedOptions",
    "Multilingual",
    "MultilingualOptions",
    "Positions",
    "Table",
    "TableOptions",
]
