"""What a load test shows while it goes on: one line that changes, or, without a terminal, a line now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from .options import print_line, say_to

if TYPE_CHECKING:
    from rich.live import Live

    from ..loadtest.watching import Moment, Watch
    from ..storage.progress import Say

_SECONDS = 30.0  # between two lines without a terminal


@contextmanager
def watching(as_json: bool) -> Iterator[tuple[Say, Watch | None]]:
    """Yield the functions that print a line, and that show how a run goes on; with --json nothing of the latter."""
    from rich.console import Console

    if as_json:
        yield say_to(as_json), None
        return
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if not console.is_interactive:
        yield print_line, _Seldom()
        return
    from rich.live import Live
    from rich.text import Text

    # What goes to stdout stays there: it may be a file while stderr is a terminal.
    with Live(
        Text(), console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as live:
        line = _Line(live)
        yield line.say, line.watch


class _Line:
    """The last line of a terminal, which changes; what is said stands above it."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._lock = Lock()  # runs are watched from another thread

    def say(self, line: str) -> None:
        from rich.text import Text

        with self._lock:
            self._live.update(Text(), refresh=True)
            print_line(line)

    def watch(self, moment: Moment) -> None:
        from ..reports.tables import shown

        text = shown(moment.within(self._live.console.width - 1), "red" if moment.failures else "cyan")
        text.no_wrap, text.overflow = True, "ellipsis"
        with self._lock:
            self._live.update(text, refresh=True)


class _Seldom:
    """A plain line each half minute."""

    def __init__(self) -> None:
        self._printed = time.monotonic()

    def __call__(self, moment: Moment) -> None:
        if time.monotonic() - self._printed >= _SECONDS and moment.left is not None:
            self._printed = time.monotonic()
            print_line(str(moment))
