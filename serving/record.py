"""What a server was given to serve: `deployed.json` in its state folder, which outlives the server.

`serve` without archives brings it back, and `rollback` finds in it which version was the default before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import SystemProblem
from ..storage.atomic import json_bytes, write_file
from . import folders

_SCHEMA = 1
# Defaults of a name that are remembered, the latest first.
_MOST_BEFORE = 20
_MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class Deployed:
    """One version of a model."""

    name: str
    version: str
    source: str
    """The archive that it was deployed from."""
    digest: str
    """Hex SHA-256 of that file, or of the one that would be written of a folder."""
    file: str
    """The copy's name in the server's store."""
    workers: int
    default: bool
    """Whether requests that name no version go to it."""
    store: str = ""
    """The model store that it came from, whose history has what is done with it; "" for an archive beside one."""

    def __str__(self) -> str:
        """Return `NAME VERSION`."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Record:
    """All versions that a server was given."""

    versions: tuple[Deployed, ...] = ()
    before: dict[str, list[str]] = field(default_factory=dict)
    """Versions that were the default of a name before, the latest first."""
    engine: str = "torchserve"
    """The engine that served them last."""
    address: str = ""
    """The address of the Ray cluster that it served them on; "" for none."""

    def of(self, name: str) -> dict[str, Deployed]:
        """Return the versions of a name."""
        return {one.version: one for one in self.versions if one.name == name}

    def default(self, name: str) -> Deployed | None:
        """Return the default version of a name."""
        return next((one for one in self.versions if one.name == name and one.default), None)

    def with_version(self, added: Deployed) -> Record:
        """Return the record with a version more, or with another in its place."""
        kept = [one for one in self.versions if (one.name, one.version) != (added.name, added.version)]
        return replace(self, versions=(*kept, added))

    def without(self, name: str, versions: Iterable[str]) -> Record:
        """Return the record without these versions of a name."""
        gone = set(versions)
        kept = tuple(one for one in self.versions if one.name != name or one.version not in gone)
        before = {**self.before, name: [one for one in self.before.get(name, []) if one not in gone]}
        return replace(self, versions=kept, before=before)

    def with_default(self, name: str, version: str) -> Record:
        """Return the record with another default of a name, the last one remembered."""
        last = self.default(name)
        versions = tuple(
            replace(one, default=one.version == version) if one.name == name else one for one in self.versions
        )
        before = [one for one in self.before.get(name, []) if one != version]
        if last is not None and last.version != version:
            before = [last.version, *(one for one in before if one != last.version)]
        return replace(self, versions=versions, before={**self.before, name: before[:_MOST_BEFORE]})

    def rolled_back(self, name: str, version: str) -> Record:
        """Return the record with an earlier default again, and those after it forgotten."""
        before = self.before.get(name, [])
        changed = self.with_default(name, version)
        return replace(changed, before={**self.before, name: before[before.index(version) + 1 :]})


def save(state_dir: Path, record: Record) -> None:
    """Write the record, which only its owner can read."""
    path = state_dir / folders.DEPLOYED
    write_file(path, json_bytes({"schema": _SCHEMA, **asdict(record)}))
    path.chmod(0o600)


def load(state_dir: Path) -> Record | None:
    """Return the record of a state folder; None if there is none.

    Raises SystemProblem if the folder is not the user's own state folder, or if the file is damaged.
    """
    if not folders.is_ours(state_dir):
        return None
    path = state_dir / folders.DEPLOYED
    try:
        with path.open("rb") as file:
            return _parsed(json.loads(file.read(_MOST_BYTES)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SystemProblem(
            f"{path} cannot be read as what a server was given ({type(error).__name__}: {error}). Remove it, and "
            "name the archives: lexport serve NAME-VERSION.mar",
            code="LX-SERVE-170",
        ) from None


def _parsed(facts: Any) -> Record:
    if facts["schema"] != _SCHEMA:
        raise ValueError(f"its schema is {facts['schema']}, expected {_SCHEMA}")
    versions = tuple(Deployed(**one) for one in facts["versions"])
    kinds = {"workers": int, "default": bool}
    for one in versions:
        for name, value in asdict(one).items():
            if type(value) is not kinds.get(name, str):
                raise ValueError(f"{name} cannot be {str(value)[:100]!r}")
    if not isinstance(facts["before"], dict):
        raise TypeError("before is no object")
    before = {str(name): [str(one) for one in own] for name, own in facts["before"].items()}
    return Record(versions, before, str(facts["engine"]), str(facts.get("address", "")))
