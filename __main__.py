"""The console command: runs the command line and turns errors into one line and an exit code."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

from typer import Abort, BadParameter

from .errors import LexportError

# Click's base of everything that is wrong with a command line; newer Typers bring a Click of their own.
_UsageError = next(kind for kind in BadParameter.__mro__ if kind.__name__ == "ClickException")


class Terminated(KeyboardInterrupt):
    """SIGTERM: cleaned up like Ctrl-C, but with its own exit code."""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def main() -> None:
    """Run a command; exit 0 done, 1 refused, 2 wrong usage or input, 3 environment, 130 interrupted."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    from .cli import app

    try:
        result = app(arguments, prog_name="lexport", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, Abort) as interruption:
        # Click turns every KeyboardInterrupt into Abort.
        if isinstance(interruption, Terminated) or isinstance(interruption.__cause__, Terminated):
            return _say("terminated; everything half-done was removed", 143)
        return _say("interrupted; everything half-done was removed", 130)
    except LexportError as error:
        return _say(f"error: {error}", error.exit_code)
    except OSError as error:
        name = f": {error.filename}" if error.filename else ""
        return _say(f"error: the system says: {error.strerror or error}{name}", 3)
    except Exception as error:
        if not isinstance(error, _UsageError):
            raise
        error.show()  # type: ignore[attr-defined]
        return 2


def _say(line: str, code: int) -> int:
    print(line, file=sys.stderr)  # noqa: T201  (rich would wrap the one line)
    return code


if __name__ == "__main__":
    main()
