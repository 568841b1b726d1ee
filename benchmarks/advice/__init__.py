"""What tutorials advise about nn.Embedding, each piece of advice with its measurement."""

from __future__ import annotations

from . import dimension, freezing, int8, mixed, norm, padding, rates, sparse, vocabulary
from .claim import Claim

CLAIMS: tuple[Claim, ...] = tuple(
    module.CLAIM for module in (sparse, mixed, int8, dimension, vocabulary, freezing, rates, padding, norm)
)
"""In the order of the page."""
