"""Something that is done in a thread of its own, at most once a second, and only after there is a reason to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# Least seconds between two times.
INTERVAL = 1.0


class Periodic:
    """The thread, which sleeps while nothing is due and ends with the process."""

    def __init__(self, name: str, action: Callable[[], object]) -> None:
        """Call `action` in a thread of this name, once it is started."""
        self._name = name
        self._action = action
        self._due = threading.Event()

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def note(self) -> None:
        """Have the action called within INTERVAL, after everything that was done before this call."""
        if not self._due.is_set():
            self._due.set()

    def _run(self) -> None:
        while True:
            self._due.wait()
            time.sleep(INTERVAL)
            self._due.clear()
            self._action()
