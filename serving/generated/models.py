"""The archives that a generated file is about, and what of their evidence it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ..folders import STORE
from ..monitoring.reference import packed_variant
from ..state import Server
from ..store import Archive, choose


@dataclass(frozen=True)
class Model:
    """One archive."""

    path: Path
    """Where it lies, as it was given; only its file name where a running server has told of it."""
    name: str
    version: str
    size: int
    """Bytes of the archive."""
    made_by_lexport: bool
    unknown_share: float | None = None
    """Share of the words of held-out texts that are not in the vocabulary, by its evidence; None if it has none."""

    def __str__(self) -> str:
        """Return `NAME VERSION`."""
        return f"{self.name} {self.version}"


def models_of(archives: Sequence[Path], model_store: Path | None) -> tuple[Model, ...]:
    """Return the models of archives, or the newest of each name in a folder.

    Raises InputError for what is no archive, or an unpacked one, and if both or neither are given.
    """
    found = choose(archives, model_store)
    for one in found:
        if one.path.is_dir():
            raise InputError(
                f"{one.path} is a folder. Expected a packed archive, which is one file to copy: zip its contents, "
                "or pack it with lexport archive.",
                code="LX-SERVE-133",
            )
    return tuple(_model(one, one.path) for one in found)


def models_of_server(server: Server) -> tuple[Model, ...]:
    """Return the models that a running server serves."""
    found = choose((), server.state_dir / STORE)
    return tuple(_model(one, Path(one.path.name)) for one in found)


def _model(archive: Archive, path: Path) -> Model:
    return Model(
        path,
        archive.name,
        archive.version,
        archive.path.stat().st_size,
        archive.made_by_lexport,
        _unknown_share(archive.path),
    )


def _unknown_share(archive: Path) -> float | None:
    """Return the share of unknown words that the evidence has of the packed variant; None if it has none."""
    variant = packed_variant(archive)
    try:
        share = variant["robustness"]["unknown_share"]
    except (KeyError, TypeError):
        return None
    return share if isinstance(share, float) and 0 < share < 1 else None
