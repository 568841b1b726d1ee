"""The stack that the opcodes of a pickle work on: plain containers are made, filled and remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import InputError
from .limits import check_key

_MOST_OPEN = 10_000  # marks: containers that are begun and not ended
_MOST_MADE = 2_000_000  # containers: an empty set takes 200 bytes of memory and one of the pickle

_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}


class DamagedError(Exception):
    """No unpickler could go on here."""


class Stack:
    """Values, those below each mark, and those that are remembered by a number."""

    def __init__(self, file: str) -> None:
        """Begin with nothing; errors call the pickle `file`."""
        self.file = file
        self.values: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self._made = 0

    def push(self, value: Any) -> None:
        """Put a value on top."""
        self.values.append(value)

    def pop(self) -> Any:
        """Take the value on top."""
        return self.values.pop()

    def make(self, container: Any) -> None:
        """Put a new container on top. Raises InputError for too many of them."""
        self._made += 1
        if self._made > _MOST_MADE:
            raise InputError(
                f"{self.file} is a pickle of more than {_MOST_MADE:,} dictionaries, lists, tuples and sets; no "
                "vocabulary and no dictionary of tensors has so many. Save what is needed of it as JSON.",
                code="LX-IMPORT-400",
            )
        self.values.append(container)

    def follow(self, name: str, argument: Any) -> bool:
        """Follow an opcode that is about containers and marks; return whether it is one."""
        if name in _EMPTY:
            self.make(_EMPTY[name]())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._remember(argument)
        elif name == "MEMOIZE":
            self._remember(len(self.memo))
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            if argument not in self.memo:
                raise DamagedError(f"nothing is remembered as {argument}")
            self.values.append(self.memo[argument])
        elif name in _STEPS:
            _STEPS[name](self)
        else:
            return False
        return True

    def top(self, kind: type[Any]) -> Any:
        """Return the value on top, which is of this kind. Raises DamagedError for another."""
        value = self.values[-1]
        if not isinstance(value, kind):
            raise DamagedError(f"values are put into {type(value).__name__}, not into {kind.__name__}")
        return value

    def _remember(self, number: int) -> None:
        if number < 0:
            raise DamagedError(f"a value is remembered as {number}")
        self.memo[number] = self.values[-1]

    def _mark(self) -> None:
        if len(self.below) >= _MOST_OPEN:
            raise DamagedError(f"more than {_MOST_OPEN:,} containers within one another")
        self.below.append(self.values)
        self.values = []

    def _marked(self) -> list[Any]:
        """Return what lies above the last mark, and take both away."""
        found = self.values
        self.values = self.below.pop()
        return found

    def _pop_mark(self) -> None:
        self._marked()

    def _pop(self) -> None:
        if self.values:
            self.values.pop()
        else:
            self._marked()

    def _duplicate(self) -> None:
        self.values.append(self.values[-1])

    def _tuple(self, count: int) -> None:
        if len(self.values) < count:
            raise DamagedError("a tuple of more values than there are")
        values = tuple(self.values[-count:])
        del self.values[-count:]
        self.make(values)

    def _marked_tuple(self) -> None:
        values = tuple(self._marked())
        self.make(values)

    def _marked_list(self) -> None:
        values = self._marked()
        self.make(values)

    def _append(self) -> None:
        value = self.values.pop()
        self.top(list).append(value)

    def _extend(self) -> None:
        values = self._marked()
        self.top(list).extend(values)

    def _set_item(self) -> None:
        value, key = self.values.pop(), self.values.pop()
        self._put(self.top(dict), [key, value])

    def _set_items(self) -> None:
        values = self._marked()
        self._put(self.top(dict), values)

    def _dict(self) -> None:
        found: dict[Any, Any] = {}
        self._put(found, self._marked())
        self.make(found)

    def _put(self, into: dict[Any, Any], values: list[Any]) -> None:
        if len(values) % 2:
            raise DamagedError("a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            check_key(key, self.file)
            into[key] = value

    def _add_items(self) -> None:
        values = self._marked()
        for value in values:
            check_key(value, self.file)
        self.top(set).update(values)

    def _frozen_set(self) -> None:
        values = self._marked()
        for value in values:
            check_key(value, self.file)
        self.make(frozenset(values))


_STEPS: dict[str, Callable[[Stack], None]] = {
    "MARK": Stack._mark,
    "POP": Stack._pop,
    "POP_MARK": Stack._pop_mark,
    "DUP": Stack._duplicate,
    "TUPLE": Stack._marked_tuple,
    "TUPLE1": lambda stack: stack._tuple(1),
    "TUPLE2": lambda stack: stack._tuple(2),
    "TUPLE3": lambda stack: stack._tuple(3),
    "LIST": Stack._marked_list,
    "APPEND": Stack._append,
    "APPENDS": Stack._extend,
    "DICT": Stack._dict,
    "SETITEM": Stack._set_item,
    "SETITEMS": Stack._set_items,
    "ADDITEMS": Stack._add_items,
    "FROZENSET": Stack._frozen_set,
}
