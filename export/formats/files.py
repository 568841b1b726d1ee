"""The files that an exported variant has beside its model; verifying imports this without torch and numpy.

`model.json` has no name and version before it is archived; the archive adds these two alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ...storage.atomic import json_bytes

MODEL = "model.json"
REQUIREMENTS = "requirements.txt"
"""The packages of a worker, each with the version that exported."""
GOLDENS = "golden.jsonl"
SYNTHETIC = "golden.made.jsonl"
"""Synthetic golden requests; they replace the others in an archive without texts of the data."""

_ADDED = ("name", "version")


def with_name(fields: Mapping[str, Any], name: str, version: str) -> bytes:
    """Return `model.json` as an archive has it, of the `fields` as they were exported.

    Raises TypeError or ValueError for fields that describe no model.
    """
    from ...handlers.model.predictor import ModelFile  # which needs numpy; verifying does not

    return json_bytes(asdict(ModelFile(name, version, **fields)))


def without_name(fields: Mapping[str, Any]) -> bytes:
    """Return `model.json` as it was exported, of its `fields` with or without name and version."""
    return json_bytes({field: value for field, value in fields.items() if field not in _ADDED})
