"""Read the fields of a request strictly; a Refusal names what is wrong with a field."""

from __future__ import annotations

import re
from typing import Any

from .refusals import EXPECTED, Refusal, kind, listed, show

# Of one request; images as well.
MAX_TEXTS = 1024

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,20})?")
# Of an image: far beyond any pixel, and far below where the sums and squares of a tower overflow float32.
LARGEST = 1e9


def read_text(value: Any, field: str) -> str:
    """Return one text. Raises Refusal for anything else, a lone surrogate included."""
    if not isinstance(value, str):
        raise Refusal(400, f"`{field}` is {kind(value)}, not a string.", code="LX-HTTP-022")
    return checked(value)


def checked(text: str) -> str:
    """Return the text itself. Raises Refusal for a lone surrogate."""
    if has_surrogate(text):
        raise Refusal(400, "The text has a lone surrogate, which is not possible in UTF-8.", code="LX-HTTP-023")
    return text


def has_surrogate(text: str) -> bool:
    """Return whether a text has half of a surrogate pair, which is not valid Unicode."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def read_texts(values: Any, field: str, expected: str = EXPECTED) -> list[str]:
    """Return 1 to MAX_TEXTS texts. Raises Refusal with every bad position."""
    _check_list(values, field, "strings", expected)
    bad = {
        position: kind(value) if not isinstance(value, str) else "a string with a lone surrogate"
        for position, value in enumerate(values)
        if not isinstance(value, str) or has_surrogate(value)
    }
    if bad:
        error = f"`{field}` has elements that are not texts ({listed(bad)})."
        raise Refusal(400, error, expected, positions=list(bad), code="LX-HTTP-024")
    return list(values)


def read_languages(value: Any, count: int) -> list[str] | None:
    """Return a language for each of `count` texts: one name for all, or a list of as many. None for null."""
    if value is None:
        return None
    names = value if isinstance(value, list) else [value] * count
    if len(names) != count or not all(isinstance(name, str) for name in names):
        what = f"has {len(names)} elements for {count} texts" if len(names) != count else f"is {show(value)}"
        raise Refusal(
            400, f"`lang` {what}.", 'one name such as "en", or a list with a name for each text', code="LX-HTTP-025"
        )
    return names


def read_image(values: Any, field: str, expected: str = EXPECTED) -> list[float]:
    """Return the numbers of an image, from -LARGEST to LARGEST. Raises Refusal naming every bad position."""
    if not isinstance(values, list):
        raise Refusal(400, f"`{field}` is {kind(values)}, not a list of numbers.", expected, code="LX-HTTP-026")
    if not values:
        raise Refusal(400, f"`{field}` is an empty list.", expected, code="LX-HTTP-027")
    bad = _no_numbers(values)
    if bad:
        error = f"`{field}` has elements that are not numbers from -1e9 to 1e9 ({listed(bad)})."
        raise Refusal(400, error, expected, positions=list(bad), code="LX-HTTP-028")
    return values


def read_images(values: Any, field: str) -> list[list[float]]:
    """Return 1 to MAX_TEXTS images. Raises Refusal with every bad position."""
    _check_list(values, field, "images, each a list of numbers", EXPECTED)
    bad: dict[int, str] = {}
    for position, image in enumerate(values):
        if not isinstance(image, list):
            bad[position] = kind(image)
        elif not image:
            bad[position] = "an empty list"
        else:
            wrong = _no_numbers(image)
            if wrong:
                first, what = next(iter(wrong.items()))
                bad[position] = f"number {first} is {what}"
    if bad:
        error = f"`{field}` has elements that are not images, lists of numbers from -1e9 to 1e9 ({listed(bad)})."
        raise Refusal(400, error, positions=list(bad), code="LX-HTTP-029")
    return list(values)


def _no_numbers(values: list[Any]) -> dict[int, str]:
    """Return the positions of values that are not numbers from -LARGEST to LARGEST."""
    if set(map(type, values)) <= {int, float} and all(-LARGEST <= value <= LARGEST for value in values):
        return {}
    return {
        position: show(value) if type(value) in (int, float) else kind(value)
        for position, value in enumerate(values)
        if type(value) not in (int, float) or not -LARGEST <= value <= LARGEST
    }


def _check_list(values: Any, field: str, what: str, expected: str) -> None:
    if not isinstance(values, list):
        raise Refusal(400, f"`{field}` is {kind(values)}, not a list of {what}.", expected, code="LX-HTTP-030")
    if not values:
        raise Refusal(400, f"`{field}` is an empty list.", expected, code="LX-HTTP-031")
    if len(values) > MAX_TEXTS:
        raise Refusal(
            400,
            f"`{field}` has {len(values):,} elements; one request may have {MAX_TEXTS:,}.",
            expected,
            code="LX-HTTP-032",
        )


def read_top_k(value: Any) -> int | None:
    """Return how many scores to answer; None for null."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refusal(400, f"`top_k` is {show(value)}.", "a whole number from 1 up", code="LX-HTTP-033")
    return value


def read_threshold(value: Any) -> float | None:
    """Return the least score of a label to answer; None for null."""
    if value is None:
        return None
    # Written so that a NaN fails.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise Refusal(400, f"`threshold` is {show(value)}.", "a number from 0 to 1", code="LX-HTTP-034")
    return float(value)


def written(value: Any) -> Any:
    """Return the value of a form or query as text: decode bytes; TorchServe may have decoded it already."""
    return value.decode("utf-8", "replace") if isinstance(value, (bytes, bytearray)) else value


def written_number(value: Any) -> Any:
    """Return the short decimal number in a form or query; anything else as it is, to be refused."""
    text = written(value)
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)
