"""The archives that a generated file is about, and what of their evidence it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...evaluation.drift import texts_of
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
    labels: Mapping[str, float] = field(default_factory=dict)
    """Share of the held-out texts by predicted label, as metrics name it; none if the evidence has none."""

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
    variant = packed_variant(archive.path)
    texts = texts_of(variant)
    return Model(
        path,
        archive.name,
        archive.version,
        archive.path.stat().st_size,
        archive.made_by_lexport,
        _unknown_share(variant) if texts is None else texts.unknown_share or None,
        {} if texts is None else {label: count / sum(texts.labels.values()) for label, count in texts.labels.items()},
    )


def _unknown_share(variant: Any) -> float | None:
    """Return the share of unknown words in the test texts by earlier evidence; None if it has none."""
    try:
        share = variant["robustness"]["unknown_share"]
    except (KeyError, TypeError):
        return None
    return share if isinstance(share, float) and 0 < share < 1 else None
