"""What a warning advises: options of `lexport train`, and the command with them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Options = tuple[tuple[str, str | None], ...]
"""Options of a command: name and value, None for a flag."""

SET, LEAVE_OUT = "--set", "--leave-out"
# What a model has for itself: with another model only the head's options, and those of no model, still mean the same.
_OF_A_MODEL = ("--dim", "--vectors")
_KEPT = "head."


@dataclass(frozen=True)
class Advice:
    """A warning, and the options of `lexport train` that apply what it advises.

    before: a command to run first.
    """

    warning: str
    options: Options
    before: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """A `lexport train` command: the data it reads, its options and the run it makes."""

    source: str
    out: Path
    options: Options = ()

    def value(self, name: str) -> str | None:
        """The value of an option that is given once; None without it."""
        return dict(self.options).get(name)

    def free(self, folder: Path | None = None) -> Path:
        """The first of FOLDER-2, FOLDER-3 … that is not there; the folder is the run's own unless it is given."""
        folder = folder or self.out
        number = 2
        while (found := folder.with_name(f"{folder.name}-{number}")).exists():
            number += 1
        return found

    def with_all(self, advice: Sequence[Advice]) -> str:
        """The command line that follows all of `advice` at once and makes a run of another name.

        Of two values for one option the later counts. Another model takes no options of the one before, but its
        head's.
        """
        given = [option for one in advice for option in one.options]
        chosen = [*self.options, *given]
        if any(name == "--model" for name, _ in given):
            chosen = [(name, value) for name, value in chosen if _fits_any_model(name, value)]
        options: dict[str, tuple[str, str | None]] = {}
        for name, value in chosen:
            # The two that may be given several times.
            key = f"{name} {value.partition('=')[0]}" if name in (SET, LEAVE_OUT) and value else name
            options[key] = (name, value)
        words = ["lexport", "train", self.source]
        for name, value in options.values():
            words += [name] if value is None else [name, value]
        words += ["--out", str(self.free())]
        return " && ".join(shlex.join(one) for one in (*(one.before for one in advice if one.before), words))


def _fits_any_model(name: str, value: str | None) -> bool:
    return name not in _OF_A_MODEL and (name != SET or (value or "").startswith(_KEPT))


def setting(option: str, value: object) -> tuple[str, str | None]:
    """The option that sets one of a recipe, such as "head.dropout"."""
    return (SET, f"{option}={value}")
