"""How wide a vector should be when nobody says: by how much text there is to learn it from."""

from __future__ import annotations

# A wider vector than its data can fill only learns the training texts by heart; docs/benchmarks.md has the
# measurements. An encoder that reads words in order has to keep more of each.
_STEPS = ((1_000_000, 16, 64), (10_000_000, 32, 96), (100_000_000, 64, 128))
_WIDEST = (128, 256)


def choose_dim(encoder: str, tokens: int) -> tuple[int, str]:
    """A width for `encoder` and a training set of `tokens` tokens, and the reason in a sentence."""
    bag = encoder == "bag"
    for limit, pooled, ordered in _STEPS:
        if tokens < limit:
            dim = pooled if bag else ordered
            return dim, f"{dim} dimensions, for a {encoder} on {tokens:,} tokens (below {limit:,}); --dim sets others"
    dim = _WIDEST[0 if bag else 1]
    return dim, f"{dim} dimensions, for a {encoder} on {tokens:,} tokens; --dim sets others"
