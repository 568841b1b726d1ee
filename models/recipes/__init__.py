"""Recipes: a TOML file each, naming the three parts of a model, its text options and its training options."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from ...errors import InputError
from ...handlers.text.spec import Layout
from ...messages.nearest import did_you_mean
from ...storage.progress import Say, silent
from ...storage.validation import Invalid, build, problems_of, raise_any
from ..embeddings import EMBEDDINGS, EmbeddingOptions
from ..embeddings.buckets import AUTO
from ..encoders import ENCODERS, EncoderOptions
from ..heads import HEADS, HeadOptions
from .gates import GateOptions
from .options import TextOptions, TrainingOptions

__all__ = ["GateOptions", "Recipe", "TextOptions", "TrainingOptions", "load", "names", "parse", "restore", "toml"]

PARTS: dict[str, Mapping[str, type[Any]]] = {"embedding": EMBEDDINGS, "encoder": ENCODERS, "head": HEADS}
"""What a recipe may name in each section; the first is what an unnamed one means."""

_PLAIN: dict[str, type[Any]] = {"text": TextOptions, "training": TrainingOptions, "gates": GateOptions}

_Options = TypeVar("_Options")


@dataclass(frozen=True)
class Recipe:
    """Everything that `train` needs besides the data; `when` says in one line when to use it."""

    name: str
    when: str
    text: TextOptions
    embedding: EmbeddingOptions
    encoder: EncoderOptions
    head: HeadOptions
    training: TrainingOptions
    gates: GateOptions = field(default_factory=GateOptions)

    def __post_init__(self) -> None:
        """Raise ValueError for parts that do not match."""
        problems: list[str] = []
        if self.text.grams and self.encoder.IN_ORDER:
            problems.append(
                f"text: the encoder {self.encoder.NAME!r} reads words in order and cannot use n-grams "
                f"and subwords; set ngrams = 1 and no subwords, or use the encoder 'bag'."
            )
        by_characters = self.inputs is Layout.CHARACTERS
        if by_characters and self.text.grams:
            problems.append(
                f"text: the embedding {self.embedding.NAME!r} reads every word by its characters and has no vectors "
                f"for n-grams or subwords; set ngrams = 1 (it is {self.text.ngrams}) and no subwords."
            )
        if by_characters != (self.text.word_length > 0):
            problems.append(
                f"text: word_length={self.text.word_length}: only the embedding 'char_cnn' needs it, as number of "
                "characters kept of a word (16 is enough for most languages); leave it out for others."
            )
        buckets = None if self.text.buckets == AUTO else self.text.buckets
        if self.inputs is Layout.HASHES and buckets:
            problems.append(
                f"text: the embedding {self.embedding.NAME!r} has its own buckets; move buckets={self.text.buckets} "
                "from [text] to [embedding]."
            )
        hashing = self.inputs not in (Layout.HASHES, Layout.CHARACTERS) and buckets is not None
        if hashing and self.text.grams != bool(buckets):
            problems.append(
                f"text: ngrams={self.text.ngrams} and subwords={self.text.subwords} need buckets to be hashed "
                f"into, words alone need none; buckets={self.text.buckets}."
            )
        if not self.learns and self.encoder.IN_ORDER:
            problems.append(
                f'head: objective = "pooled" learns nothing, and the encoder {self.encoder.NAME!r} would have to; '
                "use the encoder 'bag'."
            )
        if self.head.NAME == "linear" and not self.encoder.pools:
            problems.append(
                "head: the head 'linear' takes a sum of vectors as logits; use the encoder 'bag' with the mode "
                '"sqrtn", "mean" or "sum".'
            )
        if self.training.optimizer == "newton":
            limited = getattr(self.embedding, "max_norm", None) is not None
            if (self.head.NAME, self.embedding.NAME, limited) != ("linear", "table", False):
                problems.append(
                    "training: optimizer = \"newton\" is for the embedding 'table' without max_norm and the head "
                    f"'linear', not {self.embedding.NAME!r}{' with max_norm' * limited} and {self.head.NAME!r}; "
                    "choose another optimizer."
                )
        heads, dim = getattr(self.encoder, "heads", 1), self.embedding.dim
        if dim is not None and dim % heads:
            problems.append(
                f"encoder: heads={heads} do not divide the embedding's dim={dim}; choose a multiple of {heads} for "
                "dim, or other heads."
            )
        raise_any(problems)

    @property
    def inputs(self) -> Layout:
        """The layout of the indices that the model takes."""
        return self.embedding.INPUTS

    @property
    def task(self) -> str:
        """What the model answers: "classify", "multilabel", "vector" or "joint"."""
        return self.head.task

    @property
    def learns(self) -> bool:
        """Whether there is anything to learn: pooled word vectors are taken as they are given."""
        return self.head.learns

    def changed(self, section: str, **options: Any) -> Recipe:
        """Return a copy with those options of one section that are not None. Raises InputError."""
        given = {name: value for name, value in options.items() if value is not None}
        part = getattr(self, section)
        foreign = sorted(given.keys() - {one.name for one in fields(part)})
        if foreign:
            what = f"{section} {part.NAME!r}" if section in PARTS else f"section [{section}]"
            raise InputError(
                f"The {what} of recipe {self.name} has no option {', '.join(foreign)}; it has: "
                f"{', '.join(one.name for one in fields(part))}.",
                code="LX-RECIPE-001",
            )
        try:
            return replace(self, **{section: build(type(part), asdict(part) | given)})
        except ValueError as error:
            raise InputError(str(error), code="LX-RECIPE-002") from None

    def to_json(self) -> dict[str, Any]:
        """Return what `restore` takes: every section's options, the parts with their names."""
        values = asdict(self)
        for section in PARTS:
            values[section] = {"name": getattr(self, section).NAME, **values[section]}
        return values


def names() -> list[str]:
    """Return the shipped recipes, sorted."""
    return sorted(entry.name[:-5] for entry in resources.files(__name__).iterdir() if entry.name.endswith(".toml"))


def load(name: str, say: Say = silent) -> Recipe:
    """Return a shipped recipe, or one of your own in a file `*.toml`, which may extend another one.

    `say` is told which sections of a file have their defaults, because it neither has nor inherits them. Raises
    InputError naming the recipes there are.
    """
    path = Path(name)
    sections = _sections(name, ())
    if name not in names():
        missing = [section for section in (*PARTS, "text", "training") if section not in sections]
        if not PARTS.keys() - set(missing):
            say(
                f"{path} has no {', '.join(f'[{section}]' for section in missing)}: they take defaults, not the "
                'options of a shipped recipe. To start from one, add the line: extends = "bag"'
            )
    return _build(name if name in names() else path.stem, sections)


def toml(name: str) -> str:
    """Return a shipped recipe as TOML, to change and give to --model. Raises InputError naming those there are."""
    if name not in names():
        raise InputError(
            f"There is no shipped recipe {name!r}.{did_you_mean(name, names())} There are: {', '.join(names())}.",
            code="LX-RECIPE-003",
        )
    return (resources.files(__name__) / f"{name}.toml").read_text(encoding="utf-8")


def _sections(name: str, below: tuple[str, ...]) -> dict[str, Any]:
    """Return the sections of a recipe over those of the one it extends; `below` are the files that led here."""
    if name in names():
        return _parsed(name, toml(name))
    path = Path(name)
    if path.suffix != ".toml":
        raise InputError(
            f"There is no recipe {name!r}.{did_you_mean(name, names())} --model takes a file *.toml or one of: "
            f"{', '.join(names())}.",
            code="LX-RECIPE-004",
        )
    place = str(path.resolve())
    if place in below:
        raise InputError(f"The recipe {path} extends itself, by way of {', '.join(below)}.", code="LX-RECIPE-005")
    try:
        own = _parsed(path.stem, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The recipe {path} cannot be read: {error}.", code="LX-RECIPE-006") from None
    base = own.pop("extends", None)
    if base is None:
        return own
    if not isinstance(base, str):
        raise InputError(
            f"Recipe {path.stem}: extends is {base!r}; expected the name of a recipe or a file *.toml.",
            code="LX-RECIPE-007",
        )
    # A file is named as seen from the one that extends it.
    base = base if base in names() else str(path.parent / base)
    return _over(_sections(base, (*below, place)), own)


def _over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return the merged sections; own options win. If a part is another one, options of the old part are dropped."""
    found = {**base, **own}
    for section in base.keys() & own.keys():
        if isinstance(base[section], dict) and isinstance(own[section], dict):
            first = next(iter(PARTS[section])) if section in PARTS else None
            before = base[section].get("name", first)
            if own[section].get("name", before) == before:
                found[section] = {**base[section], **own[section]}
    return found


def restore(values: Mapping[str, Any]) -> Recipe:
    """Return the recipe that `to_json` made these values of. Raises TypeError or ValueError."""
    parts = {section: dict(values[section]) for section in PARTS}
    return Recipe(
        name=values["name"],
        when=values["when"],
        text=build(TextOptions, values["text"]),
        **{section: build(_kind(section, options), options) for section, options in parts.items()},
        training=build(TrainingOptions, values["training"]),
        gates=build(GateOptions, values.get("gates", {})),
    )


def parse(name: str, content: str) -> Recipe:
    """Return a recipe from TOML. Raises InputError with everything that is wrong in it."""
    return _build(name, _parsed(name, content))


def _parsed(name: str, content: str) -> dict[str, Any]:
    try:
        return tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"Recipe {name}: not valid TOML: {error}.", code="LX-RECIPE-008") from None


def _build(name: str, sections: dict[str, Any]) -> Recipe:
    when, found, problems = str(sections.pop("when", "")), dict[str, Any](), list[str]()
    for section in (*PARTS, *_PLAIN):
        try:
            found[section] = _section(section, sections.pop(section, {}))
        except ValueError as error:
            problems += problems_of(error)
    if sections:
        problems.append(f"unknown sections: {', '.join(sections)}")
    if not problems:
        try:
            return Recipe(name, when, **found)
        except ValueError as error:
            problems += problems_of(error)
    raise refused(name, problems)


def refused(name: str, problems: Sequence[str]) -> InputError:
    """Return the error for a recipe with these problems, each on a line of its own if there are several."""
    if len(problems) == 1:
        return InputError(f"Recipe {name}: {problems[0].rstrip('.')}.", code="LX-RECIPE-010")
    return InputError(f"Recipe {name} has {len(problems)} problems.", "\n".join(problems), code="LX-RECIPE-009")


def _section(section: str, options: Any) -> Any:
    """Return the options of one section. Raises ValueError with its problems."""
    kind = _kind(section, options) if section in PARTS else _PLAIN[section]
    if not isinstance(options, dict):
        raise ValueError(f"{section} is {options!r}; a section [{section}] was expected.")
    return checked(section, kind, options)


def checked(section: str, kind: type[_Options], options: Mapping[str, Any]) -> _Options:
    """Return the options of one section as `kind` has them. Raises Invalid with the section before each problem."""
    try:
        return build(kind, options)
    except Invalid as error:
        ranges = (f"{section}: ", f"{section} ")
        lines = [line if line.startswith(ranges) else f"[{section}]: {line}" for line in error.problems]
        raise Invalid(lines) from None


def _kind(section: str, options: Any) -> type[Any]:
    """Return the options class that a section names; the name is taken out of `options`."""
    if not isinstance(options, dict):
        raise ValueError(f"{section} is {options!r}; a section [{section}] was expected.")
    known = PARTS[section]
    named = options.pop("name", next(iter(known)))
    if not isinstance(named, str) or named not in known:
        raise ValueError(f"{section} {named!r} is not known; there are: {', '.join(known)}.")
    return known[named]
