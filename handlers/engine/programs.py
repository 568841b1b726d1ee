"""Open a program that torch.export saved (`.pt2`) without unpickling or running anything from it.

`torch.export.load` unpickles weights, constants and example inputs if the archive says so, evaluates the expressions
of its shapes as Python and compiles its guards. So the archive is read first, with the same reader, and refused if it
has any of these. Allowed are raw tensors, and a graph of torch's operators in which every string is a plain name or
the arithmetic of a shape.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

GRAPH = "models/model.json"
EXAMPLE = "data/sample_inputs/model.pt"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_FIXED = {GRAPH, EXAMPLE, *_CONFIGS, "archive_format", "archive_version", "byteorder", "version", ".data/version"}
_RAW = re.compile(r"data/(weights/weight_[0-9]+|constants/tensor_[0-9]+)", re.ASCII)

_LONGEST = 8 << 20  # bytes of a member of JSON; the largest of the recipes' exports has 86 thousand

_NAME = re.compile(r"[A-Za-z0-9_.+-]*")
# Those of aten that exports call, each in all its forms: one that is not here, from_file, reads and overwrites files.
_ATEN = """
__or__ _assert_scalar _assert_tensor_metadata add amax any arange bitwise_not cat chunk clamp clamp_min conv1d div
dropout embedding embedding_bag eq expand expand_as flatten gather ge gelu gt index layer_norm linalg_vector_norm
linear log lstm lt masked_fill mul ne ones_like pad relu remainder reshape scaled_dot_product_attention select sigmoid
slice softmax sqrt sub sum sym_size to transpose unique_dim unsqueeze view where zeros zeros_like
"""
ATEN = frozenset(_ATEN.split())
_OPERATOR = re.compile(
    rf"torch\.ops\.aten\.({'|'.join(sorted(ATEN))})\.\w+|torch\.sym_(int|float|max|min|not|ite)"
    r"|_operator\.(add|sub|mul|floordiv|mod|neg|eq|ne|lt|le|gt|ge)",
    re.ASCII,
)
_EXPRESSION = re.compile(
    r"(Symbol\(|Integer\(|Add\(|Mul\(|Min\(|Max\(|Mod\(|FloorDiv\(|GreaterThan\(|StrictGreaterThan\(|LessThan\("
    # A power of a length alone, and only its square: others could be too large to be written out.
    r"|Pow\((?=Symbol\('[su][0-9]+', positive=True, integer=True\), Integer\(2\)\))"
    r"|StrictLessThan\(|Equality\(|Unequality\(|'[su][0-9]+'|(positive|nonnegative|integer)=True"
    r"|-?[0-9]{1,18}|true|false|[(), ])*"
)
# An operator's text argument is written into the program as a quoted literal: a padding's mode, an assertion's words.
_TEXT = re.compile(r"[A-Za-z0-9_ .,'<>=+*()-]*")
_OTHERS = {"target": _OPERATOR, "expr_str": _EXPRESSION, "as_string": _TEXT}
# One tensor in, one out.
_ONE = '{"type": null, "context": null, "children_spec": []}'
_TUPLE = '{"type": "builtins.tuple", "context": "null", "children_spec": '
_NO_KEYWORDS = '{"type": "builtins.dict", "context": "[]", "children_spec": []}'
_SPECS = {f"[1, {_ONE}]", f"[1, {_TUPLE}[{_TUPLE}[{_ONE}]}}, {_NO_KEYWORDS}]}}]"}


def open_program(path: Path, device: str) -> Callable[[Any], Any]:
    """Return the checked program as a function of one tensor, on `device`.

    Raises ValueError as `check_program` does.
    """
    check_program(path)
    import torch
    from torch.export.passes import move_to_device_pass

    program = torch.export.load(str(path))
    if device != "cpu":
        program = move_to_device_pass(program, device)
    run: Callable[[Any], Any] = program.module()
    return run


def check_program(path: Path) -> None:
    """Raise ValueError unless the `.pt2` holds raw tensors and a graph of plain operators, and no pickle.

    Raises RuntimeError or BadZipFile for a file that cannot be read at all.
    """
    import torch

    # What fails to load torch.export.load takes for the format of torch 2.7, as Python's zipfile reads it: without a
    # folder around the members. That one could have another directory, with another program.
    with zipfile.ZipFile(path) as archive:
        if not all("/" in name for name in archive.namelist()):
            raise ValueError(f"{path.name} has members outside its one folder; it is not opened.")
    # The reader that torch.export.load uses: both see the same members.
    reader = torch._C.PyTorchFileReader(str(path))
    check_program_members(path.name, reader.get_all_records(), reader.get_record_size, reader.get_record)


def check_program_members(
    file: str, names: Sequence[str], size: Callable[[str], int], read: Callable[[str], bytes]
) -> None:
    """Do the same for members by name, without their common folder."""
    others = [name for name in names if name not in _FIXED and not _RAW.fullmatch(name)]
    # torch finds members whatever their case.
    if others or len({name.lower() for name in names}) < len(names):
        raise ValueError(
            f"{file} has members that no exported model needs: {', '.join(sorted(others or names)[:3])}."
        )
    if EXAMPLE in names and size(EXAMPLE):
        raise ValueError(f"{file} has pickled example inputs; they are not opened.")
    try:
        described = {name: _described(file, name, size, read) for name in (*_CONFIGS, GRAPH)}
        for config in _CONFIGS:
            for name, entry in described[config]["config"].items():
                place = f"{config.rpartition('/')[0]}/{entry['path_name']}"
                if entry["use_pickle"] or not _RAW.fullmatch(place):
                    raise ValueError(f"{file} has {name} as a pickle; pickles are not opened.")
        if described[GRAPH].get("guards_code"):
            raise ValueError(f"{file} has guards, which are code; they are not run.")
        _check(described[GRAPH], "", file)
    except (KeyError, TypeError, AttributeError, RecursionError, RuntimeError) as error:
        raise ValueError(f"{file} is damaged ({type(error).__name__}: {error}). Export the model again.") from None


def _described(file: str, name: str, size: Callable[[str], int], read: Callable[[str], bytes]) -> Any:
    if size(name) > _LONGEST:
        raise ValueError(f"{file}: {name} has {size(name):,} bytes, expected at most {_LONGEST:,}.")
    return json.loads(read(name))


def _check(value: Any, key: str, file: str) -> None:
    """Raise ValueError for a string of the graph that its key does not allow."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check(name, "", file)
            _check(inner, name, file)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, key, file)
    elif isinstance(value, str):
        if key in ("in_spec", "out_spec"):
            fits = value in _SPECS
        else:
            pattern = _OTHERS.get(key, _NAME)
            fits = pattern.fullmatch(value) is not None
        if not fits:
            shown = value if len(value) <= 80 else value[:79] + "…"
            raise ValueError(f"{file} has {shown!r} as {key or 'a name'}; it is not run.")
