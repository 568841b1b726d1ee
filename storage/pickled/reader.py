"""Read plain values out of a Python pickle without unpickling it.

The opcodes of protocols 0 to 5 are followed one by one, as `pickletools` documents them. They build dictionaries,
lists, tuples, sets, strings, bytes and numbers; of what a pickle can name and call there is a fixed table of a few
plain containers, which are built here and not called. Nothing is imported, and whatever else a pickle names is
refused by its name.
"""

from __future__ import annotations

import io
import pickletools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sized
from typing import Any, NoReturn

from ...errors import InputError
from ..compression import shown
from .described import Instance, Name
from .limits import check_value
from .names import PLAIN, Build
from .stack import DamagedError, Stack

LONGEST = 1 << 28
"""The most bytes of a pickle."""
_MOST_OPCODES = 16_000_000  # three or four for each word of a vocabulary
_COPIES = 4
_LATEST = 5
# The first object of a file of torch.save before torch 1.6, which was several pickles.
_OLD_TORCH = 0x1950A86A20F9469CFC6C

# Python 2 has another name for the module.
_BUILTINS = ("builtins", "__builtin__")

_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_SINGLE = """
    INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE
    SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8
"""
_VALUES = frozenset(_SINGLE.split())


def read_pickle(content: bytes, file: str) -> Any:
    """Return the plain value in a pickle: dictionaries, lists, tuples, sets, strings, bytes, numbers, True and None.

    An ordered dictionary stays one, without attributes. `file`: what errors call it. Raises InputError for a pickle
    of anything else, one that refers to itself, one beyond the limits of size and depth, and a damaged one.
    """
    return PickleReader(content, file).read()


class PickleReader:
    """One pickle that is being read."""

    def __init__(
        self,
        content: bytes,
        file: str,
        builders: dict[str, Build] | None = None,
        names: frozenset[str] = frozenset(),
        persistent: Callable[[Any], Any] | None = None,
        leaves: tuple[type, ...] = (),
        objects: frozenset[str] = frozenset(),
    ) -> None:
        """Read `content`, which errors call `file`.

        builders: what further names build. names: what else may be named, but not called. persistent: what a
        reference outside the pickle is, given its description, which may hold `Name`s; it raises ValueError for one
        that it does not know. leaves: further types that the value may hold. objects: classes and functions of which
        an `Instance` says what the pickle would make.
        """
        self._content, self.file = content, shown(file)
        self._builders = {**PLAIN, **(builders or {})}
        self._names, self._objects = names, objects
        self._persistent = persistent
        self._leaves = leaves
        # Values that named containers are made of: each is written in the pickle once.
        self._left = _COPIES * len(content)
        self._stack = Stack(self.file)
        self._named: dict[str, Name] = {}

    def read(self) -> Any:
        """Return the value. Raises InputError as `read_pickle` does."""
        if len(self._content) > LONGEST:
            raise InputError(
                f"{self.file} is a pickle of {len(self._content):,} bytes, expected at most {LONGEST:,}. Save the "
                "vocabulary as JSON or as a text file with a word a line.",
                code="LX-IMPORT-060",
            )
        try:
            value = self._follow()
        except (DamagedError, ValueError, IndexError, OverflowError, MemoryError) as error:
            raise InputError(
                f"{self.file} is a damaged pickle ({shown(error) or 'it ends too early'}). Save it again, best as "
                "JSON or as a text file.",
                code="LX-IMPORT-061",
            ) from None
        check_value(value, self.file, self._leaves)
        return value

    def _follow(self) -> Any:
        stream = io.BytesIO(self._content)
        with warnings.catch_warnings():
            # A string of Python 2 with an escape that Python 3 does not know.
            warnings.simplefilter("ignore", DeprecationWarning)
            for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
                if number > _MOST_OPCODES:
                    raise InputError(
                        f"{self.file} is a pickle of more than {_MOST_OPCODES:,} opcodes; no vocabulary and no "
                        "dictionary of tensors is so long. Save what is needed of it as JSON.",
                        code="LX-IMPORT-062",
                    )
                if opcode.name == "STOP":
                    break
                self._step(opcode.name, argument)
        if self._stack.below or len(self._stack.values) != 1:
            raise DamagedError(f"{len(self._stack.values)} values are left at its end")
        value = self._stack.pop()
        rest = len(self._content) - stream.tell()
        if rest and isinstance(value, int) and value == _OLD_TORCH:
            raise InputError(
                f"{self.file} has the format of torch before 1.6. Load it where it came from and save it again with "
                "torch.save of a later version.",
                code="LX-IMPORT-063",
            )
        if rest:
            raise InputError(
                f"{self.file} has {rest:,} bytes behind the end of its pickle, expected none. Save one object.",
                code="LX-IMPORT-064",
            )
        return value

    def _step(self, name: str, argument: Any) -> None:
        """Follow one opcode."""
        stack = self._stack
        if name in _VALUES:
            stack.push(_ascii(argument) if name.endswith("STRING") else argument)
        elif name in _CONSTANTS:
            stack.push(_CONSTANTS[name])
        elif name == "BYTEARRAY8":
            stack.push(bytearray(argument))
        elif name == "PROTO":
            if argument > _LATEST:
                raise DamagedError(f"protocol {argument}; 0 to {_LATEST} are known")
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name != "FRAME" and not stack.follow(name, argument):
            self._refuse_opcode(name)

    def _refuse_opcode(self, name: str) -> NoReturn:
        raise InputError(
            f"{self.file} is a pickle with the opcode {name}, which makes an object of a class or reaches "
            "outside the pickle. Only plain containers are read: save a dictionary or a list.",
            code="LX-IMPORT-065",
        )

    def _global(self, argument: str) -> None:
        self._stack.push(self._name(*argument.split(" ", 1)))

    def _stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise DamagedError("a name that is not a string")
        self._stack.push(self._name(module, name))

    def _name(self, module: str, name: str) -> Name:
        text = f"{'builtins' if module in _BUILTINS else module}.{name}"
        if text not in self._builders and text not in self._names and text not in self._objects:
            self.refuse(text)
        return self._named.setdefault(text, Name(text))

    def refuse(self, text: str) -> NoReturn:
        """Raise InputError for a pickle that names `text`, "module.name"."""
        raise InputError(
            f"{self.file} is a pickle that names {shown(text)}, which is not a plain container. Loading it could "
            "run any program, so it is not read. Save a dictionary or a list of strings and numbers, best as JSON.",
            code="LX-IMPORT-066",
        )

    def _reduce(self, _: Any) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        if not isinstance(called, Name) or not isinstance(arguments, tuple):
            raise DamagedError("something is called that cannot be")
        if called.text in self._objects:
            self._stack.make(Instance(called.text, arguments))
            return
        if called.text not in self._builders:
            self.refuse(called.text)
        self._left -= sum(len(one) for one in arguments if isinstance(one, Sized))
        if self._left < 0:
            raise DamagedError("the same values are copied again and again")
        try:
            made = self._builders[called.text](arguments)
        except (ValueError, TypeError, LookupError) as error:
            raise InputError(
                f"{self.file} is a pickle that makes {called.text} of arguments that it never has ({shown(error)}). "
                "It is not read; save the object again.",
                code="LX-IMPORT-067",
            ) from None
        self._stack.make(made)

    def _new_object(self, _: Any) -> None:
        arguments, made = self._stack.pop(), self._stack.pop()
        if not isinstance(made, Name) or made.text not in self._objects or not isinstance(arguments, tuple):
            self._refuse_opcode("NEWOBJ")
        self._stack.make(Instance(made.text, arguments))

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        made = self._stack.values[-1] if self._stack.values else None
        if isinstance(made, Instance) and made.state is None and state is not None:
            made.state = state
            return
        # Attributes of an ordered dictionary, such as the versions of layers that torch notes; they are left out.
        value = self._stack.top(dict)
        if not isinstance(value, OrderedDict) or not isinstance(state, dict):
            raise DamagedError(f"attributes are given to {type(value).__name__}")

    def _persistent_id(self, argument: Any) -> None:
        described = argument if isinstance(argument, str) else self._stack.pop()
        if self._persistent is None:
            raise InputError(
                f"{self.file} is a pickle that refers to values outside of it. Save the whole object in one file.",
                code="LX-IMPORT-068",
            )
        self._stack.push(self._persistent(described))


def _ascii(text: str) -> str:
    """Return a string of Python 2, which may be text or bytes. Raises ValueError unless it is both."""
    if not text.isascii():
        raise ValueError("a string of Python 2 that is not ASCII, which may be in any encoding")
    return text


_STEPS: dict[str, Callable[[PickleReader, Any], None]] = {
    "GLOBAL": PickleReader._global,
    "STACK_GLOBAL": PickleReader._stack_global,
    "REDUCE": PickleReader._reduce,
    "NEWOBJ": PickleReader._new_object,
    "BUILD": PickleReader._build,
    "PERSID": PickleReader._persistent_id,
    "BINPERSID": PickleReader._persistent_id,
}
