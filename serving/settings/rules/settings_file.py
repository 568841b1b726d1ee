"""A config.properties as TorchServe reads it, and the form in which the rules say what they found in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from packaging.version import Version

from ..properties import Entry
from .catalogue import DEFAULTS

DANGER, NOTE, OK = "danger", "note", "ok"
FIRST_WITH_TOKENS = Version("0.11.1")
"""The first TorchServe that asks for tokens, and with the model API off, unless told otherwise."""
_SECRET = {"keystore_pass"}
_VARIABLE = re.compile(r"\$\$([^$]+[^$])\$\$")


@dataclass(frozen=True)
class SettingFinding:
    """What one setting, or the lack of it, or a known weakness with these settings, means."""

    setting: str
    """Its name, or the number of an advisory such as CVE-2023-43654."""
    level: str
    """`danger`: somebody else can run code, read what is not theirs or stop the service, or it stops by itself;
    `note`: worth knowing; `ok`: closed."""
    found: str
    """The value that applies."""
    danger: str = ""
    """What can happen; empty if the level is `ok`."""
    fix: str = ""
    """What to set instead."""
    line: int | None = None
    """The line of the file; None if the file does not have the setting."""


@dataclass(frozen=True)
class SettingsFile:
    """The settings of a file, and the TorchServe that will read them."""

    entries: tuple[Entry, ...]
    """In their order, repeated ones too."""
    version: Version
    """Of TorchServe."""
    path: Path | None = None

    @cached_property
    def values(self) -> Mapping[str, str]:
        """The last value of each setting that is there, which is the one that Java takes."""
        return {entry.key: entry.value for entry in self.entries}

    def get(self, name: str) -> str:
        """Return the value that applies, TorchServe's own where the file has none, "" where that has none either."""
        return self.values.get(name, DEFAULTS.get(name, ""))

    def is_on(self, name: str) -> bool:
        """Return whether TorchServe takes a setting for true: Java neither strips blanks nor knows `yes` or `1`."""
        return self.get(name).lower() == "true"

    def variables(self, name: str) -> list[str]:
        """Return the environment variables that a value is made of, written as $$NAME$$."""
        return _VARIABLE.findall(self.values.get(name, ""))

    def has_tokens(self) -> bool:
        """Return whether requests need a token."""
        return self.version >= FIRST_WITH_TOKENS and not self.is_on("disable_token_authorization")

    def danger(self, name: str, danger: str, fix: str) -> SettingFinding:
        """Return a danger of a setting."""
        return self._finding(name, DANGER, danger, fix)

    def note(self, name: str, danger: str, fix: str) -> SettingFinding:
        """Return something worth knowing of a setting."""
        return self._finding(name, NOTE, danger, fix)

    def ok(self, name: str) -> SettingFinding:
        """Return that a setting leaves nothing open."""
        return self._finding(name, OK, "", "")

    def _finding(self, name: str, level: str, danger: str, fix: str) -> SettingFinding:
        lines = [entry.line for entry in self.entries if entry.key == name]
        return SettingFinding(name, level, self.shown(name), danger, fix, lines[-1] if lines else None)

    def shown(self, name: str) -> str:
        """Return the value that applies in words; a password is not shown."""
        if name in self.values:
            return "a password" if name in _SECRET else self.values[name] or "empty"
        return f"not set: {DEFAULTS[name]}" if name in DEFAULTS else "not set"
