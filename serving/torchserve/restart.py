"""Write TorchServe's settings anew while it runs: its next start serves what has been deployed since."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from ...storage.atomic import write_file
from .. import folders
from ..settings import properties
from ..state import Server


class _Version(Protocol):
    """What is needed of a version."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def workers(self) -> int: ...
    @property
    def default(self) -> bool: ...


def write_models(server: Server, versions: Sequence[_Version]) -> None:
    """Write which files are loaded at the next start, with how many workers; limits of the user's settings stay."""
    path = server.state_dir / folders.SETTINGS
    settings = properties.parse(path.read_text(encoding="utf-8"))
    before: dict[str, dict[str, Any]] = json.loads(settings["models"])
    # The first version of a name that TorchServe loads is its default.
    ordered = sorted(versions, key=lambda one: not one.default)
    models: dict[str, dict[str, Any]] = {}
    for one in ordered:
        limits: dict[str, Any] = next(iter(before.get(one.name, {}).values()), {})
        models.setdefault(one.name, {})[one.version] = {
            **limits,
            "defaultVersion": one.default,
            "marName": one.file,
            "minWorkers": one.workers,
            "maxWorkers": one.workers,
        }
    settings |= {"models": json.dumps(models), "load_models": ",".join(one.file for one in ordered)}
    write_file(path, properties.render(settings, "Made by lexport for one server; changes here are lost.").encode())
