"""Every error lexport raises on purpose.

    LexportError              exit code
    ├── InputError            2   wrong usage or bad input: a file, a column, an option
    ├── RefusedError          1   a gate, an SLO or a verification said no
    └── SystemProblem         3   the machine: a port, Java, no server, a worker that failed
        └── MissingExtra      3   an optional package is absent; the message has the pip line

The command line prints the error's code and message and exits with the exit code; anything else is a bug and keeps
its traceback. Each place that raises an error has a code of its own, such as LX-DATA-012, which never changes its
meaning; docs/errors.md lists them all.
"""

from __future__ import annotations

import importlib
from typing import Any

from .messages.escaping import indented, visible
from .messages.extras import PACKAGES, install_line


class LexportError(Exception):
    """Base of all deliberate errors; the message says what happened, what was expected and what to do.

    As a string it is one line, whatever values from outside it holds: `escaping.visible` shows them. Lines that
    belong below it, such as a worker's traceback, are given apart and come out indented.
    """

    exit_code = 2
    code = ""
    """The stable name of this error, `LX-AREA-NUMBER`."""

    def __init__(self, message: str = "", below: str = "", *, code: str = "") -> None:
        """`message` is one line; `below`: lines that belong below it; `code`: if not that of the class."""
        super().__init__(*([message, below] if below else [message]))
        self.message, self.below = message, below
        if code:
            self.code = code

    def __str__(self) -> str:
        """The message, control characters shown as codes, and the lines below it."""
        first = visible(self.message)
        return f"{first}\n{indented(self.below)}" if self.below else first


class InputError(LexportError):
    """The user's input or options cannot be used."""

    exit_code = 2


class RefusedError(LexportError):
    """A gate, a service level objective or a verification failed."""

    exit_code = 1


class SystemProblem(LexportError):
    """The environment stands in the way: a port in use, no Java, no server, a worker that died."""

    exit_code = 3


class MissingExtra(SystemProblem):
    """An optional dependency is absent."""

    code = "LX-INSTALL-002"

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        """Name the absent `package`, the lexport `extra` that brings it and the `purpose` it serves."""
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed. Install it with: {install_line(extra)}"
        )

    @classmethod
    def of(cls, module: str, purpose: str) -> MissingExtra:
        """The error for an absent `module`, one of `extras.PACKAGES`."""
        return cls(*PACKAGES[module], purpose)


def import_problem(error: BaseException, purpose: str) -> SystemProblem | None:
    """What it means that an optional package could not be imported for `purpose`; None for any other error.

    MissingExtra where it is not installed, SystemProblem where it is installed and broken.
    """
    name = error.name if isinstance(error, ImportError) and error.name else ""
    module = name.partition(".")[0]
    if module not in PACKAGES:
        return None
    if isinstance(error, ModuleNotFoundError) and name == module:
        return MissingExtra.of(module, purpose)
    package, _ = PACKAGES[module]
    return SystemProblem(
        f"{purpose} needs the package {package}, which is installed but cannot be imported: {error}. "
        f"Install it again with: pip install --force-reinstall {package}",
        code="LX-INSTALL-001",
    )


def import_optional(module: str, purpose: str) -> Any:
    """Import one of `extras.PACKAGES` or a part of it for `purpose`. Raises as `import_problem` says."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        error.name = error.name or module  # a package that finds itself broken need not give its name
        problem = import_problem(error, purpose)
        if problem is None:
            raise
        raise problem from error
