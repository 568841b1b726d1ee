"""Texts to words inside a graph, by the same rules as `handlers/text/encoder.py`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import regex

from ...handlers.text.spec import TextSpec
from .nodes import MICROSOFT, Nodes


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
    """Lower-case and split `texts`, string [batch], into at most max_tokens words each."""
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


def tokenized(nodes: Nodes, texts: str, **by: Any) -> str:
    """Return the parts of strings, on one axis more, "" behind the last: string [batch, parts].

    If all strings are empty, the axis has length 0 after one axis, and is missing after two.
    """
    return nodes.add("Tokenizer", texts, domain=MICROSOFT, mark=0, mincharnum=1, pad_value="", **by)


@cache
def token_expression(pattern: str) -> str:
    r"""The token pattern for RE2, each class of characters written out as ranges of code points.

    `pattern` is "one of these characters, or a run of those". RE2 has Unicode tables of its own, whose version is
    another than `regex`'s, and its `\p{C}` leaves the unassigned out: ranges split alike whatever the versions.
    """
    # Every character twice: a run's come out as one match with their neighbours, any other's as two.
    every = "".join(chr(code) * 2 for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    found = [match.group() for match in regex.finditer(pattern, every)]
    alone = _ranges(sorted({ord(one) for one in found if len(one) == 1}))
    run = _written((ord(one[0]), ord(one[-1])) for one in found if len(one) > 1)
    return f"[{_written(alone)}]|[{run}]+"


def _ranges(codes: list[int]) -> list[tuple[int, int]]:
    """Runs of consecutive numbers, first and last of each."""
    starts = [code for code, before in zip(codes, [-1, *codes], strict=False) if code != before + 1]
    ends = [code for code, after in zip(codes, [*codes[1:], -1], strict=True) if code + 1 != after]
    return list(zip(starts, ends, strict=True))


def _written(ranges: Iterable[tuple[int, int]]) -> str:
    return "".join(f"\\x{{{first:X}}}-\\x{{{last:X}}}" for first, last in ranges)
