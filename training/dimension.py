"""The default dimension of vectors, chosen by the amount of training text."""

from __future__ import annotations

# Number of tokens below which a dimension applies: for a bag that classifies, for an encoder that reads words in
# order, for search vectors. docs/benchmarks.md has the measurements. A bag that classifies 0.16 to 5.8 million tokens
# is no more accurate when wider than 16, and on short texts its loss is worse; with two labels 4 or 8 would do, with
# five 4 fails. Search vectors improve up to 256, the widest measured. For ordered encoders 64 is a cautious guess (in
# few runs on 0.16 million tokens no better and no worse than 16). From 10 million tokens on all is extrapolated.
_STEPS = ((1_000_000, 16, 64, 256), (10_000_000, 16, 96, 256), (100_000_000, 32, 128, 256))
_WIDEST = (64, 256, 256)


def choose_dim(encoder: str, tokens: int, *, search: bool = False) -> tuple[int, str]:
    """Return a dimension for `encoder` and `tokens` tokens of training text, and the reason in a sentence.

    `search`: for vectors that find the other text of a pair.
    """
    column = 2 if search else 0 if encoder == "bag" else 1
    purpose = "vectors to search with, by" if search else "for"
    for limit, *widths in _STEPS:
        if tokens < limit:
            dim, step = widths[column], f" (below {limit:,})"
            break
    else:
        dim, step = _WIDEST[column], ""
    return dim, f"{dim} dimensions, {purpose} a {encoder} on {tokens:,} tokens{step}; --dim sets another"
