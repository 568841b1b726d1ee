"""Labels that look like one another, or like none: what a data file's typing leaves behind."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

from ...data.dataset import label_sets
from ...storage.compression import listed, shown
from .advice import MAP_LABEL, Advice

# What people write where there is no label, in the form of `_plain`.
_PLACEHOLDERS = frozenset(
    ["n/a", "na", "#n/a", "none", "null", "nan", "nil", "-", "--", "?", "tbd", "unlabelled", "unlabeled"]
)
_SHOWN = 5


def alike_labels(labels: Sequence[str]) -> Advice | None:
    """Return a warning if labels in `labels`, one cell for each text, differ only in case, width or spaces."""
    groups: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for names in label_sets(labels):
        for name in names:
            groups[_plain(name)][name] += 1
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


def placeholder_labels(labels: Sequence[str]) -> Advice | None:
    """Return a warning if labels look like what people write where there is none, such as "n/a"."""
    counts = Counter(name for names in label_sets(labels) for name in names if _plain(name) in _PLACEHOLDERS)
    if not counts or len(counts) == len({name for names in label_sets(labels) for name in names}):
        return None
    written = listed([f"{shown(name)} ({count:,} texts)" for name, count in counts.items()], _SHOWN)
    most = max(counts, key=counts.__getitem__)
    return Advice(
        "LX-WARN-011",
        f"labels look like the absence of one: {written}. They are learned like any other.",
        (*((MAP_LABEL, f"{name}=") for name in counts), ("--drop-unlabelled", None)),
        details={"labels": len(counts), "texts": counts.total(), "most": most},
    )


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
