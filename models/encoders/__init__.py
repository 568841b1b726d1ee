"""Encoders: from the vectors of a text's tokens to one vector of the text.

One file each; `Encoder` says what they have in common.
"""

from .bag import Bag, BagOptions
from .base import Encoder, EncoderOptions
from .cnn import CNN, CNNOptions
from .lstm import LSTM, LSTMOptions
from .transformer import Transformer, TransformerOptions

__all__ = [
    "CNN",
    "ENCODERS",
    "LSTM",
    "Bag",
    "BagOptions",
    "CNNOptions",
    "Encoder",
    "EncoderOptions",
    "LSTMOptions",
    "Transformer",
    "TransformerOptions",
]

ENCODERS: dict[str, type[EncoderOptions]] = {
    kind.NAME: kind for kind in (BagOptions, CNNOptions, LSTMOptions, TransformerOptions)
}
"""What a recipe may name as encoder; the first is the default."""
