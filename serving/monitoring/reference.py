"""What an archive's evidence says of the texts that its model was measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...export.archive.format.budgets import parse_json
from ...export.archive.format.reader import EVIDENCE, open_archive, read_member
from ...handlers.model.distributions import CONFIDENCES, LENGTHS, SUMS


@dataclass(frozen=True)
class Texts:
    """How texts are distributed, as `Distributions.to_json` has it."""

    sums: Mapping[str, int]
    """SUMS by name."""
    lengths: list[int]
    """Texts by bucket of LENGTHS."""
    confidence: list[int]
    """Texts by bucket of CONFIDENCES; none for a model whose answers have no scores."""
    labels: Mapping[str, int]
    """Texts by predicted label, as `distributions.quoted` writes it."""

    @property
    def count(self) -> int:
        """How many texts there are."""
        return self.sums["texts"]

    @property
    def unknown_share(self) -> float:
        """Unknown tokens among all tokens; 0 without any."""
        return self.sums["unknown_tokens"] / self.sums["tokens"] if self.sums["tokens"] else 0.0


def reference_of(archive: Path, model: str) -> tuple[Texts, str]:
    """Return how the held-out texts of an archive's variant are distributed, and the variant's name.

    Raises InputError for an archive whose evidence does not say, naming the `model`.
    """
    variant = packed_variant(archive)
    texts = texts_of(variant)
    if texts is None:
        raise InputError(
            f"The evidence of {model} does not say how its held-out texts are distributed, so there is nothing to "
            "compare requests with. Export and archive its run again with this lexport, and deploy it.",
            code="LX-SERVE-212",
        )
    return texts, str(variant["name"])


def texts_of(variant: Any) -> Texts | None:
    """Return how the held-out texts are distributed by the evidence of a variant; None if it does not say."""
    try:
        found = variant["reference"]
        texts = Texts(
            {name: int(found[name]) for name in SUMS},
            list(map(int, found["lengths"])),
            list(map(int, found.get("confidence", ()))),
            {str(label): int(count) for label, count in found.get("labels", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    # Another lexport may have other buckets.
    fits = len(texts.lengths) == len(LENGTHS) + 1 and len(texts.confidence) in (0, len(CONFIDENCES) + 1)
    return texts if fits and texts.count else None


def packed_variant(archive: Path) -> Any:
    """Return what the evidence of an archive has of the packed variant; None if it has none, or no evidence."""
    with open_archive(archive) as members:
        if EVIDENCE not in members.namelist():
            return None
        content = read_member(members, EVIDENCE)
    try:
        evidence: Any = parse_json(content)
        [variant] = [one for one in evidence["variants"] if one["name"] == evidence["variant"]]
    except (ValueError, KeyError, TypeError):
        return None
    return variant
