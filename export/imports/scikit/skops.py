"""Files of skops: a pipeline of scikit-learn as JSON with arrays beside it, read without scikit-learn or skops.

The file is a zip of `schema.json`, a tree of nodes that name a class and its content, and `.npy` files (skops,
"Secure persistence with skops"). Nodes of objects become their attributes; nothing that a node names is imported.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from ....errors import InputError
from ....storage.compression import shown
from ....storage.zips import DAMAGED_ZIP, members_of
from ..kind import Imported, ImportOptions, Kind
from .kind import computing, imported
from .steps import Step, class_name, linear_pipeline

_SCHEMA = "schema.json"
_LONGEST = 1 << 28  # bytes of the schema
_MOST_SIGNS = 20_000_000  # that begin or separate values of the schema
# A file may expand to so many times its size, a small one to so many bytes.
_MOST_EXPANDED, _ALWAYS_EXPANDED = 64, 1 << 28
_MOST_WRITTEN_OUT = 20_000_000  # values, if those that nodes refer to several times were written out each time
_DEEPEST = 40
_SINGLE = (str, int, float, type(None))
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DAMAGED = (*DAMAGED_ZIP, KeyError, TypeError, AttributeError, SyntaxError, TokenError, ArithmeticError, MemoryError)


class SkopsFile(Kind):
    """A file that skops.io.dump wrote of a fitted sklearn.pipeline.Pipeline."""

    NAME = "a file of skops with a pipeline of scikit-learn (TF-IDF or counts, linear classifier)"

    def recognise(self, path: Path) -> bool:
        """Return whether it is a zip with the schema of skops."""
        return _SCHEMA in members_of(path)

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
        try:
            found = [one for _, one in steps if one is not None and not isinstance(one, str)]
            pipeline = linear_pipeline([one if isinstance(one, Step) else Step(str(one), {}) for one in found], name)
            return imported(
                pipeline, computing(pipeline), ["scikit-learn's answers are computed from the file's numbers"]
            )
        except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
            raise InputError(
                f"{name} has steps with values that scikit-learn never gives them ({shown(error)}). Save the "
                "pipeline again with skops.io.dump.",
                code="LX-IMPORT-403",
            ) from None


def read_skops(path: Path) -> Any:
    """Return the value in a file of skops: plain values, arrays, and objects as Steps. Raises InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            size, longest = sum(one.file_size for one in archive.infolist()), archive.getinfo(_SCHEMA).file_size
            most = max(_MOST_EXPANDED * path.stat().st_size, _ALWAYS_EXPANDED)
            if size > most or longest > _LONGEST:
                raise InputError(
                    f"{shown(path.name)} unpacks to {size:,} bytes, its schema to {longest:,}; expected at most "
                    f"{most:,} and {_LONGEST:,}. Save a smaller pipeline, or without compression.",
                    code="LX-IMPORT-118",
                )
            schema = archive.read(_SCHEMA)
            if (signs := sum(schema.count(sign) for sign in (b",", b"[", b"{"))) > _MOST_SIGNS:
                raise ValueError(f"its schema has about {signs:,} values, at most {_MOST_SIGNS:,} are read")
            return _Nodes(archive).value(json.loads(schema), 0)
    except _DAMAGED as error:
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
        self._sizes: dict[int, int] = {}
        self._written = 0
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def value(self, node: Mapping[str, Any], depth: int) -> Any:
        """Return what a node stands for. Raises ValueError, KeyError or TypeError for a damaged one."""
        if depth > _DEEPEST:
            raise ValueError(f"nodes are more than {_DEEPEST} deep")
        kind, number = node["__loader__"], node.get("__id__")
        if kind == "CachedNode" and number in self._made:
            self._count(self._sizes[number])
            return self._made[number]
        before = self._written
        self._count(1)
        found = self._new(node, kind, depth)
        if isinstance(number, int):
            self._made[number], self._sizes[number] = found, self._written - before
        return found

    def _count(self, values: int) -> None:
        self._written += values
        if self._written > _MOST_WRITTEN_OUT:
            raise ValueError(f"it has more than {_MOST_WRITTEN_OUT:,} values, written out")

    def _new(self, node: Mapping[str, Any], kind: str, depth: int) -> Any:
        name = f"{node['__module__']}.{node['__class__']}"
        content = node.get("content")
        if kind == "JsonNode":
            return _single(str(content))
        if kind == "DictNode":
            keys = content or {}
            return {str(key): self.value(one, depth + 1) for key, one in keys.items()}
        if kind in ("ListNode", "TupleNode", "SetNode"):
            values = [self.value(one, depth + 1) for one in content or []]
            return values if kind == "ListNode" else tuple(values) if kind == "TupleNode" else frozenset(values)
        if kind == "NdArrayNode" and node["type"] == "numpy":
            name = str(node["file"])
            if name not in self._arrays:
                self._arrays[name] = _array(self._archive.read(name))
            return self._arrays[name]
        if kind == "NdArrayNode":
            listed = content if isinstance(content, list) else self.value(node["content"], depth + 1)
            values = [self.value(one, depth + 1) if isinstance(one, dict) else one for one in listed]
            return np.array([one if isinstance(one, _SINGLE) else type(one).__name__ for one in values], dtype=object)
        if kind == "ObjectNode":
            attributes = self.value(content, depth + 1) if isinstance(content, dict) else {}
            public = class_name(name) if name.startswith("sklearn.") else name
            return Step(public, attributes if isinstance(attributes, dict) else {})
        return Step(name, {})  # a function, a type: what it is, only its name says


def _single(text: str) -> Any:
    """Return the value of JSON that is not several, which could be any number. Raises ValueError."""
    if text.lstrip()[:1] in ("[", "{"):
        raise ValueError("a list or an object where a single value belongs")
    return json.loads(text)


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
