"""Show text from outside: every character that could move the cursor, start a line or hide text becomes its code.

Text from outside is everything that another person may have written: members of archives, evidence, model cards,
names, labels, texts, file names, answers of servers, output of workers, cells of data files.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_INDENT = "    "
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# Visible format characters of Arabic, Syriac and Kaithi: they are drawn above or around numbers.
_SEEN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# Invisible, although Python calls them printable: fillers of Hangul and Khmer, and the combining grapheme joiner.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
# These choose how the character before them is drawn.
_SELECTORS = frozenset(map(chr, (*range(0x180B, 0x180E), 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
_JOINERS = frozenset("\u200c\u200d")
_WORD_BREAK = "\u200b"
_WITHOUT_SPACES = ("KHMER", "LAO", "MYANMAR", "THAI", "TIBETAN")
_WITHOUT_JOINERS = ("CYRILLIC", "GREEK", "LATIN")
_LOOKED_AT = _BLANK | _SELECTORS


def visible(value: object) -> str:
    r"""Return the value's text on one line, with codes such as `\n`, `\x1b` and `\u202e` for characters that are not
    seen.

    Codes take the place of control characters, line and paragraph separators, what turns the direction of writing,
    lone surrogates, private and unassigned characters, invisible fillers, and invisible format characters. Kept as
    they are: everything else of any language, spaces of every width among it, joiners where a script needs them
    (Persian, Malayalam, emoji), breaks between words of scripts without spaces, and one variation selector after a
    character. A backslash stays single, so that `\n` may also be two characters of the text itself; JSON output
    tells the two apart. Doing it twice changes nothing.
    """
    return _escaped(str(value), _code)


def visible_lines(text: str, *, part: bool = False) -> str:
    """Return several lines, each as `visible` shows it, tabs as spaces.

    In a `part` of a line joiners are not checked, because their neighbours may be in another part.
    """
    lines = text.replace("\r\n", "\n").expandtabs(4).split("\n")
    return "\n".join(_escaped(line, _code, part=part) for line in lines)


def indented(text: str) -> str:
    """Return several lines as `visible_lines` shows them, each indented, so that none looks like one of lexport's."""
    return "\n".join(_INDENT + line for line in visible_lines(text).split("\n"))


def markdown(text: str) -> str:
    """Return a text for a line of Markdown: with a backslash before whatever Markdown or HTML would read."""
    return re.sub(r"[\\`*\[\]<>|~&#!]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", visible(text))


def json_visible(text: str) -> str:
    r"""Return JSON text with `\u…` escapes for the characters that `visible` shows as codes; same meaning."""
    return "\n".join(_escaped(line, _json_code) for line in text.split("\n"))


def _escaped(text: str, code: Callable[[str], str], *, part: bool = False) -> str:
    if text.isprintable() and _LOOKED_AT.isdisjoint(text):
        return text
    return "".join(one if _is_seen(text, place, part=part) else code(one) for place, one in enumerate(text))


def _is_seen(text: str, place: int, *, part: bool) -> bool:
    one = text[place]
    if one in _SELECTORS:
        before = text[place - 1] if place else ""
        return part if not before else before not in _SELECTORS and _draws(before)
    if one in _JOINERS or one == _WORD_BREAK:
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        known = before and _draws(before) and _is_seen(text, place - 1, part=part)
        return part or _is_needed(one, before if known else "", after)
    return one not in _BLANK and (one.isprintable() or one in _SEEN or unicodedata.category(one) == "Zs")


def _draws(one: str) -> bool:
    """Return whether a character is a letter, mark, number, sign or symbol that is drawn."""
    return unicodedata.category(one)[0] in "LMNPS" and one not in _BLANK


def _is_needed(one: str, before: str, after: str) -> bool:
    """Return whether a script needs a joiner or word break between two characters; "" is an invisible character."""
    if one == "\u200d" and before and unicodedata.combining(before) == 9:  # after a virama also at a word's end
        return True
    if not (before and after and _draws(before) and _draws(after)):
        return False
    names = [unicodedata.name(neighbour, "") for neighbour in (before, after)]
    if one == _WORD_BREAK:
        return all(name.startswith(_WITHOUT_SPACES) for name in names)
    foreign = [name for name, neighbour in zip(names, (before, after), strict=True) if not neighbour.isascii()]
    return any(not name.startswith(_WITHOUT_JOINERS) for name in foreign)


def _code(one: str) -> str:
    number = ord(one)
    if number > 0xFFFF:
        return f"\\U{number:08x}"
    return _SHORT.get(one) or (f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}")


def _json_code(one: str) -> str:
    units = one.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
