"""How the programs that trained such classifiers split texts, and the same as a text spec."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ....errors import InputError

SPACE = r"\s\x1c-\x1f"
"""White space as str.split and `\\s` of Python's re have it; the module regex leaves the four separators out."""
# The replacements of torchtext's tokenizer "basic_english", one after the other.
_BASIC_ENGLISH = [
    ("'", " '  "),
    ('"', ""),
    (".", " . "),
    ("<br />", " "),
    (",", " , "),
    ("(", " ( "),
    (")", " ) "),
    ("!", " ! "),
    ("?", " ? "),
    (";", " "),
    (":", " "),
]


@dataclass(frozen=True)
class Tokenizer:
    """A way to split texts."""

    split: Callable[[str], list[str]]
    """What the foreign program does: the tokens of a text."""
    pattern: str
    """The regular expression of a token in the text spec."""
    lowercase: bool
    """Whether the text spec lower-cases."""
    note: str = ""
    """Where the two differ, in a sentence."""


def _basic_english(text: str) -> list[str]:
    text = text.lower()
    for old, new in _BASIC_ENGLISH:
        text = text.replace(old, new)
    return text.split()


def _letters(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


WORD = r"[\p{L}\p{N}_]"
"""A character of `\\w` in Python's re, for the module regex, whose own has marks too."""
TOKENIZERS = {
    "basic_english": Tokenizer(
        _basic_english,
        rf"['.,()!?]|[^{SPACE}'.,()!?;:\"]+",
        lowercase=True,
        note=(
            "basic_english takes a quotation mark within a word out of it and leaves <br /> out; in the run both "
            "separate words"
        ),
    ),
    "whitespace": Tokenizer(str.split, rf"[^{SPACE}]+", lowercase=False),
    "whitespace_lower": Tokenizer(lambda text: text.lower().split(), rf"[^{SPACE}]+", lowercase=True),
    "words_lower": Tokenizer(_letters, rf"{WORD}+", lowercase=True),
}
"""What `--tokenizer` names: that of torchtext, white space, or runs of letters, digits and underscores."""


def tokenizer_of(name: str) -> Tokenizer:
    """Return the tokenizer of that name. Raises InputError."""
    if name not in TOKENIZERS:
        raise InputError(
            f"The tokenizer {name!r} is not known; there are: {', '.join(TOKENIZERS)}. A tokenizer that is a program "
            "cannot be brought in.",
            code="LX-IMPORT-080",
        )
    return TOKENIZERS[name]
