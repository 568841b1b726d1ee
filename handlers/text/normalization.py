"""Unicode normalization: texts that look alike become the same code points, before they are split.

The forms are those of Unicode Standard Annex #15. Before either of them, characters that show nothing (soft hyphen,
zero-width space, byte order mark, variation selectors and the like: Default_Ignorable_Code_Point of the Unicode
Character Database) are left out, and the zero-width joiners too, except after a character of a script that spells
with them. Of a run of combining marks the first 30 are kept, the number that UAX #15 gives for its stream-safe
format: sorting longer ones takes time that grows with the square of their length.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import regex


class Normalization(StrEnum):
    """How a text is normalized before it is split, as `text.json` names it."""

    NONE = "none"
    """Not at all; that of models made before there was a choice."""
    NFC = "nfc"
    """Letters and their marks composed: é is one code point, however it was typed."""
    NFKC = "nfkc"
    """NFC, and compatibility characters replaced: ﬁ by fi, full-width Ａ by A, ② by 2."""


LONGEST_RUN = 30

# The Hangul fillers and the signs of Khmer and Mongolian, which count as ignorable too, belong to their scripts.
IGNORABLE = (
    "\u00ad\u034f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
JOINERS = "\u200c\u200d"
# Blocks of the scripts that spell with joiners: Arabic and its neighbours, those of India and Southeast Asia,
# Mongolian. Blocks and no script property, which leaves marks that several scripts share to none.
JOINED = (
    "\u0600-\u08ff\u0900-\u109f\u1780-\u18af\u1a20-\u1bff\u1cd0-\u1cff\ua800-\ua82f\ua840-\ua8ff\ua930-\uaa7f"
    "\uaae0-\uaaff\uabc0-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010aff\U00010d00-\U00010d3f"
    "\U00011000-\U00011fff\U0001e900-\U0001e95f"
)
# What does not end a run of combining marks: they themselves, three that are made of two of them, two of half width
# that NFKC replaces by one, and what is left out.
IN_RUN = rf"\p{{^ccc=0}}\u0f73\u0f75\u0f81\uff9e\uff9f{IGNORABLE}{JOINERS}"

# `_left_out` is slow, and asked only where these find something; no combining mark is a letter or digit to `re`.
_IGNORABLE = re.compile(f"[{IGNORABLE}{JOINERS}]")
_NO_LETTER = r"[\W\uff9e\uff9f]"
_MARK, _RUN = re.compile(rf"(?!\s){_NO_LETTER}"), re.compile(f"{_NO_LETTER}{{{LONGEST_RUN + 1}}}")


@cache
def _left_out() -> Any:
    run = f"(?<=[{IN_RUN}]{{{LONGEST_RUN}}})[{IN_RUN}]"
    return regex.compile(f"{run}|[{IGNORABLE}]|(?<![{JOINED}])[{JOINERS}]")


def normalize(text: str, form: Normalization) -> str:
    """Return the text without what shows nothing, in the form; the text itself if it has that form already."""
    if form is Normalization.NONE or text.isascii():
        return text
    if _IGNORABLE.search(text) or _has_long_run(text):
        text = _left_out().sub("", text)
    return unicodedata.normalize("NFC" if form is Normalization.NFC else "NFKC", text)


def _has_long_run(text: str) -> bool:
    """Return whether a text may have a run of marks that is too long; every 31st character finds one."""
    return bool(_MARK.search(text[LONGEST_RUN :: LONGEST_RUN + 1]) and _RUN.search(text))


def lower(text: str) -> str:
    """Return the text in lower case, code point by code point, without context, so that a graph can do the same.

    U+0130 becomes a plain i (Python makes two code points of it), and a capital sigma always the same small
    one (Python looks whether the word ends there).
    """
    if "\u0130" in text:
        text = text.replace("\u0130", "i")
    if "\u03a3" in text:
        text = text.replace("\u03a3", "\u03c3")
    return text.lower()


def pieces(text: str, form: Normalization) -> list[tuple[str, int]]:
    """Return the text normalized in pieces, and for each piece the characters of the original that it is made of.

    The pieces joined are `normalize(text, form)`. A piece is a character and the marks and jamo that follow it, or
    what such become together.
    """
    starts = [place for place, one in enumerate(text) if place == 0 or _begins(one, form)]
    gone = {match.start() for match in _left_out().finditer(text)}
    found = []
    for start, end in pairwise([*starts, len(text)]):
        kept = "".join(text[place] for place in range(start, end) if place not in gone)
        found.append((unicodedata.normalize("NFC" if form is Normalization.NFC else "NFKC", kept), end - start))
    return found


@lru_cache(maxsize=1 << 14)
def _begins(character: str, form: Normalization) -> bool:
    """Return whether nothing before a character changes it, and it changes nothing before it."""
    first = unicodedata.normalize("NFD" if form is Normalization.NFC else "NFKD", character)[0]
    return not unicodedata.combining(first) and first not in _second() and not regex.match(f"[{IN_RUN}]", first)


@cache
def _second() -> frozenset[str]:
    """Return the characters that compose with one before them."""
    jamo = frozenset(map(chr, [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]))
    parts = [unicodedata.decomposition(chr(code)).split() for code in range(0xC0, 0x30000)]
    return jamo | {chr(int(pair[1], 16)) for pair in parts if len(pair) == 2 and pair[0][0] != "<"}
