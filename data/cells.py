"""Check and convert the cells of a data file: text, label or labels, language, image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InputError
from ..handlers.request.fields import LARGEST
from ..storage.compression import shown
from .columns import option
from .dataset import SEPARATOR, Images

_LONGEST_LANGUAGE = 40  # characters; the longest registered language tags have 35


def text(value: Any, where: str, field: str = "text") -> str:
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


def label(value: Any, where: str) -> str | None:
    """Return the label as a string, None if it is missing: 1, 1.0 and "1" are the same, true is "true"."""
    match value:
        case str():
            return _encodable(value.strip(), where, "label") or None
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
        "Name another --label-column or convert it; several labels for a text need a multi-label model.",
        code="LX-DATA-002",
    )


def labels(value: Any, where: str) -> str:
    """Return the distinct labels of a cell as one string, sorted and joined by the separator; "" without labels.

    The cell has a list of labels, or one string with the separator between them.
    """
    if isinstance(value, list | tuple):
        names = [label(item, where) for item in value]
        for name in names:
            if name and SEPARATOR in name:
                raise InputError(
                    f"{where}: the label {shown(name)} contains '{SEPARATOR}', the separator of labels. Rename it.",
                    code="LX-DATA-003",
                )
    else:
        names = [name.strip() for name in (label(value, where) or "").split(SEPARATOR)]
    return SEPARATOR.join(sorted({name for name in names if name}))


def language(value: Any, where: str) -> str | None:
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
_PART_OF = {name: part for part, names in _PARTS.items() for name in names}


def part(value: Any, where: str) -> str | None:
    """Return the part of the split that a cell names: "train", "validation" or "test"; None if it is missing."""
    name = label(value, where)
    if name is None:
        return None
    if name.lower() not in _PART_OF:
        raise InputError(
            f"{where}: the part of the split is {shown(name)}; expected {', '.join(_PART_OF)}. Rename it or name "
            f"another {option('part')}.",
            code="LX-DATA-084",
        )
    return _PART_OF[name.lower()]


def image(value: Any, where: str) -> Images | None:
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


def _encodable(value: str, where: str, what: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: the {what} has half of a surrogate pair (U+{ord(value[error.start]):04X}) at character "
            f"{error.start + 1:,}, which is not a character. Fix or remove it.",
            code="LX-DATA-006",
        ) from None
    return value
