"""Versions of models by name, one of which answers where a request names none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from .addresses import answers

Version = TypeVar("Version")


class Versions(Generic[Version]):
    """What is known of each version of each name."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._versions: dict[str, dict[str, Version]] = {}
        self._default: dict[str, str] = {}

    def __iter__(self) -> Iterator[tuple[str, str, Version]]:
        """Iterate over name, version and what is known of it, sorted."""
        return iter(
            [(name, version, own[version]) for name, own in sorted(self._versions.items()) for version in sorted(own)]
        )

    @property
    def defaults(self) -> dict[str, str]:
        """Default version by name, sorted by it."""
        return dict(sorted(self._default.items()))

    def put(self, name: str, version: str, known: Version) -> None:
        """Know a version, or something else of it; the first one of a name is its default."""
        self._versions.setdefault(name, {})[version] = known
        self._default.setdefault(name, version)

    def all(self, name: str) -> dict[str, Version]:
        """Return all versions of a name. Raises Failure if there are none."""
        if name not in self._versions:
            raise answers.no_model(name)
        return self._versions[name]

    def find(self, name: str, version: str | None = None) -> Version:
        """Return a version, None: the default one. Raises Failure if it is not here."""
        versions = self.all(name)
        wanted = self._default[name] if version is None else version
        if wanted not in versions:
            raise answers.no_version(name, wanted)
        return versions[wanted]

    def make_default(self, name: str, version: str) -> None:
        """Send requests that name no version to this one. Raises Failure if it is not here."""
        if version not in self.all(name):
            raise answers.no_default(name, version)
        self._default[name] = version

    def remove(self, name: str, version: str) -> None:
        """Forget a version. Raises Failure if it is not here, and for the default one of several."""
        self.find(name, version)
        versions = self._versions[name]
        if len(versions) > 1 and self._default[name] == version:
            raise answers.is_default(name, version)
        del versions[version]
        if not versions:
            del self._versions[name], self._default[name]
