"""Write a run or an archive as a folder in the layout of the Hub."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...storage import atomic
from ...storage.compression import shown
from ...storage.validation import Invalid
from ...version import __version__
from ..archive.format.unpacked import is_unpacked
from ..archive.inspect import inspect
from ..archive.trust.keys import PublicKey
from .layout import ARCHIVE, ATTRIBUTES, CARD, RECORD, RUN, Record, attributes, front_matter, read_card, with_front


@dataclass(frozen=True)
class HubFolder:
    """A folder that was written."""

    folder: Path
    """The folder."""
    record: Record
    """What lies in it."""
    texts: int
    """Texts of the data in it, that whoever gets the folder can read."""


def push(
    source: Path,
    out: Path,
    *,
    license_id: str | None = None,
    languages: Sequence[str] = (),
    replace: bool = False,
    trusted: Sequence[PublicKey] | None = None,
) -> HubFolder:
    """Write the run folder or the `.mar` at `source` to the new folder `out`; with `replace` an existing one goes.

    `license_id` and `languages` are named in the card, as the Hub writes them (`apache-2.0`, `en`). An archive lies
    there as it is, byte by byte; a run with everything that was exported of it. Raises InputError if `out` cannot be
    made or `source` cannot be read, RefusedError if an archive fails verification.
    """
    if source.is_dir() and is_unpacked(source):
        raise InputError(f"{source} is an unpacked archive. Give the .mar, or a run folder.", code="LX-HUB-005")
    atomic.check_folder(out, replace=replace)
    if source.is_dir():
        return _push_run(source, out, license_id, list(languages), replace)
    return _push_archive(source, out, license_id, list(languages), replace, trusted)


def _push_run(source: Path, out: Path, license_id: str | None, languages: list[str], replace: bool) -> HubFolder:
    from ...models.run import open_run  # which needs torch; an archive does not

    run = open_run(source)
    name = source.resolve().name
    front = front_matter(
        name,
        run.recipe.task,
        run.recipe.name,
        str(run.info.data["name"]),
        run.metrics.get("test", {}),
        license_id=license_id,
        languages=languages or list(run.encoder.languages),
    )
    card = read_card(source)
    with atomic.new_folder(out, replace=replace) as folder:
        files = {}
        for path in sorted(source.rglob("*")):
            inside = path.relative_to(source)
            if not path.is_file() or inside.as_posix() == CARD or any(part.startswith(".") for part in inside.parts):
                continue
            target = folder / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            files[inside.as_posix()] = atomic.sha256_file(target)
        try:
            record = Record(RUN, name, None, __version__, files)
        except Invalid as error:
            raise InputError(
                f"{source} has files that a folder for the Hub cannot have: {error}. Move or rename them.",
                code="LX-HUB-401",
            ) from None
        _finish(folder, record, card, front)
        texts = sum(_lines(folder / f"{part}.jsonl.gz") for part in ("validation", "test"))
    return HubFolder(out, record, texts)


def _push_archive(
    source: Path,
    out: Path,
    license_id: str | None,
    languages: list[str],
    replace: bool,
    trusted: Sequence[PublicKey] | None,
) -> HubFolder:
    found = inspect(source, trusted)
    try:
        run = found.evidence["run"]
        measured = {one["name"]: one for one in found.evidence["variants"]}
        front = front_matter(
            found.name,
            str(run["task"]),
            str(run["recipe"]),
            str(run["data"]["name"]),
            measured.get(found.variant, {}).get("test", {}),
            license_id=license_id,
            languages=languages,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{source} has evidence that does not say what the card of a model needs ({type(error).__name__}: "
            f"{shown(error)}). Make the archive again.",
            code="LX-HUB-901",
        ) from None
    with atomic.new_folder(out, replace=replace) as folder:
        file = f"{found.name}-{found.version}.mar"
        shutil.copyfile(source, folder / file)
        files = {file: atomic.sha256_file(folder / file)}
        record = Record(ARCHIVE, found.name, found.version, __version__, files)
        _finish(folder, record, found.card, front)
    return HubFolder(out, record, found.goldens)


def _finish(folder: Path, record: Record, card: str, front: Mapping[str, Any]) -> None:
    (folder / RECORD).write_bytes(atomic.json_bytes(asdict(record)))
    (folder / CARD).write_bytes(with_front(card, front).encode())
    (folder / ATTRIBUTES).write_bytes(attributes())


def _lines(path: Path) -> int:
    with gzip.open(path, "rb") as handle:
        return sum(1 for _ in handle)
