"""Which part each text of a run belongs to, kept where the default split does not say it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .dataset import Dataset, dataset_of
from .split_methods import Hashes, parts_at
from .splits import PARTS, SplitOptions, hashes_of, parts_of


@dataclass(frozen=True)
class PartRecord:
    """The parts of a run's texts by the hash of the text (of the image, where there are images)."""

    hashes: Hashes
    """Ascending, uint64 [texts], see `splits.hashes_of`."""
    parts: npt.NDArray[np.uint8]
    """The position in `splits.PARTS` of each, uint8 [texts]."""
    complete: bool
    """Whether it has all texts; otherwise the others are in their usual part, see `splits.parts_of`."""

    @classmethod
    def of(cls, dataset: Dataset, moved: Sequence[int] | None = None) -> PartRecord | None:
        """Record the parts of `dataset`; with `moved` only those of these rows, the others being in their usual one.

        None if there is nothing to record. A text that is in several parts counts for the first of PARTS.
        """
        if moved is not None:
            dataset = dataset.take(moved, dataset.name)
        complete = moved is None
        hashes = hashes_of(dataset)
        parts = np.array([PARTS.index(part) for part in parts_of(dataset)], np.uint8)
        order = np.lexsort((parts, hashes))
        unique, first = np.unique(hashes[order], return_index=True)
        return cls(unique, parts[order][first], complete) if len(unique) else None

    @classmethod
    def with_training(cls, record: PartRecord | None, texts: list[str]) -> PartRecord | None:
        """Return `record` with `texts` that it does not have as training texts; None for none, as in `of`."""
        hashes = hashes_of(dataset_of(texts, [""] * len(texts), ""))
        if record is None or not record.complete:
            usual = np.array(parts_at(hashes, SplitOptions().shares))
            hashes = hashes[usual != PARTS[0]]
        if record is not None:
            hashes = np.concatenate([record.hashes, hashes])
        if not len(hashes):
            return None
        parts = np.zeros(len(hashes), np.uint8)
        if record is not None:
            parts[: len(record.parts)] = record.parts
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], parts[order], record is not None and record.complete)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of it."""
        return hashlib.sha256(b"".join(array.tobytes() for array in self.arrays().values())).hexdigest()

    def parts_of(self, dataset: Dataset) -> list[str]:
        """Return the part of each text; "" for one that the run does not know."""
        hashes = hashes_of(dataset)
        found = [""] * len(dataset) if self.complete else list(parts_of(dataset))
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        for row in np.flatnonzero(self.hashes[places] == hashes).tolist():
            found[row] = PARTS[self.parts[places[row]]]
        return found

    def arrays(self) -> dict[str, npt.NDArray[np.int64] | npt.NDArray[np.uint8]]:
        """Return what a file holds: `hashes` int64, `parts` uint8, `complete` uint8 [1]."""
        return {
            "hashes": self.hashes.view(np.int64),
            "parts": self.parts,
            "complete": np.array([self.complete], np.uint8),
        }

    @classmethod
    def read(cls, arrays: Mapping[str, npt.NDArray[np.int64] | npt.NDArray[np.uint8]]) -> PartRecord:
        """Return the record of `arrays`. Raises KeyError or ValueError for others."""
        hashes = np.ascontiguousarray(arrays["hashes"], np.int64).view(np.uint64)
        parts = np.asarray(arrays["parts"], np.uint8)
        if hashes.shape != parts.shape or not len(hashes) or parts.max() >= len(PARTS):
            raise ValueError("hashes and parts do not belong together")
        return cls(hashes, parts, bool(arrays["complete"][0]))
