"""Find the archive that a command is to use: a file, a model of the store, a folder, or an artefact of a registry."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from ...errors import InputError
from ...export.archive.format.manifest import NAME, VERSION
from ...export.archive.format.unpacked import is_unpacked
from ...export.archive.trust.keys import PublicKey
from ...storage.progress import Say, silent
from ..store import Archive
from ..versions import newest
from .contents import Contents, digest_of, scan
from .oci.reference import SCHEME

_MODEL = re.compile(rf"({NAME.pattern})(?::({VERSION.pattern}))?")


def find_archive(
    source: str,
    *,
    store: Path,
    trusted: Sequence[PublicKey] | None = None,
    plain_http: bool | None = None,
    credentials: str | None = None,
    command: str = "lexport store pull",
    say: Say = silent,
) -> Path:
    """Return the archive that `source` names.

    `source` is one of: a path of a `.mar`, or of a folder that one was unpacked into; a folder of archives of one
    model, whose newest it is; `NAME:VERSION` or `NAME` (the newest) of `store`;
    `oci://REGISTRY/REPOSITORY:TAG` or `…@sha256:…`, which is pulled into `store` first, with the other arguments as
    `pull` has them. A file is preferred to a model of the store, and that to a folder. What is found on this machine
    is not verified here.

    Raises InputError if there is no such archive, if a damaged file may be the one, or if versions have no order, and
    as `pull` does.
    """
    if source.startswith(SCHEME):
        from .oci.artifact import pull

        return pull(
            source,
            store=store,
            trusted=trusted,
            plain_http=plain_http,
            credentials=credentials,
            command=command,
            say=say,
        ).path
    path = Path(source)
    if path.is_file() or is_unpacked(path):
        return path
    model = None if source.endswith(".mar") else _MODEL.fullmatch(source)
    if model is not None and (not path.is_dir() or _has(store, model[1])):
        return _versioned(store, model[1], model[2]) if model[2] else _newest(store, model[1])
    if source and path.is_dir():
        return _of_folder(path)
    raise InputError(
        f"There is no archive {source}. Expected a .mar, NAME:VERSION or NAME of the store {store}, a folder of "
        "archives, or oci://REGISTRY/REPOSITORY:TAG.",
        code="LX-SERVE-158",
    )


def split_model(wanted: str) -> tuple[str, str]:
    """Return the name and the version of `NAME:VERSION`. Raises InputError for anything else."""
    model = _MODEL.fullmatch(wanted)
    if model is None or model[2] is None:
        raise InputError(f"{wanted!r} is not a version of a model. Expected NAME:VERSION.", code="LX-SERVE-155")
    return model[1], model[2]


def absent(contents: Contents, store: Path, wanted: str) -> InputError:
    """Return the error for a model that a store does not have, with what it has."""
    there = sorted(f"{one.name}:{one.version}" for one in contents.archives)
    listed = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
    return InputError(
        f"The store {store} has no {wanted}. It has {listed or 'no archive'}. Add one with: lexport store add "
        f"NAME-1.0.mar --store {shlex.quote(str(store))}",
        code="LX-SERVE-154",
    )


def _has(store: Path, name: str) -> bool:
    return store.is_dir() and any(one.name == name for one in scan(store).archives)


def _of_folder(folder: Path) -> Path:
    names = sorted({one.name for one in scan(folder).archives})
    if len(names) != 1:
        found = f"archives of {', '.join(names)}" if names else "no archive"
        raise InputError(
            f"{folder} holds {found}. Expected a folder with the archives of one model; name the file, or give NAME "
            f"with --store {shlex.quote(str(folder))}.",
            code="LX-SERVE-159",
        )
    return _newest(folder, names[0], every=True)


def _newest(store: Path, name: str, *, every: bool = False) -> Path:
    """Return the newest archive of a name. A damaged file that may be a newer one is not passed over.

    With `every` each damaged file may be, else those whose names begin with the model's.
    """
    contents = scan(store)
    _check_readable(contents, store, name, "" if every else f"{name}-")
    own = [one for one in contents.archives if one.name == name]
    if not own:
        raise absent(contents, store, name)
    try:
        version = newest({one.version for one in own})
    except ValueError as error:
        raise _unclear(store, name, str(error)) from None
    return _only(store, [one for one in own if one.version == version])


def _versioned(store: Path, name: str, version: str) -> Path:
    contents = scan(store)
    own = contents.holding(name, version)
    if not own:
        _check_readable(contents, store, f"{name}:{version}", f"{name}-{version}.mar")
        raise absent(contents, store, f"{name}:{version}")
    return _only(store, own)


def _only(store: Path, archives: Sequence[Archive]) -> Path:
    """Return the path of archives of one version, which must have the same bytes."""
    first, *others = archives
    for other in others:
        if digest_of(first.path) != digest_of(other.path):
            raise _unclear(store, f"{first.name}:{first.version}", f"{other.path} is {first} too, and differs")
    return first.path


def _check_readable(contents: Contents, store: Path, wanted: str, start: str) -> None:
    """Raise InputError for a damaged file whose name begins so, which may be what is wanted."""
    for one in contents.unreadable:
        if one.path.name.startswith(start):
            raise _unclear(store, wanted, f"{one.path.name} may be it and cannot be read ({one.reason})")


def _unclear(store: Path, wanted: str, reason: str) -> InputError:
    return InputError(
        f"Cannot tell which archive of {store} is {wanted}: {reason}. Remove what is wrong, or name the file.",
        code="LX-SERVE-160",
    )
