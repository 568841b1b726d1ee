"""The LSTM: a text is read token by token, in one direction or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ...handlers.text.spec import TextSpec
from ...storage.validation import raise_any
from .base import Encoder, EncoderOptions


@dataclass(frozen=True)
class LSTMOptions(EncoderOptions):
    """Options of the encoder `lstm`."""

    NAME: ClassVar[str] = "lstm"

    hidden: int = 64
    """Width of a state in one direction."""
    directions: int = 2
    """1 reads forwards, 2 backwards as well."""
    layers: int = 1
    """Number of stacked layers."""
    dropout: float = 0.5
    """Share of components that a training step drops, of token vectors and between layers; the head's is for the text
    vector."""
    packed: bool = True
    """Whether training skips PAD by packing, which is slower on a CPU; otherwise it reads PAD last, with the same
    states."""

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        problems: list[str] = []
        if self.hidden < 1 or self.layers < 1:
            problems.append(f"encoder lstm: hidden={self.hidden} and layers={self.layers} must be at least 1.")
        if self.directions not in (1, 2):
            problems.append(f"encoder lstm: directions={self.directions} must be 1 (forwards) or 2 (both ways).")
        if not 0 <= self.dropout < 1:
            problems.append(f"encoder lstm: dropout={self.dropout} must be at least 0 and below 1.")
        raise_any(problems)

    def build(self, dim: int, spec: TextSpec) -> LSTM:
        """Return a new encoder of token vectors of width `dim`."""
        return LSTM(dim, self)


class Reader(nn.Module):
    """One LSTM, forwards over the tokens. Training skips PAD by packing; elsewhere PAD, on the right, is read last.

    So the states at tokens are equal, and what is scripted or exported holds no packed sequence.
    """

    def __init__(self, dim: int, hidden: int, *, packs: bool) -> None:
        """`dim`: width of an input vector. `hidden`: width of a state. `packs`: whether training packs."""
        super().__init__()
        self.lstm = nn.LSTM(dim, hidden, batch_first=True)
        self.packs = packs

    def forward(self, vectors: Tensor, count: Tensor) -> Tensor:
        """Map vectors float32 [batch, length, dim], counts int64 [batch, 1] → float32 [batch, length, hidden]."""
        if not torch.jit.is_scripting() and self.training and self.packs:  # type: ignore[attr-defined]
            return self.packed(vectors, count)
        states: Tensor = self.lstm(vectors)[0]
        return states

    @torch.jit.unused
    def packed(self, vectors: Tensor, count: Tensor) -> Tensor:
        """As `forward`, but zero beyond the text: PAD is not read. An empty text is read as one PAD."""
        lengths = count.squeeze(1).clamp(min=1).cpu()
        texts = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(texts)[0], batch_first=True, total_length=vectors.size(1))[0]


class Layer(nn.Module):
    """Both directions of one layer; backwards is a forward LSTM over each text reversed in its place."""

    def __init__(self, dim: int, options: LSTMOptions) -> None:
        """`dim`: width of an input vector."""
        super().__init__()
        self.readers = nn.ModuleList(
            Reader(dim, options.hidden, packs=options.packed) for _ in range(options.directions)
        )

    def forward(self, vectors: Tensor, count: Tensor, turned: Tensor) -> Tensor:
        """Map vectors float32 [batch, length, dim] → states float32 [batch, length, directions * hidden].

        `turned` int64 [batch, length, 1]: where each token goes in the reversed text.
        """
        states: list[Tensor] = []
        for direction, reader in enumerate(self.readers):
            if direction == 0:
                states.append(reader(vectors, count))
            else:
                read = reader(vectors.gather(1, turned.expand(-1, -1, vectors.size(2))), count)
                states.append(read.gather(1, turned.expand(-1, -1, read.size(2))))
        return torch.cat(states, dim=2)


class LSTM(Encoder):
    """A stack of LSTMs, and each component's largest value over the states of a text; zeros for an empty text.

    Hochreiter, Schmidhuber: Long Short-Term Memory, 1997; both directions with a maximum over time as in Conneau,
    Kiela, Schwenk, Barrault, Bordes: Supervised Learning of Universal Sentence Representations, 2017,
    arXiv:1705.02364.
    """

    def __init__(self, dim: int, options: LSTMOptions | None = None) -> None:
        """`dim`: width of a token's vector."""
        options = options or LSTMOptions()
        super().__init__(options.directions * options.hidden)
        self.layers = nn.ModuleList(Layer(self.out if layer else dim, options) for layer in range(options.layers))
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Map vectors float32 [batch, length, dim], mask bool [batch, length] → float32 [batch, out]."""
        count = mask.sum(dim=1, keepdim=True)
        place = torch.arange(mask.size(1), device=mask.device).unsqueeze(0)
        turned = torch.where(mask, count - 1 - place, place).unsqueeze(2)
        states = vectors
        for layer in self.layers:
            states = layer(self.dropout(states), count, turned)
        highest = states.masked_fill(~mask.unsqueeze(2), float("-inf")).amax(dim=1)
        return highest.masked_fill(count == 0, 0.0)
