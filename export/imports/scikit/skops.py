"""Files of skops: a pipeline of scikit-learn as JSON with arrays beside it, read without scikit-learn or skops.

The file is a zip of `schema.json`, a tree of nodes that name a class and its content, and `.npy` files (skops,
"Secure persistence with skops"). Nodes of objects become their attributes; nothing that a node names is imported.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....errors import InputError
from ....storage.compression import shown
from ..kind import Imported, ImportOptions, Kind
from .kind import computing, imported
from .steps import Step, class_name, linear_pipeline

_SCHEMA = "schema.json"
_LONGEST = 1 << 28  # bytes of the schema
_LARGEST = 1 << 32  # bytes of all members
_DEEPEST = 40
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DAMAGED = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError)


class SkopsFile(Kind):
    """A file that skops.io.dump wrote of a fitted sklearn.pipeline.Pipeline."""

    NAME = "a file of skops with a pipeline of scikit-learn (TF-IDF or counts, linear classifier)"

    def recognise(self, path: Path) -> bool:
        """Return whether it is a zip with the schema of skops."""
        try:
            with zipfile.ZipFile(path) as archive:
                return _SCHEMA in archive.namelist()
        except (OSError, zipfile.BadZipFile, ValueError):
            return False

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the pipeline as a run has it; before, its answers are computed. Raises InputError."""
        name = shown(path.name)
        root = read_skops(path)
        steps = root.get("steps") if isinstance(root, Step) and root.name == "pipeline.Pipeline" else None
        if not isinstance(steps, list) or not all(isinstance(one, tuple) and len(one) == 2 for one in steps):
            what = root.name if isinstance(root, Step) else type(root).__name__
            raise InputError(
                f"{name} holds {shown(what)}; expected a Pipeline of a vectorizer and a classifier. Save the whole "
                "pipeline.",
                code="LX-IMPORT-117",
            )
        found = [one for _, one in steps if one not in (None, "passthrough")]
        known = [one if isinstance(one, Step) else Step(str(one), {}) for one in found]
        pipeline = linear_pipeline(known, name)
        return imported(
            pipeline, computing(pipeline), ["scikit-learn's answers are computed from the file's numbers"]
        )


def read_skops(path: Path) -> Any:
    """Return the value in a file of skops: plain values, arrays, and objects as Steps. Raises InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            size, longest = sum(one.file_size for one in archive.infolist()), archive.getinfo(_SCHEMA).file_size
            if size > _LARGEST or longest > _LONGEST:
                raise InputError(
                    f"{shown(path.name)} unpacks to {size:,} bytes, its schema to {longest:,}; expected at most "
                    f"{_LARGEST:,} and {_LONGEST:,}. Save a smaller pipeline.",
                    code="LX-IMPORT-118",
                )
            return _Nodes(archive).value(json.loads(archive.read(_SCHEMA)), 0)
    except (KeyError, TypeError, AttributeError, RecursionError, *_DAMAGED) as error:
        raise InputError(
            f"{shown(path.name)} cannot be read as a file of skops ({shown(error) or type(error).__name__}). Save it "
            "again with skops.io.dump.",
            code="LX-IMPORT-119",
        ) from None


class _Nodes:
    """The nodes of one file; objects that several nodes refer to are made once."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._made: dict[int, Any] = {}

    def value(self, node: Mapping[str, Any], depth: int) -> Any:
        """Return what a node stands for. Raises ValueError, KeyError or TypeError for a damaged one."""
        if depth > _DEEPEST:
            raise ValueError(f"nodes are more than {_DEEPEST} deep")
        kind, number = node["__loader__"], node.get("__id__")
        if kind == "CachedNode" and number in self._made:
            return self._made[number]
        found = self._new(node, kind, depth)
        if isinstance(number, int):
            self._made[number] = found
        return found

    def _new(self, node: Mapping[str, Any], kind: str, depth: int) -> Any:
        name = f"{node['__module__']}.{node['__class__']}"
        content = node.get("content")
        if kind == "JsonNode":
            return json.loads(str(content))
        if kind == "DictNode":
            keys = content or {}
            return {str(key): self.value(one, depth + 1) for key, one in keys.items()}
        if kind in ("ListNode", "TupleNode", "SetNode"):
            values = [self.value(one, depth + 1) for one in content or []]
            return values if kind == "ListNode" else tuple(values) if kind == "TupleNode" else frozenset(values)
        if kind == "NdArrayNode" and node["type"] == "numpy":
            return _array(self._archive.read(node["file"]))
        if kind == "NdArrayNode":
            listed = content if isinstance(content, list) else self.value(node["content"], depth + 1)
            return np.array([self.value(one, depth + 1) if isinstance(one, dict) else one for one in listed])
        if kind == "ObjectNode":
            attributes = self.value(content, depth + 1) if isinstance(content, dict) else {}
            public = class_name(name) if name.startswith("sklearn.") else name
            return Step(public, attributes if isinstance(attributes, dict) else {})
        return Step(name, {})  # a function, a type: what it is, only its name says


def _array(content: bytes) -> npt.NDArray[Any]:
    """Return the array of a .npy file. Raises ValueError, for one of Python objects too."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"an array of version {version}")
    shape, by_column, kind = _HEADERS[version](stream)
    if kind.hasobject:
        raise ValueError("an array of Python objects")
    count = math.prod(shape)
    if count * kind.itemsize != len(content) - stream.tell():
        raise ValueError(f"an array {list(shape)} in {len(content):,} bytes")
    found: npt.NDArray[Any] = np.frombuffer(content, kind, count, stream.tell()) if count else np.zeros(0, kind)
    return found.reshape(shape, order="F" if by_column else "C")
