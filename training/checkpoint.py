"""Where an unfinished training stands, on disk: so that it can go on after it was killed, to the same weights.

Beside the run folder OUT that training will make lies OUT.training/ while it works, with one file that is replaced
whole: checkpoint.safetensors, the tensors, and as its metadata everything else in JSON. Nothing in it runs code.
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
from safetensors.torch import save
from torch import Tensor

from ..errors import InputError
from ..storage.atomic import clear_leftovers, parents_of, write_file

_FILE = "checkpoint.safetensors"
_SCHEMA = 1


@dataclass(frozen=True)
class Checkpoint:
    """A training between two steps. tensors: by name. values: what JSON can hold."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]


class Checkpoints:
    """The checkpoints of one training, each replacing the one before."""

    def __init__(self, folder: Path, every: float, identity: dict[str, Any]) -> None:
        """`every`: seconds between two. `identity`: what must be equal for a training to go on, as JSON holds it."""
        self._path = folder / _FILE
        self._every = every
        self._identity = identity
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether so many seconds have passed since the last."""
        return time.monotonic() - self._last >= self._every

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the one before; whatever happens meanwhile, one of the two is there, whole."""
        content = json.dumps({"schema": _SCHEMA, "identity": self._identity, "values": checkpoint.values})
        tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
        write_file(self._path, save(tensors, {"lexport": content}))
        self._last = time.monotonic()

    def read(self) -> Checkpoint | None:
        """The last one, or None. Raises InputError if it is damaged or of a training that differs, saying where."""
        if not self._path.is_file():
            return None
        anew = "Add --force instead of --resume to begin anew."
        try:
            with safe_open(self._path, framework="pt") as file:
                content = json.loads(file.metadata()["lexport"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dict)
            schema, identity, values = content["schema"], content["identity"], content["values"]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise InputError(f"{self._path} cannot be read: {error}. {anew}") from None
        if schema != _SCHEMA:
            raise InputError(f"{self._path} has schema {schema}, this version reads {_SCHEMA}. {anew}")
        differing = [name for name, value in self._identity.items() if identity.get(name) != value]
        if differing:
            parts = "; ".join(f"{name}: {_differ(identity.get(name), self._identity[name])}" for name in differing)
            raise InputError(
                f"{self._path} is of another training than this ({parts}). Repeat the options it was begun with, or "
                "add --force instead of --resume to begin anew."
            )
        return Checkpoint(tensors, values)


def _differ(before: Any, now: Any) -> str:
    """Where two values differ, down to the option."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = [name for name in now.keys() | before.keys() if before.get(name) != now.get(name)]
        return ", ".join(f"{name} {_differ(before.get(name), now.get(name))}" for name in sorted(names))
    return f"was {json.dumps(before, ensure_ascii=False)[:80]}, is {json.dumps(now, ensure_ascii=False)[:80]}"


def folder_of(out: Path) -> Path:
    """Where the training that makes the run `out` keeps its checkpoint."""
    return out.with_name(f"{out.name}.training")


def check_resumable(out: Path, *, resume: bool, replace: bool) -> None:
    """Raise InputError if a training of `out` is unfinished, and neither to be resumed nor to be replaced."""
    there = os.path.isfile(folder_of(out) / _FILE)  # noqa: PTH113  (Path's raises where a name is too long)
    if there and not resume and not replace:
        raise InputError(
            f"{folder_of(out)} holds a training of {out} that was not finished. Go on with --resume, or begin anew "
            "with --force."
        )


@contextmanager
def kept(out: Path, *, resume: bool) -> Iterator[Path]:
    """The folder of `out`'s checkpoint, while nobody else trains `out`; gone afterwards.

    If an error or a signal ends the training and a checkpoint is there, it stays: options can be mended. Without
    `resume` one that is there is removed first; with it, what a killed process left half-written is. Raises
    InputError if another process trains `out`.
    """
    folder = folder_of(out)
    with parents_of(folder):
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"Cannot write {folder}: {error.strerror}. Choose another place.") from None
        handle = os.open(folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"Another process is training {out} just now. Choose another --out.") from None
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
