"""Checkpoints: a training that was killed can continue, and ends with the same weights.

While training makes the run folder OUT there is a folder OUT.training/ beside it with one file,
checkpoint.safetensors. It has the tensors, and as metadata everything else in JSON. Each checkpoint replaces the
whole file. Nothing in it runs code.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import InputError
from ..models.tensor_file import write_tensors
from ..storage.atomic import clear_leftovers, new_file, parents_of

_FILE = "checkpoint.safetensors"
_SCHEMA = 2  # since 2 it has the losses on the training texts and the scores


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training between two steps."""

    tensors: dict[str, Tensor]
    """Tensors by name."""
    values: dict[str, Any]
    """Everything else, as JSON can hold it."""


class Checkpoints:
    """The checkpoints of one training. Each replaces the one before."""

    def __init__(self, folder: Path, every: float, identity: dict[str, Any]) -> None:
        """`every`: seconds between two checkpoints. `identity`: what must be equal to resume, as JSON can hold it."""
        self._path = folder / _FILE
        self._every = every
        self._identity = identity
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether the next checkpoint is due."""
        return time.monotonic() - self._last >= self._every

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the last checkpoint. If this is interrupted, one of the two is there, complete.

        On the CPU this takes no memory for tensors; on a GPU that of the largest.
        """
        content = json.dumps({"schema": _SCHEMA, "identity": self._identity, "values": checkpoint.values})
        with new_file(self._path) as handle:
            write_tensors(handle, checkpoint.tensors, {"lexport": content})
        self._last = time.monotonic()

    def read(self) -> Checkpoint | None:
        """Return the last checkpoint, or None.

        Raises InputError if it is damaged or belongs to a training with other settings, and names these.
        """
        if not self._path.is_file():
            return None
        restart = "Use --force instead of --resume to start again."
        try:
            with safe_open(self._path, framework="pt") as file:
                content = json.loads(file.metadata()["lexport"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dict)
            schema, identity, values = content["schema"], content["identity"], content["values"]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise InputError(f"{self._path} cannot be read: {error}. {restart}", code="LX-TRAIN-001") from None
        if schema != _SCHEMA:
            raise InputError(
                f"{self._path} has schema {schema}, this version reads {_SCHEMA}. {restart}", code="LX-TRAIN-002"
            )
        differing = [name for name, value in self._identity.items() if identity.get(name) != value]
        if differing:
            parts = "; ".join(f"{name}: {_differ(identity.get(name), self._identity[name])}" for name in differing)
            raise InputError(
                f"{self._path} belongs to a training with other settings ({parts}). Use its options, "
                "or use --force instead of --resume to start again.",
                code="LX-TRAIN-003",
            )
        return Checkpoint(tensors, values)


def _differ(before: Any, now: Any) -> str:
    """Describe where two values differ, down to the single option."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = [name for name in now.keys() | before.keys() if before.get(name) != now.get(name)]
        return ", ".join(f"{name} {_differ(before.get(name), now.get(name))}" for name in sorted(names))
    return f"was {json.dumps(before, ensure_ascii=False)[:80]}, is {json.dumps(now, ensure_ascii=False)[:80]}"


def folder_of(out: Path) -> Path:
    """Return the folder for the checkpoint of the training that makes the run `out`."""
    return out.with_name(f"{out.name}.training")


def check_resumable(out: Path, *, resume: bool, replace: bool) -> None:
    """Raise InputError if there is an unfinished training of `out`, and neither `resume` nor `replace` is set."""
    there = os.path.isfile(folder_of(out) / _FILE)  # noqa: PTH113  (Path's raises where a name is too long)
    if there and not resume and not replace:
        raise InputError(
            f"{folder_of(out)} holds an unfinished training of {out}. Continue it with --resume, or start again "
            "with --force.",
            code="LX-TRAIN-004",
        )


@contextmanager
def checkpoint_folder(out: Path, *, resume: bool) -> Iterator[Path]:
    """Context manager: create and lock the checkpoint folder of `out`, and remove it at the end.

    If an error or a signal ends the training, a checkpoint that was written stays, so that the user can fix options
    and resume. Without `resume` an old checkpoint is removed first; with it, only the partly written files of a
    killed process. Raises InputError if another process trains `out`.
    """
    folder = folder_of(out)
    with parents_of(folder):
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(
                f"Cannot write {folder}: {error.strerror}. Choose another place.", code="LX-TRAIN-005"
            ) from None
        handle = os.open(folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    f"Another process is training {out} now. Choose another --out.", code="LX-TRAIN-006"
                ) from None
            clear_leftovers(folder / _FILE)
            if resume:
                clear_leftovers(out)
            else:
                (folder / _FILE).unlink(missing_ok=True)
            try:
                yield folder
            except BaseException:
                if not (folder / _FILE).is_file():
                    shutil.rmtree(folder, ignore_errors=True)
                raise
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)
