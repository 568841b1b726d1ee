"""Recipes: a TOML file each, naming the three parts of a model, its text options and its training options."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from typing import Any, TypeVar

from ...errors import InputError
from ..embeddings import TableOptions
from ..encoders import BagOptions
from ..heads import ClassifierOptions

_PARTS = {"embedding": "table", "encoder": "bag", "head": "classifier"}
_Options = TypeVar("_Options")


@dataclass(frozen=True)
class TextOptions:
    """ngrams: longest n-gram in words. buckets: rows that n-grams are hashed into.

    max_tokens: a longer text is cut. min_count, max_vocabulary: which words get a row of their own.
    """

    ngrams: int = 1
    buckets: int = 0
    max_tokens: int = 1024
    min_count: int = 2
    max_vocabulary: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that make no vocabulary."""
        if self.min_count < 1:
            raise ValueError(f"text: min_count={self.min_count} must be at least 1.")
        if self.max_vocabulary is not None and self.max_vocabulary < 1:
            raise ValueError(f"text: max_vocabulary={self.max_vocabulary} must be at least 1.")


@dataclass(frozen=True)
class TrainingOptions:
    """epochs: at most. patience: epochs without a better validation loss before training stops.

    learning_rate: Adam's. word_dropout: share of words that a training step replaces by an unseen one.
    """

    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 0.002
    word_dropout: float = 0.1
    patience: int = 4

    def __post_init__(self) -> None:
        """Refuse numbers that train nothing."""
        if self.epochs < 1 or self.batch_size < 1 or self.patience < 1 or self.learning_rate <= 0:
            raise ValueError(
                f"training: epochs={self.epochs}, batch_size={self.batch_size}, patience={self.patience} must be "
                f"at least 1 and learning_rate={self.learning_rate} above 0."
            )
        if not 0 <= self.word_dropout < 1:
            raise ValueError(f"training: word_dropout={self.word_dropout} must be at least 0 and below 1.")


@dataclass(frozen=True)
class Recipe:
    """Everything `train` needs beside the data. when: one line on when to use it."""

    name: str
    when: str
    text: TextOptions
    embedding: TableOptions
    encoder: BagOptions
    head: ClassifierOptions
    training: TrainingOptions

    def changed(self, section: str, **options: Any) -> Recipe:
        """A copy with those options of one section that are not None. Raises InputError."""
        given = {name: value for name, value in options.items() if value is not None}
        try:
            return replace(self, **{section: replace(getattr(self, section), **given)})
        except ValueError as error:
            raise InputError(str(error)) from None


def names() -> list[str]:
    """The shipped recipes, sorted."""
    return sorted(entry.name[:-5] for entry in resources.files(__name__).iterdir() if entry.name.endswith(".toml"))


def load(name: str) -> Recipe:
    """A shipped recipe. Raises InputError naming those there are."""
    if name not in names():
        raise InputError(f"There is no recipe {name!r}; --model takes one of: {', '.join(names())}.")
    return parse(name, (resources.files(__name__) / f"{name}.toml").read_text(encoding="utf-8"))


def restore(values: Mapping[str, Any]) -> Recipe:
    """The recipe that `dataclasses.asdict` made these values of. Raises TypeError or ValueError."""
    return Recipe(
        name=values["name"],
        when=values["when"],
        text=TextOptions(**values["text"]),
        embedding=TableOptions(**values["embedding"]),
        encoder=BagOptions(**values["encoder"]),
        head=ClassifierOptions(**values["head"]),
        training=TrainingOptions(**values["training"]),
    )


def parse(name: str, content: str) -> Recipe:
    """A recipe from TOML. Raises InputError naming the section and what is off in it."""
    try:
        sections = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"Recipe {name}: not valid TOML: {error}.") from None
    for section, part in _PARTS.items():
        named = sections.get(section, {}).pop("name", part)
        if named != part:
            raise InputError(f"Recipe {name}: {section} {named!r} is not known; there is {part!r}.")
    recipe = Recipe(
        name,
        str(sections.pop("when", "")),
        _options(name, "text", sections, TextOptions),
        _options(name, "embedding", sections, TableOptions),
        _options(name, "encoder", sections, BagOptions),
        _options(name, "head", sections, ClassifierOptions),
        _options(name, "training", sections, TrainingOptions),
    )
    if sections:
        raise InputError(f"Recipe {name}: unknown sections: {', '.join(sections)}.")
    return recipe


def _options(recipe: str, section: str, sections: dict[str, Any], kind: type[_Options]) -> _Options:
    values = sections.pop(section, {})
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(
            f"Recipe {recipe}, [{section}]: unknown options: {', '.join(unknown)}; known are: {', '.join(known)}."
        )
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise InputError(f"Recipe {recipe}, [{section}]: {error}") from None
