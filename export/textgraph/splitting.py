"""Texts to words inside a graph, by the same rules as `handlers/text/encoder.py`."""

from __future__ import annotations

from dataclasses import dataclass

from ...handlers.text.normalization import Normalization
from ...handlers.text.spec import TextSpec
from .nodes import Nodes, tokenized
from .normalizing import normalized
from .patterns import token_expression


@dataclass(frozen=True)
class Split:
    """Values of a graph after splitting.

    words: string [batch, length], "" behind a text's last. present: bool, where a word is. tokens, truncated: int64
    and bool [batch, 1].
    """

    words: str
    present: str
    tokens: str
    truncated: str


def split(nodes: Nodes, spec: TextSpec, texts: str) -> Split:
    """Normalize and split `texts`, string [batch], into at most max_tokens words each."""
    if spec.normalization is not Normalization.NONE:
        texts = normalized(nodes, texts, spec.normalization)
    if spec.lowercase:
        # By code point. The locale is glibc's own and needs no file; "C" would lower ASCII alone.
        texts = nodes.add(
            "StringNormalizer",
            texts,
            name="lower-case the texts, at least one",
            case_change_action="LOWER",
            is_case_sensitive=1,
            locale="C.UTF-8",
        )
    every = tokenized(nodes, texts, tokenexp=token_expression(spec.pattern))
    present = nodes.add("Not", nodes.add("Equal", every, nodes.constant("", object)))
    total, limit = nodes.sum_rows(present), nodes.constant(spec.max_tokens)
    return Split(
        words=nodes.columns(every, 0, spec.max_tokens),
        present=nodes.columns(present, 0, spec.max_tokens),
        tokens=nodes.add("Min", total, limit),
        truncated=nodes.add("Greater", total, limit),
    )
