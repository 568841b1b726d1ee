"""A batch of texts with what belongs to each of them, and the numbers of their languages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from .spec import TextError


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


def language_numbers(known: Mapping[str, int], languages: Sequence[str | None] | None, texts: int) -> list[int]:
    """Return the number of each text's language, 0 where the model has none and none is given. Raises TextError."""
    if languages is None:
        languages = [None] * texts
    if len(languages) != texts:
        raise TextError(f"There are {texts} texts and {len(languages)} languages; each text needs one.")
    return [_language_number(known, language) for language in languages]


def _language_number(known: Mapping[str, int], language: str | None) -> int:
    if not known:
        if language is None:
            return 0
        raise TextError(f"The model has one vocabulary for every language; leave the language {language!r} out.")
    if language is None:
        raise TextError(f"The model needs a language with every text, one of: {', '.join(known)}.")
    if language not in known:
        raise TextError(f"The language {language!r} is not known; known are: {', '.join(known)}.")
    return known[language]
