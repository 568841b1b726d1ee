"""Java's properties files, as `java.util.Properties` reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
# A key ends at the first unescaped '=', ':' or blank.
_ENTRY = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL)


class Entry(NamedTuple):
    """One setting of a properties file."""

    line: int
    """The number of the line that it begins on, from 1."""
    key: str
    value: str


def entries(text: str) -> Iterator[Entry]:
    """Yield each setting of a properties file in its order, repeated keys too."""
    for number, line in _logical_lines(text):
        match = _ENTRY.fullmatch(line)
        if match:
            yield Entry(number, _unescape(match[1]), _unescape(match[2]))


def parse(text: str) -> dict[str, str]:
    """Return the settings of a properties file; a repeated key keeps its last value."""
    return {entry.key: entry.value for entry in entries(text)}


def render(settings: Mapping[str, str], comment: str) -> str:
    """Return a properties file in ASCII, one `#` line of `comment` first, that `parse` and Java read back alike."""
    lines = [f"# {comment}"]
    lines += [f"{_escape(key, '=: ')}={_escape(value, '')}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each setting as one line, with the number of the line that it begins on."""
    whole, begins = "", 0
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        line = line.lstrip(" \t\f")
        if not whole:
            begins = number
            if not line or line[0] in "#!":
                continue
        # An odd number of backslashes at the end continues the line.
        if (len(line) - len(line.rstrip("\\"))) % 2:
            whole += line[:-1]
            continue
        yield begins, whole + line
        whole = ""
    if whole:
        yield begins, whole


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPES.get(code, code)

    # Java writes characters above U+FFFF as two surrogates.
    return _ESCAPE.sub(one, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escape(text: str, special: str) -> str:
    out = []
    for position, character in enumerate(text):
        if character in "\\" + special or (position == 0 and character in "#! "):
            out.append("\\" + character)
        elif " " <= character <= "~":
            out.append(character)
        else:
            units = character.encode("utf-16-be", "surrogatepass")
            out += [f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)]
    return "".join(out)
