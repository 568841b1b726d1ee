"""Take a run or an archive out of a folder in the layout of the Hub: every file is checked by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from ...errors import InputError, RefusedError
from ...storage import atomic
from ..archive.trust.keys import PublicKey
from ..archive.verify import verify
from .layout import ARCHIVE, CARD, Record, read_card, read_record, without_front

_BLOCK = 1 << 20
_POINTER = b"version https://git-lfs"


def pull(
    folder: Path,
    out: Path,
    *,
    replace: bool = False,
    trusted: Sequence[PublicKey] | None = None,
) -> tuple[Path, Record]:
    """Write the run or the archive in `folder` to `out`, and return where it is and the folder's record.

    A run becomes the new folder `out`, and is opened to see that it is whole; the text of README.md, which may have
    been edited on the Hub, becomes its card. An archive becomes the file `out`, or a file in it if that is a folder;
    with `trusted` keys (None: those that LEXPORT_KEYS names) one of them must have signed it. Raises InputError if
    the folder lacks a file or `out` cannot be made, RefusedError if a file is not the one that was pushed or the
    archive fails verification.
    """
    record = read_record(folder)
    if record.kind == ARCHIVE:
        [name] = record.files
        target = out / name if out.is_dir() else out
        atomic.check_file(target, replace=replace)
        with atomic.new_file(target) as handle:
            _copy(folder, name, record.files[name], handle)
            # The bytes are those of the digest, so that verifying the source verifies the copy.
            verify(folder / name, trusted)
        return target, record
    from ...models.run import open_run  # which needs torch; an archive does not

    with atomic.new_folder(out, replace=replace) as new:
        for name, digest in record.files.items():
            target = new / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as handle:
                _copy(folder, name, digest, handle)
        if (folder / CARD).is_file():
            (new / CARD).write_bytes(without_front(read_card(folder)).encode())
        open_run(new)
    return out, record


def _copy(folder: Path, name: str, digest: str, target: BinaryIO) -> None:
    """Copy a file of the folder to an open one. Raises as `pull` does."""
    found = hashlib.sha256()
    # A pipe or a device never ends.
    if (folder / name).exists() and not (folder / name).is_file():
        raise InputError(
            f"{folder / name} is no file, nor a link to one. Download the folder whole.", code="LX-HUB-900"
        )
    try:
        with (folder / name).open("rb") as source:
            first = source.read(_BLOCK)
            if first.startswith(_POINTER):
                raise InputError(
                    f"{folder / name} is a Git LFS pointer, not the file itself. Fetch the file: git lfs pull, or "
                    "hf download.",
                    code="LX-HUB-006",
                )
            while first:
                found.update(first)
                target.write(first)
                first = source.read(_BLOCK)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{folder / name}: {reason}. Download the folder whole.", code="LX-HUB-007") from None
    if found.hexdigest() != digest:
        raise RefusedError(
            f"{folder / name} is not the file that was pushed: its SHA-256 is {found.hexdigest()}, and lexport.json "
            f"says {digest}. Download it again, or push again what was changed on purpose.",
            code="LX-HUB-008",
        )
