"""Archives on disk: find the newest of each name, and make the verified copies that TorchServe loads."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..export.archive.format.manifest import NAME, VERSION, read_manifest, read_settings
from ..export.archive.format.reader import EVIDENCE, named, open_archive, read_member
from ..export.archive.format.unpacked import is_unpacked
from ..export.archive.format.writer import rewrite
from ..handlers.engine.devices import why_cpu_alone
from ..handlers.model.digests import MANIFEST
from .versions import newest as versions_newest


@dataclass(frozen=True)
class Archive:
    """The properties of a `.mar` that serving needs."""

    path: Path
    name: str
    version: str
    made_by_lexport: bool
    """Workers of such an archive check their goldens and report; other archives are only loaded."""
    workers: int | None = None
    """The number of workers in its settings, which TorchServe obeys before all others; None if they name none."""
    most_workers: int = 0
    """The largest number of workers that its settings name."""
    cpu_alone: str | None = None
    """Why it cannot run on a GPU; None if it can."""
    variant: str | None = None
    """The variant that it was packed with (`onnx-int8`); None where its `model.json` names none."""
    setting_names: tuple[str, ...] | None = None
    """The settings in its own settings file; None if it has no such file."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Those of its settings that are whole numbers."""

    def __str__(self) -> str:
        """Return `NAME VERSION`."""
        return f"{self.name} {self.version}"


def read(path: Path) -> Archive:
    """Read an archive's manifest after the checks of `open_archive`.

    Raises InputError if the file fails them, the manifest names no model, or the settings it names cannot be read.
    """
    with open_archive(path) as archive:
        members = set(archive.namelist())
        manifest = read_manifest(path, archive)
        model = manifest.get("model")
        model = model if isinstance(model, dict) else {}
        settings = read_settings(path, archive, manifest)
        workers, most_workers = _own_workers(path, settings)
        described = _described(read_member(archive, "model.json")) if "model.json" in members else {}
    return Archive(
        path=path,
        name=_identifier(path, "modelName", model.get("modelName"), NAME),
        version=_identifier(path, "modelVersion", model.get("modelVersion", "1.0"), VERSION),
        made_by_lexport=EVIDENCE in members,
        workers=workers,
        most_workers=most_workers,
        cpu_alone=_cpu_alone(described),
        variant=described.get("variant") if isinstance(described.get("variant"), str) else None,
        setting_names=tuple(sorted(map(str, settings))) if model.get("configFile") is not None else None,
        numbers={str(key): value for key, value in settings.items() if type(value) is int},
    )


def newest(model_store: Path) -> dict[str, Path]:
    """Return the archive with the highest version of each model name in a folder, by name.

    Raises InputError if the folder is missing, holds no archive, or holds a damaged one.
    """
    return {name: archive.path for name, archive in _newest(model_store).items()}


def _newest(model_store: Path) -> dict[str, Archive]:
    if not model_store.is_dir():
        raise _no_archive(f"There is no model store {model_store}; expected a folder of .mar files", model_store)
    found = [path for path in model_store.iterdir() if path.suffix == ".mar" or is_unpacked(path)]
    # Hidden files belong to other programs, such as macOS's ._reviews-1.0.mar.
    archives = [read(path) for path in sorted(found) if not path.name.startswith(".")]
    if not archives:
        raise _no_archive(f"The model store {model_store} holds no .mar file", model_store)
    named: dict[str, dict[str, Archive]] = {}
    for archive in archives:
        other = named.setdefault(archive.name, {}).setdefault(archive.version, archive)
        if other is not archive:
            raise InputError(
                f"{other.path} and {archive.path} both contain {archive}. Remove one, or name the one to serve.",
                code="LX-SERVE-022",
            )
    best: dict[str, Archive] = {}
    for name, versions in sorted(named.items()):
        try:
            best[name] = versions[versions_newest(versions)]
        except ValueError as error:
            raise InputError(
                f"The newest archive in {model_store} of {name}: {error}. Name the one to serve: lexport serve "
                f"{model_store}/{name}-VERSION.mar",
                code="LX-SERVE-023",
            ) from None
    return best


def _no_archive(what: str, model_store: Path) -> InputError:
    """Return the error where a store has nothing to serve, with the ways to an archive below it."""
    store = shlex.quote(str(model_store))
    return InputError(
        f"{what}. How to get one:",
        "with an archive that you have:   lexport serve path/to/NAME-1.0.mar\n"
        "from sample data:                lexport demo\n"
        "from labelled texts of yours:    lexport train DATA --out RUN\n"
        "                                 lexport export RUN\n"
        f"                                 lexport archive RUN --version 1.0 --out {store}\n"
        "all in another folder:           lexport serve --model-store DIR",
        code="LX-SERVE-024",
    )


def choose(
    archives: Sequence[Path], model_store: Path | None, say: Callable[[str], None] = lambda line: None
) -> list[Archive]:
    """Return the archives to serve: those named, or the newest of each name in `model_store`.

    Raises InputError if both or neither are given, or if two named archives hold the same model.
    """
    if bool(archives) == (model_store is not None):
        raise InputError("Give either archives or --model-store DIR: lexport serve NAME-1.0.mar", code="LX-SERVE-025")
    chosen = [read(path) for path in archives] if model_store is None else list(_newest(model_store).values())
    seen: dict[str, Archive] = {}
    for archive in chosen:
        if archive.name in seen:
            raise InputError(
                f"{seen[archive.name].path} and {archive.path} both contain the model {archive.name}. Give one of "
                "them, or put both into a folder and use --model-store to serve the newest.",
                code="LX-SERVE-026",
            )
        seen[archive.name] = archive
        if not archive.made_by_lexport:
            say(f"{archive.path.name} was not made by lexport: served as it is, without goldens to check it.")
    return chosen


def place(
    archives: Sequence[Archive], store: Path, accept: Callable[[Path], str], say: Callable[[str], None]
) -> list[str]:
    """Put archives into the new, private folder `store`, and print for each what `accept` says of it.

    Each archive is copied first. `accept` verifies the copy, and the server's file is written again from the copy. So
    exactly the verified content is served, even if the original file changes. Returns the file names in `store`.
    Raises what `accept` raises, InputError for a file that is no longer the archive that was chosen.
    """
    store.mkdir(mode=0o700)
    names = file_names(archives)
    for archive, name in zip(archives, names, strict=True):
        copy = store / f".{name}.copy"
        try:
            if archive.path.is_dir():
                rewrite(archive.path, copy)
            else:
                shutil.copyfile(archive.path, copy)
        except (OSError, shutil.Error) as error:
            raise InputError(f"{archive.path} cannot be read: {error}.", code="LX-SERVE-027") from None
        with named(archive.path, copy):
            if replace(read(copy), path=archive.path) != archive:
                raise InputError(f"{copy} changed after it was chosen. Run the command again.", code="LX-SERVE-028")
            reason = accept(copy)
            rewrite(copy, store / name)
        copy.unlink()
        say(f"{archive}: {reason}.")
    return names


def file_names(archives: Sequence[Archive]) -> list[str]:
    """Return the names of archives in a server's store."""
    names: list[str] = []
    for archive in archives:
        name = f"{archive.name}-{archive.version}.mar"
        while name in names:  # a-1 in version 0 and a in version 1-0
            name = f"_{name}"
        names.append(name)
    return names


def _identifier(path: Path, what: str, value: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        signs = "'.', '_', '-' and '+'" if pattern is VERSION else "'.', '_' and '-'"
        raise InputError(
            f"{path}: {MANIFEST} has {what} {value!r}. Expected only letters, digits, {signs}.", code="LX-SERVE-029"
        )
    return value


def _described(model: bytes) -> dict[str, Any]:
    """Return the values of an archive's `model.json`; {} where it is not as lexport writes it."""
    try:
        values = json.loads(model)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _cpu_alone(described: Mapping[str, Any]) -> str | None:
    """Return why an archive made by lexport does not run on a GPU; None where its `model.json` does not say."""
    try:
        return why_cpu_alone(str(described["variant"]), described["precision"])
    except (ValueError, TypeError, KeyError):
        return None


def _own_workers(path: Path, settings: Mapping[str, Any]) -> tuple[int | None, int]:
    """Return the number of workers that TorchServe takes from an archive's settings, and the largest that they name.

    TorchServe's rule: minWorkers (1, if it is less) counts unless maxWorkers is smaller or not there. Raises
    InputError for numbers that need more than 32 bits.
    """
    named = {key: settings[key] for key in ("minWorkers", "maxWorkers") if type(settings.get(key)) is int}
    if any(abs(number) >= 2**31 for number in named.values()):
        raise InputError(
            f"{path}: its settings have {' or '.join(named)} beyond 2,147,483,647. Archive it again.",
            code="LX-SERVE-030",
        )
    least, most = max(1, named.get("minWorkers", 1)), named.get("maxWorkers", 0)
    return least if "minWorkers" in named and most >= least else None, max(0, *named.values(), 0)
