"""Files written whole or not at all: beside their target first, then renamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError


def json_bytes(value: Any) -> bytes:
    """UTF-8 JSON with two-space indent and a final newline; key order is the caller's, NaN is refused."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content, read in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _prepare_parent(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot create the folder {target.parent}: {error.strerror}.") from None
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"Cannot write {target}: the folder {target.parent} is not writable.")


def write_file(target: Path, content: bytes) -> Path:
    """Write `content` to `target` through a temporary file in the same folder.

    Raises InputError if the folder cannot be created or written.
    """
    _prepare_parent(target)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
    except OSError as error:
        raise InputError(f"Cannot write {target}: {error.strerror}.") from None
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        partial.chmod(0o644)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return target


@contextmanager
def new_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside `target`; on success it becomes `target`, on any error it vanishes.

    Raises InputError if `target` exists and `replace` is false, or if the parent is not writable.
    """
    if target.exists() and not replace:
        raise InputError(f"{target} exists already. Choose another --out or remove it first.")
    _prepare_parent(target)
    try:
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise InputError(f"Cannot write {target}: {error.strerror}.") from None
    try:
        partial.chmod(0o755)
        yield partial
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
            target.replace(old / "was")
            partial.replace(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            partial.replace(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
