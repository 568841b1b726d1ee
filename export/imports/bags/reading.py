"""How a classifier's texts become rows of its table: by words and a tokenizer's name, or by a tokenizer.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ....errors import InputError
from ....handlers.text.encoder import FIRST_WORD, TextEncoder, TextSpec
from ....models.recipes import TextOptions
from ....storage.compression import shown
from ..kind import MAX_TOKENS, ImportOptions
from ..tokenizer_file import read_tokenizer
from .files import WordRows, read_word_rows
from .tokenizers import Tokenizer, tokenizer_of

_NAMED = (
    "texts are read as --tokenizer names it, {name}, before and after; what a program around "
    "the model did to them before that is not known"
)
_OF_FILE = (
    "texts are read by {file} ({kind}, {tokens:,} tokens) with the {special} special tokens that it adds; what a "
    "program around the model did to them before that is not known"
)


@dataclass(frozen=True)
class Reading:
    """How texts become rows, in the run and in the foreign program."""

    encoder: TextEncoder
    """How the run reads them."""
    text: TextOptions
    """The same as a recipe has it."""
    rows: Sequence[int | None]
    """The row in the foreign table of row 1, 2 … of the run; None for one that no text has."""
    foreign_rows: Callable[[str], list[int]]
    """From a text to the rows of its tokens in the foreign table, by code of its own."""
    facts: Mapping[str, Any]
    """What `run.json` keeps of it."""
    notes: Sequence[str]
    """What the user should know, in sentences."""

    @property
    def least(self) -> int:
        """Rows that the foreign table has at least."""
        return max(row for row in self.rows if row is not None) + 1


def read_reading(content: bytes, file: str, options: ImportOptions) -> Reading:
    """Return how texts are read by a vocabulary, or by a tokenizer.json in its place. Raises InputError."""
    if not _is_tokenizer(content):
        return _of_words(read_word_rows(content, file), tokenizer_of(options.tokenizer), options)
    if options.tokenizer != ImportOptions.tokenizer:
        raise InputError(
            f"{shown(file)} says how texts are split, and --tokenizer {options.tokenizer} says it too. Leave "
            "--tokenizer out, or name a vocabulary of words.",
            code="LX-IMPORT-309",
        )
    return _of_tokenizer(content, file, options)


def _is_tokenizer(content: bytes) -> bool:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and isinstance(value.get("model"), dict) and "added_tokens" in value


def _of_words(words: WordRows, tokenizer: Tokenizer, options: ImportOptions) -> Reading:
    spec = TextSpec(
        words=FIRST_WORD + len(words.rows),
        ngrams=words.ngrams,
        listed=words.ngrams > 1,
        max_tokens=MAX_TOKENS,
        lowercase=tokenizer.lowercase,
        pattern=tokenizer.pattern,
        min_count=1,
    )
    text = TextOptions(
        ngrams=words.ngrams,
        buckets="auto" if words.ngrams > 1 else 0,
        min_count=1,
        max_tokens=MAX_TOKENS,
        normalization="none",
    )
    return Reading(
        TextEncoder(spec, list(words.rows)),
        text,
        [words.unknown, *words.rows.values()],
        partial(_look_up, words, tokenizer),
        {"words": len(words.rows), "tokenizer": options.tokenizer},
        [_NAMED.format(name=options.tokenizer), *([tokenizer.note] if tokenizer.note else [])],
    )


def _look_up(words: WordRows, tokenizer: Tokenizer, text: str) -> list[int]:
    return [words.rows.get(one, words.unknown) for one in _grams(tokenizer.split(text), words)]


def _grams(tokens: list[str], words: WordRows) -> list[str]:
    """Return the tokens and their n-grams, as torchtext's ngrams_iterator has them."""
    return [
        " ".join(tokens[first : first + order])
        for order in range(1, words.ngrams + 1)
        for first in range(len(tokens) - order + 1)
    ]


def _of_tokenizer(content: bytes, file: str, options: ImportOptions) -> Reading:
    from tokenizers import Tokenizer as Opened

    found = read_tokenizer(content, file)
    opened = Opened.from_str(content.decode())
    rows: list[int | None] = [found.unknown, *range(len(found.tokens))]
    if found.unknown is not None:
        rows[1 + found.unknown] = None  # it has the row of unknown words
    most = min(MAX_TOKENS, found.longest or MAX_TOKENS)
    note = _OF_FILE.format(file=shown(file), kind=found.kind, tokens=len(found.tokens), special=sum(found.special))
    return Reading(
        found.encoder(most, special=True, skips_unknown=False, characters=None),
        TextOptions(buckets=0, min_count=1, max_tokens=most, normalization="none"),
        rows,
        lambda text: list(opened.encode(text).ids),
        {"words": len(found.tokens), "tokenizer": found.kind},
        [note, *found.notes],
    )
