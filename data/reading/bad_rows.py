"""Rows that cannot be read: all of a source are found before any is reported."""

from __future__ import annotations

from ...errors import InputError

_LISTED = 20


class BadRows:
    """The rows that could not be read so far."""

    def __init__(self, allowed: int) -> None:
        """Let `allowed` rows be left out."""
        self.count = 0
        self._allowed = allowed
        self._errors: list[InputError] = []

    def add(self, error: InputError, rows: int = 1) -> None:
        """Note `rows` rows that `error` says cannot be read."""
        self.count += rows
        if len(self._errors) < _LISTED:
            self._errors.append(error)

    def check(self, name: str, rows: int) -> None:
        """Raise InputError if there are more than allowed; `rows`: all rows of the data called `name`.

        One error is raised as it is; several are listed below one.
        """
        if self.count <= self._allowed:
            return
        if len(self._errors) == 1:
            raise self._errors[0]
        below = [error.message for error in self._errors]
        if self.count > len(below):
            below.append("…")
        raise InputError(
            f"{name}: {self.count:,} of {rows:,} rows cannot be read. Fix them, or leave them out with "
            f"--skip-bad-rows {self.count}:",
            "\n".join(below),
            code="LX-DATA-066",
        )
