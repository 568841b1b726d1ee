"""Evaluation targets: a trained run, or the variant in an archive. Both return outputs in the same layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.load import Dataset
from ..data.splits import PARTS, parts_of
from ..errors import InputError
from ..evaluation.metrics import Outputs
from ..evaluation.model import OpenedModel
from ..evaluation.tasks import task_of
from ..handlers.model.predictor import Predictor
from ..handlers.text.files import load_encoder
from .archive.format.reader import EVIDENCE
from .archive.format.unpacked import is_unpacked
from .archive.inprocess import LoadedArchive, load_archive
from .archive.trust.keys import PublicKey

if TYPE_CHECKING:
    from ..models.run import Run  # which needs torch; an archive may not


class RunTarget:
    """A run folder as evaluation target."""

    def __init__(self, folder: Path) -> None:
        """Open the run. Raises InputError."""
        from ..models.run import open_run

        self.run: Run = open_run(folder)
        self.task = task_of(self.run.recipe.task, self.run.labels, self.run.threshold)
        self.languages = self.run.encoder.languages
        self.trained_on = str(self.run.info.data["digest"])
        self.trained_name = str(self.run.info.data["name"])
        self.trained_parts = PARTS if "final" in self.run.info.training else PARTS[:1]

    def held_out(self, part: str) -> Dataset:
        """Return the "validation" or "test" texts of the run. Raises InputError."""
        return self.run.held_out(part)

    def parts_of(self, dataset: Dataset) -> list[str]:
        """Return the part of each text in the run's split; "" for one that the run does not know."""
        return self.run.parts_of(dataset)

    def require_parts(self) -> None:
        """Do nothing: a run knows its parts."""

    @property
    def knows_its_texts(self) -> bool:
        """Whether the run recorded all of its texts, so that those of any data are recognized."""
        return self.run.parts is not None and self.run.parts.complete

    def check(self, part: Dataset) -> None:
        """Raise InputError unless `part` has what the model takes."""
        from ..models.run import require_known

        require_known(self.run, part)

    @cached_property
    def predictor(self) -> Predictor:
        """The trained model as what answers requests."""
        from ..evaluation.trained import predictor_of

        return predictor_of(self.run)

    def open_model(self) -> OpenedModel:
        """Return the trained model."""
        from ..models.predict import outputs

        return OpenedModel(lambda part: outputs(self.run.model, self.run.encoder, part), self.run.encoder)


class ArchiveTarget:
    """The variant in an archive as evaluation target, called as clients call it."""

    def __init__(self, path: Path, archived: LoadedArchive) -> None:
        """Read the facts about the model of the loaded archive at `path`. Raises InputError."""
        self._path, self._archived = path, archived
        self.evidence: dict[str, Any] = archived.read(EVIDENCE)
        try:
            described = self.evidence["run"]
            name, threshold = str(described["task"]), float(described["threshold"])
            self.trained_on = str(described["data"]["digest"])
            self.trained_parts = PARTS if described.get("final") else PARTS[:1]
            self._own_split = bool(described["data"].get("split", {}).get("own"))
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{path}: {EVIDENCE} does not name its data. Make the archive again.", code="LX-EXPORT-007"
            ) from None
        # The worker has checked the labels with its goldens.
        self.task = task_of(name, archived.read("labels.json"), threshold)
        self._encoder = load_encoder(archived.folder)
        self.languages = self._encoder.languages
        self.trained_name = ""

    def held_out(self, part: str) -> Dataset:
        """Raise InputError: an archive has no labelled texts."""
        raise InputError(
            f"{self._path} is an archive and has no labelled texts. Name DATA to evaluate it on.",
            code="LX-EXPORT-008",
        )

    knows_its_texts = False

    def parts_of(self, dataset: Dataset) -> list[str]:
        """Return the part of each text; "" where the run had a split of its own, which an archive does not have."""
        return [""] * len(dataset) if self._own_split else parts_of(dataset)

    def require_parts(self) -> None:
        """Raise InputError if the run had a split of its own."""
        if self._own_split:
            raise InputError(
                f"{self._path} does not say which texts were trained on: its run had a split of its own. Evaluate "
                "the run, or leave out --part and give texts that it has not seen.",
                code="LX-EXPORT-081",
            )

    def check(self, part: Dataset) -> None:
        """Do nothing: the worker itself refuses unsuitable input."""

    @property
    def folder(self) -> Path:
        """The folder that the archive is extracted in, while it is open."""
        return self._archived.folder

    @property
    def predictor(self) -> Predictor:
        """What answers in the worker."""
        return self._archived.worker.predictor

    def open_model(self) -> OpenedModel:
        """Return the archive's worker as a model."""
        return OpenedModel(lambda part: self._outputs(self._archived, part), self._encoder)

    def _outputs(self, archived: LoadedArchive, part: Dataset) -> Outputs:
        found = [self._texts(archived, part.texts, part.languages)]
        if part.pairs is not None:
            found.append(self._texts(archived, part.pairs, part.languages))
        if part.images is not None:
            answers = archived.predict_images(part.images.tolist())
            found.append(np.array([answer["vector"] for answer in answers], np.float32))
        return np.concatenate(found)

    def _texts(self, archived: LoadedArchive, texts: list[str], languages: list[str] | None) -> Outputs:
        answers = archived.predict(texts, languages)
        if not self.task.GIVES_SCORES:
            return np.array([answer["vector"] for answer in answers], np.float32)
        return np.array([[answer["scores"][label] for label in self.task.labels] for answer in answers], np.float32)


@contextmanager
def open_target(target: Path, trusted: Sequence[PublicKey] | None) -> Iterator[RunTarget | ArchiveTarget]:
    """Open the run folder or the archive at `target`. Raises as `open_run` and `inprocess.load_archive` do."""
    if target.is_dir() and not is_unpacked(target):
        yield RunTarget(target)
        return
    with load_archive(target, trusted=trusted) as archived:
        yield ArchiveTarget(target, archived)
