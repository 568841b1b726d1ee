"""Telling a Python pickle from other bytes by its opcodes, reading no further than it takes.

Nothing is unpickled: the opcodes are followed with a stack that holds, for each object, only what kind it is.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable
from typing import IO, cast

# No tensor and no text reads as so many opcodes in a row.
_ENOUGH = 100_000
# Nor, without the mark of a protocol, as so many that end where the file does.
_WHOLE = 4
_BLOCK = 1 << 16

_CODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_LINES = {
    "INT": re.compile(rb"[\s\w+-]+"),
    "LONG": re.compile(rb"[\s\w+-]+"),
    "FLOAT": re.compile(rb"[\s\w.+-]+"),
    "STRING": re.compile(rb"['\"].*", re.DOTALL),
}
_NAME = re.compile(rb"[A-Za-z_\x80-\xff][\w.\x80-\xff-]*")
# What leaves a string, which can become a name to import; longer ones are not kept.
_STRINGS = frozenset(
    {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
)
_LONGEST_NAME = 256
_MOST_IMPORTS = 1_000
_MOST_FOLLOWED = 1_000_000  # opcodes, to find what is imported
MADE_UP = "a name that it makes up when it is loaded"
# What kind of object an opcode leaves, where it matters to what follows.
_LEAVES = {
    "MARK": "mark",
    "GLOBAL": "callable",
    "STACK_GLOBAL": "callable",
    "EXT1": "callable",
    "EXT2": "callable",
    "EXT4": "callable",
    "EMPTY_TUPLE": "tuple",
    "TUPLE": "tuple",
    "TUPLE1": "tuple",
    "TUPLE2": "tuple",
    "TUPLE3": "tuple",
    "EMPTY_DICT": "dict",
    "DICT": "dict",
}


_IMPORTS = frozenset({"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"})


class _NoPickleError(Exception):
    """The unpickler would have stopped here."""


class _Text(str):
    """The kind "other" of a string that is short enough for a name, and the string itself."""

    content: str

    @classmethod
    def of(cls, content: bytes) -> _Text:
        """Return the kind of a string with this content."""
        kind = cls("other")
        kind.content = content.decode("utf-8", "backslashreplace")
        return kind


def is_pickle(stream: IO[bytes], spend: Callable[[int], None] = lambda steps: None) -> bool:
    """Return whether unpickling `stream` would call something, or read it as a pickle of plain values.

    Of a pickle without the mark of a protocol, which is as good as text, plain values count only if they end where
    the stream does. `spend` is told how many opcodes were followed.
    """
    walk = _Walk(stream)
    try:
        return _is_pickle(walk)
    finally:
        spend(walk.count)


def _is_pickle(walk: _Walk) -> bool:
    try:
        while not walk.stopped and walk.count < _ENOUGH:
            walk.step()
    except _NoPickleError:
        return walk.calls or (walk.marked and walk.imports)
    if not walk.stopped or walk.calls or walk.marked:
        return True
    return (walk.imports or walk.count >= _WHOLE) and not walk.stream.read(_BLOCK).strip()


def imports(stream: IO[bytes], spend: Callable[[int], None] = lambda steps: None) -> tuple[tuple[str, ...], bool]:
    """Return what unpickling `stream` would import, as "module.name", sorted, and whether that is all.

    Several pickles that follow one another, as older versions of torch write them, are all followed. It is not all
    where a pickle could not be followed to its end, or has more than a million opcodes or a thousand imports. `spend`
    is told how many opcodes were followed.
    """
    found: set[str] = set()
    walk = _Walk(stream)
    count, complete = 0, False
    try:
        while count + walk.count < _MOST_FOLLOWED and len(found) + len(walk.named) < _MOST_IMPORTS:
            walk.step()
            if walk.stopped:
                found |= walk.named
                complete = True
                count += walk.count
                walk = _Walk(walk.stream)
        complete = False
        found |= walk.named
    except _NoPickleError:
        # What follows a whole pickle is usually none: tensors as bytes, or the end.
        complete = complete and not walk.named
        found |= walk.named
    finally:
        spend(count + walk.count)
    return tuple(sorted(found)), complete


class _Walk:
    """The way through a stream's opcodes: what was met, and the kinds of the objects on the stack and in the memo."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = (
            stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, stream))
        )
        self.count = 0
        self.named: set[str] = set()
        self.marked = self.imports = self.calls = self.stopped = False
        self._stack: list[str] = []
        self._memo: dict[int, str] = {}

    def step(self) -> None:
        """Follow one opcode. Raises _NoPickleError where an unpickler could not."""
        opcode = _CODES.get(self.stream.read(1))
        if opcode is None:
            raise _NoPickleError
        name = opcode.name
        argument = self._argument(opcode)
        if name == "PROTO":
            self.marked = self.marked or (self.count == 0 and argument[0] <= 8)
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self._stack.append(self._remembered(_number(name, argument)))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if name == "MEMOIZE" else _number(name, argument)] = self._top()
        elif name == "DUP":
            self._stack.append(self._top())
        elif name == "STOP":
            self._top()
            self.stopped = True
        elif name == "POP":
            self._pop()  # a mark, too
        else:
            taken = self._take(opcode)
            self._note(name, taken)
            if name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD", "READONLY_BUFFER"):
                self._stack.append(taken[0])
            elif opcode.stack_after:
                is_name = name in _STRINGS and 0 < len(argument) <= _LONGEST_NAME
                self._stack.append(_Text.of(argument) if is_name else _LEAVES.get(name, "other"))
            if name in _IMPORTS:
                self._note_import(name, argument, taken)
        self.count += 1

    def _note_import(self, name: str, argument: bytes, taken: list[str]) -> None:
        if name == "STACK_GLOBAL":
            parts = [one.content for one in taken if isinstance(one, _Text)]
            self.named.add(".".join(parts) if len(parts) == 2 else MADE_UP)
        elif name in ("GLOBAL", "INST"):
            self.named.add(argument.decode("utf-8", "backslashreplace"))
        else:
            self.named.add(MADE_UP)  # a number in the registry of copyreg

    def _note(self, name: str, taken: list[str]) -> None:
        """What an opcode that took objects of these kinds imports and calls."""
        if name in ("GLOBAL", "STACK_GLOBAL", "INST"):
            self.imports = True
        if name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX"):
            if taken[1] != "tuple" or taken[0] not in ("callable", "other"):
                raise _NoPickleError
            self.calls = self.calls or taken[0] == "callable"
        elif name == "INST":
            self.calls = True
        elif name == "OBJ":
            self.calls = self.calls or taken[:1] == ["callable"]
        elif name == "BUILD":
            self.calls = self.calls or (taken[0] == "callable" and taken[1] in ("tuple", "dict"))

    def _take(self, opcode: pickletools.OpcodeInfo) -> list[str]:
        """Take what an opcode needs from the stack, marks apart."""
        needs = [kind.name for kind in opcode.stack_before]
        taken: list[str] = []
        if "mark" in needs:
            while (kind := self._pop()) != "mark":
                taken.append(kind)
            taken.reverse()
            needs = needs[: needs.index("mark")]
        below = [self._pop() for _ in needs][::-1]
        if "mark" in below:
            raise _NoPickleError
        return below + taken

    def _pop(self) -> str:
        if not self._stack:
            raise _NoPickleError
        return self._stack.pop()

    def _top(self) -> str:
        if not self._stack or self._stack[-1] == "mark":
            raise _NoPickleError
        return self._stack[-1]

    def _remembered(self, number: int) -> str:
        if number not in self._memo:
            raise _NoPickleError
        return self._memo[number]

    def _argument(self, opcode: pickletools.OpcodeInfo) -> bytes:
        """Return an opcode's argument, or as much of it as says what it is."""
        if opcode.arg is None:
            return b""
        if opcode.arg.n >= 0:
            return self._exactly(opcode.arg.n)
        if opcode.arg.n in _LENGTHS:
            length = int.from_bytes(self._exactly(_LENGTHS[opcode.arg.n]), "little")
            if opcode.name in _STRINGS and length <= _LONGEST_NAME:
                return self._exactly(length)
            self._skip(length)
            return b""
        line = self._line()
        if opcode.name in ("GLOBAL", "INST"):
            name = self._line()
            if not (_NAME.fullmatch(line) and _NAME.fullmatch(name)):
                raise _NoPickleError
            return line + b"." + name
        if opcode.name in _LINES and not _LINES[opcode.name].fullmatch(line):
            raise _NoPickleError
        return line.strip(b"'\"") if opcode.name == "STRING" else line

    def _exactly(self, count: int) -> bytes:
        found = self.stream.read(count)
        if len(found) < count:
            raise _NoPickleError
        return found

    def _skip(self, count: int) -> None:
        while count > 0:
            count -= len(self._exactly(min(count, _BLOCK)))

    def _line(self) -> bytes:
        """Return the start of a line; the stream is behind its end."""
        start = part = self.stream.readline(_BLOCK)
        while part and not part.endswith(b"\n"):
            part = self.stream.readline(_BLOCK)
        if not part:
            raise _NoPickleError
        return start.removesuffix(b"\n")


def _number(opcode: str, argument: bytes) -> int:
    """Return the number of a memo's entry. Raises _NoPickleError for a line that is not one."""
    if opcode not in ("GET", "PUT"):
        return int.from_bytes(argument, "little")
    try:
        return int(argument)
    except ValueError:
        raise _NoPickleError from None
