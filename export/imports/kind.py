"""What a kind of foreign model is, and what is read of one."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ...evaluation.metrics import Outputs
from ...handlers.text.encoder import TextEncoder
from ...models.compose import TextModel
from ...models.recipes import Recipe

Before = Callable[[Sequence[str]], Outputs]
"""From texts to the outputs of the foreign model: scores float32 [texts, labels], or unit vectors [texts, dim]."""

MAX_TOKENS = 4096
"""Tokens of a text that a run reads, where the foreign model has no limit of its own."""
SCORES_WITHIN = 1e-4
"""The largest difference of a score that is allowed, unless the kind says another."""


# Line breaks, as files in text mode have them, and halves of surrogate pairs, which no UTF-8 has.
_NO_LINE = re.compile("[\n\r\ud800-\udfff]")


@dataclass(frozen=True)
class ImportOptions:
    """What the user says of the foreign model."""

    label_prefix: str = "__label__"
    """What the names of labels begin with in the foreign model; it is left out of the run's labels."""
    vocabulary: Path | None = None
    """A file with the row of each word, or a tokenizer.json, for a model that has none beside it."""
    labels: Path | None = None
    """A file with the labels in the order of the outputs, likewise."""
    tokenizer: str = "basic_english"
    """How the foreign program splits texts, one of `bags.tokenizers.TOKENIZERS`, where its files do not say."""


@dataclass(frozen=True)
class Imported:
    """A foreign model as a run has it."""

    recipe: Recipe
    """What the model is made of; its name is that of the kind."""
    model: TextModel
    """The model with the foreign weights."""
    encoder: TextEncoder
    """How text becomes ids."""
    labels: list[str]
    """Labels in the order of the outputs; none for vectors."""
    before: Before
    """What the foreign model answers."""
    within: float = SCORES_WITHIN
    """The largest difference of a score from the foreign model's that is allowed."""
    notes: Sequence[str] = ()
    """What the user should know of how it was read, in sentences."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What `run.json` keeps of the foreign model, as JSON can hold it."""


class Kind(ABC):
    """A kind of foreign model."""

    NAME: ClassVar[str]
    """Its name for people."""

    @abstractmethod
    def recognise(self, path: Any) -> bool:
        """Return whether `path`, which exists, is of this kind, by its content. Raises nothing."""

    @abstractmethod
    def read(self, path: Any, options: ImportOptions) -> Imported:
        """Read the model. Raises InputError for one that is damaged or cannot be brought in, with the reason."""


def is_line(word: str) -> bool:
    """Return whether a word can be a line of vocabulary.txt. No token of a text is another."""
    return bool(word) and _NO_LINE.search(word) is None


def beginning(path: Path, size: int) -> bytes:
    """Return the first `size` bytes of a file; none of a folder, or of a file that cannot be read."""
    try:
        with path.open("rb") as handle:
            return handle.read(size)
    except OSError:
        return b""
