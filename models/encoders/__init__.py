"""Encoders: from the vectors of a text's tokens to one vector of the text.

Each is a module `Encoder(dim, options)`, the transformer with `max_tokens` as well, with the width of its answer as
`out`, and `forward(vectors float32 [batch, length, dim], mask bool [batch, length]) → float32 [batch, out]`.
However far a batch is padded on the right, a text's answer is the same; an empty text has one too.
"""

from .bag import Bag, BagOptions
from .cnn import CNN, CNNOptions
from .lstm import LSTM, LSTMOptions
from .transformer import Transformer, TransformerOptions

__all__ = [
    "CNN",
    "LSTM",
    "Bag",
    "BagOptions",
    "CNNOptions",
    "LSTMOptions",
    "Transformer",
    "TransformerOptions",
]
