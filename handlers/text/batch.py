"""A batch of texts with what belongs to each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts or images, or both side by side; whatever belongs to a row is cut with it."""

    texts: Sequence[str] = ()
    languages: Sequence[str] | None = None
    """The language of each text, where the model has several."""
    images: npt.NDArray[Any] | None = None
    """The images, float32 [images, values], for a joint model."""

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: slice) -> Batch:
        return Batch(
            self.texts[rows],
            None if self.languages is None else self.languages[rows],
            None if self.images is None else self.images[rows],
        )

    def take(self, rows: Sequence[int]) -> Batch:
        """Return the batch of these rows, in that order."""
        return Batch(
            [self.texts[row] for row in rows],
            None if self.languages is None else [self.languages[row] for row in rows],
            None if self.images is None else self.images[rows],
        )

    def pieces(self, size: int) -> Iterator[Batch]:
        """Yield batches of at most `size` rows, in order."""
        for first in range(0, len(self), size):
            yield self[first : first + size]
