"""What an archive's evidence says of the texts that its model was measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import InputError
from ...evaluation.drift import Texts, texts_of
from ...export.archive.format.reader import EVIDENCE, open_archive, read_member
from ...storage.strict_json import parse_json


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
