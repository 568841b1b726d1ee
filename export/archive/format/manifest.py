"""What TorchServe reads of an archive before any code runs: its manifest, and the settings that this names.

TorchServe's Java reads both with parsers of its own (Gson, SnakeYAML). What the two sides could read differently is
refused here: names that come twice, other encodings than UTF-8, and YAML's tags and aliases.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import yaml

from ....errors import InputError
from ....handlers.model.digests import MANIFEST
from .reader import read_member

# Both become parts of URLs and of file names, and are shown.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")  # with PEP 440's local versions, such as 1.0+build.7

MOST_BYTES = 64 * 1024
"""Of the manifest and of the settings; those that lexport writes have a few hundred."""

_DEEPEST = 8
_MOST_EVENTS = 2_000  # as a parser counts: a name, a value, the begin or the end of a list


def read_manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """Return the manifest of `archive`, open from `path`. Raises InputError if it is missing or not a JSON object."""
    if MANIFEST not in archive.namelist():
        raise InputError(
            f"{path} has no {MANIFEST}. Expected an archive made by lexport or torch-model-archiver.",
            code="LX-ARCHIVE-064",
        )
    try:
        value = json.loads(read_member(archive, MANIFEST, MOST_BYTES).decode("utf-8"), object_pairs_hook=_once)
    except _Twice as error:
        raise InputError(
            f"{path}: {MANIFEST} has {error} twice. Make the archive again.", code="LX-ARCHIVE-065"
        ) from None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError(f"{path}: {MANIFEST} is not a JSON object. Make the archive again.", code="LX-ARCHIVE-066")
    return value


def read_settings(path: Path, archive: zipfile.ZipFile, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the manifest names (its configFile, usually `model-config.yaml`); empty if it names
    none.

    Raises InputError for a file that is not there, that has more than 64 KiB, or that is not YAML of names and values
    without anchors, aliases and tags.
    """
    model = manifest.get("model")
    name = model.get("configFile") if isinstance(model, dict) else None
    if name is None:
        return {}
    if not isinstance(name, str) or name not in archive.namelist():
        raise InputError(
            f"{path}: {MANIFEST} has configFile {str(name)[:80]!r}, which is no member of the archive. "
            "Expected the name of one, for example model-config.yaml.",
            code="LX-ARCHIVE-067",
        )
    try:
        return _parse(read_member(archive, name, MOST_BYTES))
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        # A parser's message shows lines of the file; one line is enough.
        reason = " ".join((getattr(error, "problem", None) or str(error)).split())[:120]
        raise InputError(
            f"{path}: {name} cannot be used ({reason!r}). Expected YAML of names and values, such as batchSize: 8.",
            code="LX-ARCHIVE-068",
        ) from None


class _Twice(ValueError):
    """A name that an object has twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(repr(next(name for name in names if names.count(name) > 1)))
    return found


def _parse(content: bytes) -> dict[str, Any]:
    """Return names and values. Raises ValueError and others of its parents, or YAMLError, with the reason."""
    text = content.decode("utf-8")
    _check_events(text)
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        count = len(node.value) if isinstance(node, yaml.MappingNode) else 0
        found = {} if node is None else loader.construct_document(node)
    finally:
        loader.dispose()
    if not isinstance(found, dict):
        raise ValueError(f"it is a {type(found).__name__}")
    if len(found) != count:
        raise ValueError("a name comes twice")
    return found


def _check_events(text: str) -> None:
    """Raise ValueError for what takes much time or memory to construct, found without constructing it."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader), 1):
        if count > _MOST_EVENTS:
            raise ValueError("it has more than 1,000 names and values")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise ValueError("it has an anchor or an alias")
        if getattr(event, "tag", None) is not None:
            raise ValueError("it has a tag")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise ValueError(f"it is nested more than {_DEEPEST} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
