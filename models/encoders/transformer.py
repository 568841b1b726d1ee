"""The transformer: every token of a text looks at every other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from ...handlers.text.spec import TextSpec
from ...storage.validation import raise_any
from ..embeddings.positions import Positions
from .base import Encoder, EncoderOptions


@dataclass(frozen=True)
class TransformerOptions(EncoderOptions):
    """Options of the encoder `transformer`."""

    NAME: ClassVar[str] = "transformer"

    layers: int = 2
    """Number of stacked blocks."""
    heads: int = 4
    """Attention heads of a block; they divide the vector."""
    hidden: int = 128
    """Width of a block's feed-forward layer."""
    dropout: float = 0.3
    """Share of components that a training step drops, of token vectors and within blocks; the head's is for the text
    vector."""

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        problems: list[str] = []
        if self.layers < 1 or self.heads < 1 or self.hidden < 1:
            problems.append(
                f"encoder transformer: layers={self.layers}, heads={self.heads} and hidden={self.hidden} must be at "
                f"least 1."
            )
        if not 0 <= self.dropout < 1:
            problems.append(f"encoder transformer: dropout={self.dropout} must be at least 0 and below 1.")
        raise_any(problems)

    def build(self, dim: int, spec: TextSpec) -> Transformer:
        """Return a new encoder of token vectors of width `dim`."""
        return Transformer(dim, self, max_tokens=spec.max_tokens)


class Attention(nn.Module):
    """Several heads of scaled dot-product attention over a text's own tokens."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        """`dim`: width of a vector, a multiple of `heads`."""
        super().__init__()
        self.heads = heads
        self.share = dropout
        self.inputs = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, vectors: Tensor, seen: Tensor) -> Tensor:
        """Map vectors float32 [batch, length, dim] → the same shape; `seen` bool [batch, 1, 1, length]."""
        batch, length, dim = vectors.size(0), vectors.size(1), vectors.size(2)
        parts = self.inputs(vectors).view(batch, length, 3 * self.heads, dim // self.heads)
        query, key, value = parts.transpose(1, 2).chunk(3, dim=1)
        share = self.share if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, dropout_p=share)
        answer: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, length, dim))
        return answer


class Block(nn.Module):
    """Attention, then a feed-forward part; each over normalised vectors and added to what came in.

    The feed-forward part's GELU: Hendrycks, Gimpel: Gaussian Error Linear Units, 2016, arXiv:1606.08415.
    """

    def __init__(self, dim: int, options: TransformerOptions) -> None:
        """`dim`: width of a vector."""
        super().__init__()
        self.before_attention = nn.LayerNorm(dim)
        self.attention = Attention(dim, options.heads, options.dropout)
        self.before_feed = nn.LayerNorm(dim)
        self.feed = nn.Sequential(nn.Linear(dim, options.hidden), nn.GELU(), nn.Linear(options.hidden, dim))
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, vectors: Tensor, seen: Tensor) -> Tensor:
        """Map vectors float32 [batch, length, dim] → the same shape; `seen` bool [batch, 1, 1, length]."""
        vectors = vectors + self.dropout(self.attention(self.before_attention(vectors), seen))
        answer: Tensor = vectors + self.dropout(self.feed(self.before_feed(vectors)))
        return answer


class Transformer(Encoder):
    """Blocks over tokens that know their positions, and the mean over the tokens; zeros for an empty text.

    Vaswani et al.: Attention Is All You Need, 2017, arXiv:1706.03762; normalised before each part as in Xiong et
    al.: On Layer Normalization in the Transformer Architecture, 2020, arXiv:2002.04745.
    """

    def __init__(self, dim: int, options: TransformerOptions | None = None, max_tokens: int = 256) -> None:
        """`dim`: width of a token's vector, and of the text's. `max_tokens`: the longest text.

        Raises ValueError if the heads do not divide `dim`.
        """
        super().__init__(dim)
        options = options or TransformerOptions()
        if dim % options.heads:
            raise ValueError(
                f"encoder transformer: heads={options.heads} do not divide the embedding's dim={dim}; choose a "
                f"multiple of {options.heads} for dim, or other heads."
            )
        self.positions = Positions(max_tokens, dim)
        self.blocks = nn.ModuleList(Block(dim, options) for _ in range(options.layers))
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Map vectors float32 [batch, length, dim], mask bool [batch, length] → float32 [batch, out].

        Raises ValueError for a batch longer than `max_tokens`.
        """
        # Where nothing may be seen, attention would divide zero by zero: an empty text sees its PAD.
        seen = (mask | ~mask.any(dim=1, keepdim=True)).unsqueeze(1).unsqueeze(1)
        vectors = self.dropout(self.positions(vectors))
        for block in self.blocks:
            vectors = block(vectors, seen)
        count = mask.sum(dim=1, keepdim=True)
        summed: Tensor = self.norm(vectors).masked_fill(~mask.unsqueeze(2), 0.0).sum(dim=1)
        return summed / count.clamp(min=1).to(summed.dtype)
