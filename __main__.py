"""The console command: runs the command line and turns errors and signals into one line and an exit code."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
import zipfile
import zlib
from io import TextIOWrapper
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from .messages import last_words
from .messages.escaping import indented, visible, visible_lines
from .messages.output import output

if sys.platform == "win32":  # which has neither the signals nor the file locks that follow
    print("error: lexport's commands need Linux or macOS. On Windows run them in WSL 2.", file=sys.stderr)  # noqa: T201
    sys.exit(3)


class Ended(BaseException):
    """A signal that asks the process to end. Not KeyboardInterrupt: some libraries, Click too, swallow that."""


# What reading damaged or hostile bytes raises, and hardly ever a mistake in lexport. Files are checked where they are
# read, with better words; this is for what those checks have missed.
_DAMAGED = (UnicodeError, json.JSONDecodeError, zipfile.BadZipFile, zlib.error)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []
# Seconds after which to look whether the process is on its way out.
_AGAIN = 0.05


def _note(number: int, frame: FrameType | None) -> None:
    """End at the first signal; the second must not disturb the cleaning up, the third may.

    Wrappers such as `make` and `timeout` pass Ctrl-C on to a process that the terminal has sent it to already.
    """
    _received.append(number)
    if len(_received) == 1:
        _end(number, frame)
    elif len(_received) == 2:
        again = "cleaning up; once more leaves at once"
        os.write(2, f"{last_words.json_line(again) if last_words.is_json() else again}\n".encode())
    else:
        raise Ended


def _end(number: int, frame: FrameType | None) -> None:
    """Unwind everything, but not from where Python cannot be interrupted cleanly: then look again in a moment.

    Look again in any case: C code may drop the exception where Python code that it calls is running, such as a lookup
    of an attribute, and some libraries have a bare `except`.
    """
    if _is_unwinding(sys.exception()):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        return
    while frame:
        if _must_finish(frame):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            return
        frame = frame.f_back
    signal.setitimer(signal.ITIMER_REAL, _AGAIN)
    raise Ended


def _is_unwinding(error: BaseException | None) -> bool:
    """Return whether `error`, which is being handled, is or comes from the end that was asked for.

    A generator that is closed cleans up too; what closes it may be the unwinding.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Ended | GeneratorExit):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _must_finish(frame: FrameType) -> bool:
    """Return whether an exception that is raised in this frame would be swallowed or leave half an object.

    C extensions make an ImportError of one in an import, after which libraries go on without what they wanted to
    import. Python prints and drops one in `__del__`. An `__init__` that it ends leaves an object without its
    attributes, whose `__del__` then fails: zipfile.ZipFile is one.
    """
    code = frame.f_code
    if code.co_filename.startswith("<frozen importlib") or code.co_name == "__del__":
        return True
    return code.co_name == "__init__" and hasattr(type(frame.f_locals.get("self")), "__del__")


def main() -> None:
    """Run a command; exit 0 done, 1 refused, 2 wrong usage or input, 3 environment, 128 + n ended by signal n."""
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup and a script's background jobs ignore some
            signal.signal(number, _note)
    signal.signal(signal.SIGALRM, _end)
    # Our own handler sees to this itself; here it is for whatever other archives TorchServe's workers run.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal or file without, say, Δ or UTF-8 file names
    try:
        code = run(sys.argv[1:])
    except Ended as late:  # the second look of `_end` came while another error was being explained
        code = _explain(late)
    except Exception:
        sys.excepthook = _show_bug  # not before: Typer sets one of its own
        raise
    for number in (*_SIGNALS, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)  # the work is done; Python needs a moment to take itself down
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    # What comes after -- are texts.
    last_words.use_json("--json" in arguments[: arguments.index("--") if "--" in arguments else None])
    output.reset()
    code = _run(arguments)
    # Neither holds for what comes after it in this process.
    last_words.use_json(False)
    output.reset()
    return code


def _run(arguments: list[str]) -> int:
    try:
        from .cli.app import app  # slow; here an interruption of it is caught

        result = app(arguments, prog_name="lexport", standalone_mode=False)
    except BaseException as error:
        if _received:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return _explain(error)
    return result if isinstance(result, int) else 0


def _explain(error: BaseException) -> int:
    """Say in one line why a command ended and return its exit code; raise `error` again if it is a bug."""
    from typer import Abort, BadParameter

    from .errors import LexportError, import_problem

    error = import_problem(error, "This command") or error
    # Click's base of everything that is wrong with a command line; newer Typers bring a Click of their own.
    usage_error = next(kind for kind in BadParameter.__mro__ if kind.__name__ == "ClickException")
    interrupted = isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, KeyboardInterrupt)
    terminated = isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM
    # Whatever a signal's own exception was turned into on its way here.
    if _received or interrupted or terminated:
        number = _received[0] if _received else signal.SIGTERM if terminated else signal.SIGINT
        what = "interrupted" if number == signal.SIGINT else "terminated"
        return _say(f"{what}; everything half-done was removed", 128 + number)
    if isinstance(error, LexportError):
        below = "\n".join(part for part in (error.below, _trace(error)) if part)
        return _say(error.message, error.exit_code, below, name=error.code)
    if isinstance(error, OSError):
        name = f": {error.filename}" if error.filename else ""
        return _say(f"the system says: {error.strerror or error}{name}", 3, _trace(error), name="LX-SYSTEM-001")
    if isinstance(error, usage_error) and not isinstance(error, Abort):
        return _explain_usage(error)
    if _ran_out_of_memory(error):
        asked = f" ({' '.join(str(error).split())[:200]})" if str(error) else ""
        return _say(
            f"there is not enough memory{asked}. Use a machine or a container with more, end other programs, or give "
            "less at once: fewer rows, fewer texts, a smaller model.",
            3,
            name="LX-SYSTEM-002",
        )
    if isinstance(error, _DAMAGED) or _is_nested_too_deeply(error):
        return _say(
            f"what was read is damaged or nested too deeply ({type(error).__name__}: {str(error)[:200]}). Look at "
            "the files that were named, or make them again.",
            2,
            name="LX-SYSTEM-003",
        )
    raise error


def _trace(error: BaseException) -> str:
    """Return the traceback of an error that is explained in a line, if --verbose asks for it."""
    return "".join(traceback.format_exception(error)).rstrip() if output.verbose else ""


def _ran_out_of_memory(error: BaseException) -> bool:
    """Whether memory is lacking: Python's own error, or torch's, which are RuntimeErrors."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator: " in str(error)
    )


def _is_nested_too_deeply(error: BaseException) -> bool:
    """Whether a library that reads files ran out of stack; a recursion of our own code without an end is a bug."""
    if not isinstance(error, RecursionError):
        return False
    trace = traceback.extract_tb(error.__traceback__)
    return not trace or not Path(trace[-1].filename).is_relative_to(Path(__file__).parent)


def _show_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of a bug as Python does, with codes for what a message from outside may hold."""
    text = visible_lines("".join(traceback.format_exception(kind, error, trace)))
    if last_words.is_json():
        text = f"{last_words.json_line(f'{kind.__name__}: {error}', level='error', details=text)}\n"
    sys.stderr.write(text)


def _explain_usage(error: BaseException) -> int:
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split())  # type: ignore[attr-defined]
    if not message:  # the help was printed: no command was named
        return 2
    if context and hasattr(error, "option_name"):
        message = f"{message.removesuffix('.')}{_text_hint(context)}"
    command = context.command_path if context else "lexport"
    return _say(f"{message} See: {command} --help", 2, name="LX-SYSTEM-004")


def _text_hint(context: Any) -> str:
    """What to do if an option that is not understood was meant as a text; "" for commands that take no texts."""
    from .cli.options import TEXT

    names = [one.metavar for one in context.command.params if one.param_type_name == "argument"]
    if TEXT not in names:
        return ""
    before = " ".join([context.command_path, *names[: names.index(TEXT)]])
    return f" (a text that begins with - goes after --: {before} -- '-5 stars')"


def _say(message: str, code: int, below: str = "", *, name: str | None = None) -> int:
    """Print on one line why a command ends, and what belongs below it indented; return its exit code.

    An error has a `name`, "" or the code under which docs/errors.md lists it.
    """
    if last_words.is_json():
        level = "info" if name is None else "error"
        line = last_words.json_line(message, level=level, code=name, exit_code=code, details=visible_lines(below))
    else:
        kind = "" if name is None else f"error[{name}]: " if name else "error: "
        start = "\n" if _received and sys.stderr.isatty() else ""  # below the terminal's ^C
        line = start + visible(kind + message) + (f"\n{indented(below)}" if below else "")
    print(line, file=sys.stderr)  # noqa: T201  (rich would wrap the one line)
    return code


if __name__ == "__main__":
    main()
