"""The archives of a server: those in its private store, and the folders that they are extracted into."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from ....errors import LexportError
from ....export.archive.format.reader import extract
from ... import folders
from ...store import read
from ..addresses import answers
from .orders import Orders
from .registry import Served


class Archives:
    """The store of one server."""

    def __init__(self, orders: Orders) -> None:
        """Serve from the store in the server's state folder."""
        self._store = orders.server.state_dir / folders.STORE
        self._folder = orders.server.run_dir / "models"
        self._gpu = orders.gpus > 0
        self._extracted = 0
        self._restoring = Lock()

    def path_of(self, file: str) -> Path:
        """Return an archive of the store. Raises Failure, with TorchServe's words, if there is none."""
        if not file:
            raise answers.not_found_at("empty url")
        if ".." in file:
            raise answers.not_found_at(f"Relative path is not allowed in url: {file}")
        if "://" in file:
            raise answers.not_found_at(f"Given URL {file} does not match any allowed URL(s)")
        path = self._store / file
        if Path(file).name != file or not path.is_file():
            raise answers.not_found_at(f"Model not found at: {file}")
        return path

    def unused(self, served: Collection[tuple[str, str]]) -> list[tuple[str, str, str]]:
        """Return file, name and version of each archive that is not among the (name, version) that are served."""
        found = []
        for path in sorted(self._store.glob("*.mar")):
            with suppress(LexportError):  # a damaged one is none
                archive = read(path)
                if (archive.name, archive.version) not in served:
                    found.append((path.name, archive.name, archive.version))
        return found

    def extract(self, file: str, name: str | None, options: Mapping[str, Any]) -> Served:
        """Extract an archive of the store, whose digests are checked then; to be served as `name`, None: its own.

        `options` are further values of `Served`. Raises LexportError.
        """
        path = self._store / file
        archive = read(path)
        self._extracted += 1
        folder = self._folder / f"{self._extracted}-{archive.name}-{archive.version}"
        _extract_whole(path, folder)
        return Served(
            name=name or archive.name, version=archive.version, url=file, folder=folder, gpu=self._gpu, **options
        )

    def restore(self, served: Served) -> None:
        """Extract an archive again if its folder was removed, by a cleaner of old files for example.

        Raises LexportError if the archive is no longer in the store, or fails verification.
        """
        with self._restoring:  # several processes may be starting
            if not served.folder.is_dir():
                _extract_whole(self._store / served.url, served.folder)


def _extract_whole(path: Path, folder: Path) -> None:
    """Extract an archive into a new folder, which is there when it is complete."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        extract(path, partial)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
