"""What exits know of an archive: its model, labels, goldens and settings, read from the extracted members."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from ...errors import InputError
from ...handlers.model.decoders import DECODERS
from ...handlers.model.goldens import Golden, read_goldens
from ...handlers.model.predictor import ModelFile
from ...handlers.text.files import load_spec
from ..formats.files import GOLDENS, MODEL, REQUIREMENTS

FOLDER = "model"
"""The folder in an exit that holds the archive's members, as they were packed."""


@dataclass(frozen=True)
class Packed:
    """An archive whose members lie in a folder."""

    model: ModelFile
    """Its `model.json`."""
    labels: tuple[str, ...]
    """The labels in the order of the scores; none of vector models."""
    languages: tuple[str, ...]
    """Names of the languages; none where a model has no languages."""
    goldens: tuple[Golden, ...]
    """The requests whose answers are known."""
    needs: tuple[str, ...]
    """Lines `package==version` that its code was measured with."""
    batch: int
    """The most requests of a batch, by its settings."""
    delay: float
    """Seconds for which a batch may wait for more requests, by its settings."""

    @property
    def takes_text(self) -> bool:
        """Whether the model file takes texts itself."""
        return self.model.takes == "text"

    @property
    def gives_scores(self) -> bool:
        """Whether an answer has a score for each label."""
        return DECODERS[self.model.task].GIVES_SCORES

    @property
    def takes_images(self) -> bool:
        """Whether the model answers images too."""
        return DECODERS[self.model.task].TAKES_IMAGES

    @property
    def dim(self) -> int:
        """Number of components of a vector; 0 where answers have none."""
        return max((len(golden.variant.get("vector", ())) for golden in self.goldens), default=0)


def read_packed(folder: Path) -> Packed:
    """Return the facts of an archive extracted into `folder`, which was verified.

    Raises InputError if a member cannot be read.
    """
    try:
        model = ModelFile(**json.loads((folder / MODEL).read_text(encoding="utf-8")))
        settings = yaml.safe_load((folder / "model-config.yaml").read_text(encoding="utf-8"))
        return Packed(
            model=model,
            labels=tuple(json.loads((folder / "labels.json").read_text(encoding="utf-8"))),
            languages=tuple(load_spec(folder).languages),
            goldens=tuple(read_goldens(folder / GOLDENS)),
            needs=tuple((folder / REQUIREMENTS).read_text(encoding="utf-8").splitlines()),
            batch=int(settings.get("batchSize", 1)),
            delay=float(settings.get("maxBatchDelay", 0)) / 1000,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"The archive's members cannot be read: {error}. Make the archive again.", code="LX-EXPORT-100"
        ) from error
