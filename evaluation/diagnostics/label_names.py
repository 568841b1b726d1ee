"""Labels that look like one another, or like none: what a data file's typing leaves behind."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

from ...data.dataset import label_sets
from ...storage.compression import listed, shown
from .advice import MAP_LABEL, Advice

# What people write where there is no label, in the form of `_plain`.
_PLACEHOLDERS = frozenset(
    ["n/a", "na", "#n/a", "none", "null", "nan", "nil", "-", "--", "?", "tbd", "unlabelled", "unlabeled"]
)
_SHOWN = 5


def count_labels(cells: Iterable[str]) -> Counter[str]:
    """Return how many texts have each label, from one cell for each text, see `label_sets`."""
    counts: Counter[str] = Counter()
    for cell, texts in Counter(cells).items():
        for name in label_sets([cell])[0]:
            counts[name] += texts
    return counts


def alike_labels(counts: Counter[str]) -> Advice | None:
    """Return a warning if labels, with the number of their texts, differ only in case, width or spaces."""
    groups: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, texts in counts.items():
        groups[_plain(name)][name] = texts
    found = [group.most_common() for group in groups.values() if len(group) > 1]
    if not found:
        return None
    pairs = [(other, group[0][0]) for group in found for other, _ in group[1:]]
    shown_pairs = listed([f"{other!r} and {usual!r}" for other, usual in pairs], _SHOWN)
    texts = sum(count for group in found for _, count in group[1:])
    return Advice(
        "LX-WARN-010",
        f"labels differ only in case, width or spaces: {shown_pairs}. They are learned as different labels; "
        f"{texts:,} texts have the rarer spellings.",
        tuple((MAP_LABEL, f"{other}={usual}") for other, usual in pairs),
        details={"labels": len(pairs), "texts": texts},
    )


def placeholder_labels(counts: Counter[str]) -> Advice | None:
    """Return a warning if some labels look like what people write where there is none, such as "n/a"."""
    found = {name: texts for name, texts in counts.items() if _plain(name) in _PLACEHOLDERS}
    if not found or len(found) == len(counts):
        return None
    written = listed([f"{shown(name)} ({texts:,} texts)" for name, texts in found.items()], _SHOWN)
    return Advice(
        "LX-WARN-011",
        f"labels look like the absence of one: {written}. They are learned like any other.",
        (*((MAP_LABEL, f"{name}=") for name in found), ("--drop-unlabelled", None)),
        details={"labels": len(found), "texts": sum(found.values())},
    )


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
