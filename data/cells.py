"""Check and convert the cells of a data file: text, label or labels, language, image."""

from __future__ import annotations

import ast
import json
import math
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np

from ..errors import InputError
from ..handlers.request.fields import LARGEST
from ..storage.compression import shown
from .columns import option
from .dataset import SEPARATOR, Images

_LONGEST_LANGUAGE = 40  # characters; the longest registered language tags have 35


def text(value: Any, where: object, field: str = "text") -> str:
    """Return the text without the white space around it; "" if there is none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(
            f"{where}: the {field} is {shown(value)} ({type(value).__name__}); expected a string. "
            f"Put it into quotes or name another {option(field)}.",
            code="LX-DATA-001",
        )
    return _encodable(value.strip(), where, field)


def label(value: Any, where: object) -> str | None:
    """Return the label as a string, None if it is missing: 1, 1.0 and "1" are the same, true is "true".

    A list of one label is that label, also where it is written as a string: `["a"]` or `['a']`.
    """
    match value:
        case str():
            several = _written_list(value) if "[" in value else None
            if several is None:
                return _encodable(value.strip(), where, "label") or None
            value = several
    match value:
        case [] | [[]]:
            return None
        case [single] if not isinstance(single, list | tuple):
            return label(single, where)
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            if math.isnan(value):
                return None
            return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    raise InputError(
        f"{where}: the label is {shown(value)} ({type(value).__name__}); expected one string or number. "
        "Name another --label-column or convert it; texts with several labels need --multi-label.",
        code="LX-DATA-002",
    )


def labels(value: Any, where: object, separator: str = SEPARATOR) -> str:
    """Return the distinct labels of a cell as one string, sorted and joined by SEPARATOR; "" without labels.

    The cell has a list of labels, also written as a string, `["a", "b"]` or `['a', 'b']`, or one string with
    `separator` between them.
    """
    written = _written_list(value) if isinstance(value, str) else None
    value = value if written is None else written
    if isinstance(value, list | tuple):
        names = [label(item, where) for item in value]
        for name in names:
            if name and SEPARATOR in name:
                raise InputError(
                    f"{where}: the label {shown(name)} contains '{SEPARATOR}', the separator of labels. Rename it.",
                    code="LX-DATA-003",
                )
    else:
        names = [name.strip() for name in (label(value, where) or "").split(separator)]
    return SEPARATOR.join(sorted({name for name in names if name}))


def _written_list(value: str) -> list[Any] | None:
    """Return the list that a string spells as JSON or as Python does; None if it spells none."""
    text = value.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list) and all(isinstance(one, str | int | float) for one in found):
            return found
    return None


def find_separator(cells: Iterable[Any]) -> str:
    """Return what separates several labels in `cells`: SEPARATOR, a semicolon or a comma.

    SEPARATOR if it occurs; else a semicolon or comma, if most of what it separates occurs in other cells too, so that
    names with a comma in them stay whole.
    """
    texts = {cell for cell in cells if isinstance(cell, str) and _written_list(cell) is None}
    for separator in (SEPARATOR, ";", ","):
        split = [{part.strip() for part in text.split(separator)} - {""} for text in texts]
        if not any(len(parts) > 1 for parts in split):
            continue
        counts = Counter(chain.from_iterable(split))
        separated = set(chain.from_iterable(parts for parts in split if len(parts) > 1))
        if separator == SEPARATOR or sum(counts[part] > 1 for part in separated) * 2 > len(separated):
            return separator
    return SEPARATOR


def language(value: Any, where: object) -> str | None:
    """Return the language's name or code without the white space around it, None if it is missing."""
    if value is None:
        return None
    if not isinstance(value, str) or len(value.strip()) > _LONGEST_LANGUAGE:
        raise InputError(
            f"{where}: the language is {shown(value)} ({type(value).__name__}); expected a short string such "
            f"as en. Name another {option('language')} or convert it.",
            code="LX-DATA-004",
        )
    return _encodable(value.strip(), where, "language") or None


# What data sets call the parts of a split.
_PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development"),
    "test": ("test", "testing"),
}
PART_OF = {name: part for part, names in _PARTS.items() for name in names}
"""The part that each of these names stands for."""


def part(value: Any, where: object) -> str | None:
    """Return the part of the split that a cell names: "train", "validation" or "test"; None if it is missing."""
    name = label(value, where)
    if name is None:
        return None
    if name.lower() not in PART_OF:
        raise InputError(
            f"{where}: the part of the split is {shown(name)}; expected {', '.join(PART_OF)}. Rename it or name "
            f"another {option('part')}.",
            code="LX-DATA-084",
        )
    return PART_OF[name.lower()]


def image(value: Any, where: object) -> Images | None:
    """Return the image's values, float32 [values], as they are; None if it is missing.

    The cell holds a list of numbers, or a string of numbers with commas or white space between them.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    numbers = value.strip().strip("[]").replace(",", " ").split() if isinstance(value, str) else value
    try:
        if not isinstance(value, str) and any(isinstance(number, bool | str) for number in numbers):
            raise TypeError
        with np.errstate(over="ignore"):
            found = np.array(numbers, dtype=np.float64).astype(np.float32)
    except (TypeError, ValueError, OverflowError):
        found = np.empty((0, 0), dtype=np.float32)
    if found.ndim != 1 or not len(found) or not (np.abs(found) <= LARGEST).all():
        raise InputError(
            f"{where}: the image is {shown(value)} ({type(value).__name__}); expected a list of finite numbers up "
            f"to 1e9, one for each value of the image, row after row. Convert it or name another "
            f"{option('image')}.",
            code="LX-DATA-005",
        )
    return found


def _encodable(value: str, where: object, what: str) -> str:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: the {what} has half of a surrogate pair (U+{ord(value[error.start]):04X}) at character "
            f"{error.start + 1:,}, which is not a character. Fix or remove it.",
            code="LX-DATA-006",
        ) from None
    return value
