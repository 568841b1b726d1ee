"""The journal of a search: a line of JSON for each run, written as it ends, from which a search goes on."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ...errors import InputError, SystemProblem
from .trials import Task, Trial

NAME = "journal.jsonl"
SCHEMA = 1


class Journal:
    """What was measured so far, by task; it is a `Measure` for the search."""

    def __init__(self, file: TextIO, known: dict[Task, Trial], run: Callable[[Task], Trial]) -> None:
        """Answer tasks from `known`, and others by `run`, whose trials are added to the open `file`."""
        self.spent = 0.0
        self.trials: list[Trial] = []
        """Those of the tasks that were asked for, in order."""
        self._file, self._known, self._run = file, known, run

    def __call__(self, task: Task) -> Trial:
        """Return the trial of a task, run now or by an earlier search."""
        trial = self._known.get(task)
        if trial is None:
            trial = self._run(task)
            self._file.write(json.dumps(trial.as_dict()) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        self.spent += trial.took
        self.trials.append(trial)
        return trial


@contextmanager
def open_journal(
    folder: Path, facts: Mapping[str, Any], run: Callable[[Task], Trial], *, anew: bool = False
) -> Iterator[Journal]:
    """Yield the journal in `folder`, which is made if there is none; with `anew` what it has is forgotten.

    `facts` are what its runs depend on: archives by digest, machine, objectives, loads. Raises InputError if they are
    others than those of the journal that is there, or if that cannot be read; SystemProblem if another search has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemProblem(
                f"Another search writes into {folder} at this moment. Wait for its end, or give another --out.",
                code="LX-LOAD-134",
            ) from None
        file.seek(0)
        head, known = (None, {}) if anew else _read(path, file)
        if head is None:
            file.truncate(0)
            file.write(json.dumps({"schema": SCHEMA, **facts}) + "\n")
            file.flush()
        else:
            _check(folder, head, {"schema": SCHEMA, **facts})
        yield Journal(file, known, run)


def _read(path: Path, file: TextIO) -> tuple[dict[str, Any] | None, dict[Task, Trial]]:
    """Return the first line and the trials; None where nothing whole was written yet.

    A last line without an end, of a search that was killed while it wrote, is cut off.
    """
    try:
        content = file.read()
        whole = content[: content.rfind("\n") + 1]
        lines = [json.loads(line) for line in whole.splitlines()]
        if lines and not isinstance(lines[0], dict):
            raise ValueError("its first line is no object")
        trials = [Trial.parse(line) for line in lines[1:]]
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read as the journal of a search ({type(error).__name__}: {error}). Give another "
            "--out, or begin anew with --force.",
            code="LX-LOAD-135",
        ) from None
    if len(whole) < len(content):
        file.truncate(len(whole.encode()))
    return (lines[0] if lines else None), {trial.task: trial for trial in trials}


def _check(folder: Path, head: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raise InputError if a journal is of other archives, another machine or other questions."""
    now = json.loads(json.dumps(facts))
    differing = sorted(name for name in {*head, *now} if head.get(name) != now.get(name))
    if differing:
        name = differing[0]
        raise InputError(
            f"{folder} has the search of another {name}: {_short(head.get(name))} then, {_short(now.get(name))} now. "
            "What was measured there does not count here; give another --out, or begin anew with --force.",
            code="LX-LOAD-136",
        )


def _short(value: Any) -> str:
    words = value if isinstance(value, str) else json.dumps(value)
    return words if len(words) <= 120 else f"{words[:117]}…"
