"""Archives on disk: checked before TorchServe sees them, newest of each name, placed into a private store."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from ..export.budgets import CONFIG_BYTES
from ..export.reader import EVIDENCE, open_archive, read_member
from ..handlers.devices import why_cpu_alone
from ..handlers.digests import MANIFEST
from .versions import newest as versions_newest

# What can be a part of a URL and of a file name without quoting.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Archive:
    """What serving needs to know of a `.mar`."""

    path: Path
    name: str
    version: str
    proven: bool
    """Made by lexport: its workers check their goldens and report; others only load."""
    workers: int | None = None
    """The number of workers the archive itself insists on, if it does."""
    cpu_alone: str | None = None
    """Why it does not run on a GPU, if it does not."""

    def __str__(self) -> str:
        """`NAME VERSION`."""
        return f"{self.name} {self.version}"


def read(path: Path) -> Archive:
    """Read an archive's manifest after the checks of `open_archive`.

    Raises InputError if the file fails them or the manifest names no model.
    """
    with open_archive(path) as archive:
        members = set(archive.namelist())
        manifest = _json_object(path, read_member(archive, MANIFEST) if MANIFEST in members else None)
        model = manifest.get("model")
        model = model if isinstance(model, dict) else {}
        config = model.get("configFile")
        own = None
        if isinstance(config, str) and config in members:
            own = _own_workers(read_member(archive, config, CONFIG_BYTES))
        cpu_alone = _cpu_alone(read_member(archive, "model.json")) if "model.json" in members else None
    return Archive(
        path=path,
        name=_identifier(path, "modelName", model.get("modelName")),
        version=_identifier(path, "modelVersion", model.get("modelVersion", "1.0")),
        proven=EVIDENCE in members,
        workers=own,
        cpu_alone=cpu_alone,
    )


def newest(model_store: Path) -> dict[str, Path]:
    """The archive with the highest version of each model name in a folder, by name.

    Raises InputError if the folder is missing, holds no archive, or holds a damaged one.
    """
    return {name: archive.path for name, archive in _newest(model_store).items()}


def _newest(model_store: Path) -> dict[str, Archive]:
    if not model_store.is_dir():
        raise InputError(f"There is no model store {model_store}. Expected a folder that holds .mar files.")
    # Hidden ones are other programs' own, such as macOS's ._reviews-1.0.mar.
    archives = [read(path) for path in sorted(model_store.glob("*.mar")) if not path.name.startswith(".")]
    if not archives:
        raise InputError(
            f"The model store {model_store} holds no .mar file. "
            f"Make one with: lexport archive RUN --version 1.0 --out {model_store}"
        )
    named: dict[str, dict[str, Archive]] = {}
    for archive in archives:
        other = named.setdefault(archive.name, {}).setdefault(archive.version, archive)
        if other is not archive:
            raise InputError(
                f"{other.path} and {archive.path} both hold {archive}. Remove one, or name the one to serve."
            )
    best: dict[str, Archive] = {}
    for name, versions in sorted(named.items()):
        try:
            best[name] = versions[versions_newest(versions)]
        except ValueError as error:
            raise InputError(
                f"The newest archive in {model_store} of {name}: {error}. Name the one to serve: lexport serve "
                f"{model_store}/{name}-VERSION.mar"
            ) from None
    return best


def choose(
    archives: Sequence[Path], model_store: Path | None, say: Callable[[str], None] = lambda line: None
) -> list[Archive]:
    """The archives to serve: those named, or the newest of each name in `model_store`.

    Raises InputError if both or neither are given, or if two named archives hold the same model.
    """
    if bool(archives) == (model_store is not None):
        raise InputError("Give either archives or --model-store DIR: lexport serve NAME-1.0.mar")
    chosen = [read(path) for path in archives] if model_store is None else list(_newest(model_store).values())
    seen: dict[str, Archive] = {}
    for archive in chosen:
        if archive.name in seen:
            raise InputError(
                f"{seen[archive.name].path} and {archive.path} both hold the model {archive.name}. Give one of "
                "them, or put both into a folder and use --model-store to serve the newest."
            )
        seen[archive.name] = archive
        if not archive.proven:
            say(f"{archive.path.name} was not made by lexport: served as it is, without goldens to prove it.")
    return chosen


def place(archives: Iterable[Archive], store: Path) -> list[str]:
    """Put archives into the private folder `store`, hard-linked where possible; their file names there."""
    store.mkdir(mode=0o700)
    names = []
    for archive in archives:
        name = f"{archive.name}-{archive.version}.mar"
        try:
            os.link(archive.path.resolve(), store / name)
        except OSError:  # another file system, or one without links
            shutil.copyfile(archive.path, store / name)
        names.append(name)
    return names


def _json_object(path: Path, content: bytes | None) -> dict[str, Any]:
    if content is None:
        raise InputError(f"{path} has no {MANIFEST}. Expected an archive made by lexport or torch-model-archiver.")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError(f"{path}: {MANIFEST} is not a JSON object. Make the archive again.")
    return value


def _identifier(path: Path, what: str, value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InputError(
            f"{path}: {MANIFEST} has {what} {value!r}. Expected letters, digits, '.', '_' and '-' alone."
        )
    return value


def _cpu_alone(model: bytes) -> str | None:
    """Why an archive made by lexport does not run on a GPU; None where its `model.json` does not say."""
    try:
        values = json.loads(model)
        return why_cpu_alone(str(values["variant"]), values["precision"])
    except (ValueError, RecursionError, TypeError, KeyError):
        return None


def _own_workers(config: bytes) -> int | None:
    """TorchServe's rule: an archive's minWorkers counts if it is positive and maxWorkers is not smaller."""
    try:
        settings = yaml.safe_load(config)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return None
    settings = settings if isinstance(settings, dict) else {}
    least, most = settings.get("minWorkers", 0), settings.get("maxWorkers", 0)
    return least if isinstance(least, int) and isinstance(most, int) and most >= least > 0 else None
