"""The advice of warnings: options of `lexport train`, and the command with them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Options = tuple[tuple[str, str | None], ...]
"""Options of a command: name and value, None for a flag."""

SET, LEAVE_OUT, MAP_LABEL = "--set", "--leave-out", "--map-label"
# Options that depend on the model. With another model only the head's options, and general ones, stay valid.
_OF_A_MODEL = ("--dim", "--vectors")
_KEPT = "head."


TITLES = {
    "LX-WARN-001": "most words are unknown",
    "LX-WARN-002": "most words are new",
    "LX-WARN-003": "labels are unbalanced",
    "LX-WARN-004": "labels look swapped",
    "LX-WARN-005": "the same texts are in training and held out",
    "LX-WARN-006": "nearly all buckets stay unused",
    "LX-WARN-007": "embedding gradients vanish",
    "LX-WARN-008": "no label is predicted for most texts",
    "LX-WARN-009": "one label is predicted for all texts",
    "LX-WARN-010": "labels differ only in spelling",
    "LX-WARN-011": "labels look like the absence of one",
}
"""What each warning is about, by its code. A code never changes its meaning."""


@dataclass(frozen=True)
class Advice:
    """A warning and its advice."""

    code: str
    """One of TITLES."""
    warning: str
    """The text of the warning. It may contain texts of the data."""
    options: Options
    """Options of `lexport train` that follow the advice."""
    before: tuple[str, ...] = ()
    """A command to run first; empty if there is none."""
    details: Mapping[str, int | float | str] = field(default_factory=dict)
    """The numbers in the warning, and names of labels and languages."""

    def to_json(self) -> dict[str, Any]:
        """Return what a run keeps of the warning, without texts of the data."""
        options = [name if value is None else f"{name} {value}" for name, value in self.options]
        return {
            "code": self.code,
            "message": TITLES[self.code],
            "details": dict(self.details),
            "options": options,
        }


@dataclass(frozen=True)
class Command:
    """A `lexport train` command."""

    source: str | Sequence[str]
    """The data it reads."""
    out: Path
    """The run folder it makes."""
    options: Options = ()
    """Its options."""

    @property
    def sources(self) -> list[str]:
        """The data it reads, as arguments."""
        return [self.source] if isinstance(self.source, str) else list(self.source)

    def value(self, name: str) -> str | None:
        """Return the value of an option that is given once; None if it is missing."""
        return dict(self.options).get(name)

    def free(self, folder: Path | None = None) -> Path:
        """Return the first of FOLDER-2, FOLDER-3 … that does not exist; `folder` None means the run folder."""
        folder = folder or self.out
        number = 2
        while (found := folder.with_name(f"{folder.name}-{number}")).exists():
            number += 1
        return found

    def with_all(self, advice: Sequence[Advice]) -> str:
        """Return the command line that follows all of `advice` and makes a run with another name.

        If an option has two values the later one counts. If the advice changes the model, options of the old model
        are left out, except those of the head.
        """
        given = [option for one in advice for option in one.options]
        chosen = [*self.options, *given]
        if any(name == "--model" for name, _ in given):
            chosen = [(name, value) for name, value in chosen if _fits_any_model(name, value)]
        options: dict[str, tuple[str, str | None]] = {}
        for name, value in chosen:
            # These may be given several times.
            key = f"{name} {value.partition('=')[0]}" if name in (SET, LEAVE_OUT, MAP_LABEL) and value else name
            options[key] = (name, value)
        words = ["lexport", "train", *self.sources]
        for name, value in options.values():
            words += [name] if value is None else [name, value]
        words += ["--out", str(self.free())]
        return " && ".join(shlex.join(one) for one in (*(one.before for one in advice if one.before), words))


def _fits_any_model(name: str, value: str | None) -> bool:
    return name not in _OF_A_MODEL and (name != SET or (value or "").startswith(_KEPT))


def setting(option: str, value: object) -> tuple[str, str | None]:
    """Return the `--set` option for a recipe option, such as "head.dropout"."""
    return (SET, f"{option}={value}")
