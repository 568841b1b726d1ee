"""The words that a run does not know yet: from a file, from a list, or from data."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from itertools import compress
from pathlib import Path

from ...data import load as data
from ...data.load import Columns, Dataset, Reading, Source
from ...errors import InputError
from ...handlers.text.encoder import TextEncoder
from ...storage.compression import COMPRESSIONS, check_file, listed, opener_for, readable, shown
from ...storage.progress import Say


def read_words(path: Path, encoder: TextEncoder, known: Sequence[str], say: Say) -> list[str]:
    """Return the words of a file that are not in `known`, in its order, each once.

    Raises InputError for a line that is not one word, and for a file without new words.
    """
    check_file(path)
    old = set(known)
    new: dict[str, None] = {}
    skipped = 0
    compression = path.suffix.lower()
    opener = opener_for(compression if compression in COMPRESSIONS else "")
    with readable(path, opener), opener(path) as lines:
        for number, line in enumerate(lines, 1):
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            if not text:
                continue
            tokens, more = encoder.tokens(text)
            if len(tokens) != 1 or more:
                split = (
                    f"the model reads it as {listed(map(repr, tokens))}"
                    if tokens
                    else "the model reads nothing in it"
                )
                raise InputError(
                    f"{shown(path)}, line {number:,}: '{shown(text)}' is not one word; {split}. Write one word per "
                    "line, without spaces or punctuation.",
                    code="LX-TRAIN-016",
                )
            if tokens[0] in old or tokens[0] in new:
                skipped += 1
            else:
                new[tokens[0]] = None
    if not new:
        raise InputError(
            f"{shown(path)} has no new word: the run knows all {skipped:,} already."
            if skipped
            else f"{shown(path)} has no words; expected one word per line.",
            code="LX-TRAIN-017",
        )
    if skipped:
        say(f"{shown(path.name)}: {len(new):,} new words; {skipped:,} skipped: known already, or listed twice")
    return list(new)


def new_of(words: Sequence[str], encoder: TextEncoder, known: Sequence[str], say: Say) -> list[str]:
    """Return the words of a list that are not in `known`, in its order, each once.

    What the run reads as another word, as several or as none is left out: the list may be of a model with another
    text code. Raises InputError if no word is left.
    """
    old = set(known)
    new = [word for word in dict.fromkeys(words) if word not in old and encoder.tokens(word) == ([word], False)]
    if not new:
        raise InputError(
            f"None of the {len(words):,} words is new to the run: it knows them already, or does not read them as "
            "one word. Expected a word that has no row in it.",
            code="LX-TRAIN-210",
        )
    if len(new) < len(words):
        say(f"{len(new):,} new words; {len(words) - len(new):,} skipped: known already, or not one word")
    return new


def find_words(
    source: Source,
    columns: Columns,
    reading: Reading,
    encoder: TextEncoder,
    known: Sequence[str],
    *,
    language: str | None,
    min_count: int,
    say: Say,
) -> list[str]:
    """Return the tokens of data that are not in `known`, most frequent first, then by code point.

    `language`: only texts in it count; None in a model of one vocabulary. A token counts that occurs `min_count`
    times or more. Raises InputError for data without new words, and for languages that the data do not name.
    """
    dataset = data.load(source, dataclasses.replace(columns, label=None), reading=reading)
    for note in dataset.notes:
        say(note)
    chosen = _in_language(dataset, columns, language)
    old = set(known)
    counts: Counter[str] = Counter()
    for texts in (dataset.texts, dataset.pairs or []):
        for text in compress(texts, chosen):
            counts.update(token for token in encoder.tokens(text)[0] if token not in old)
    frequent = [(word, count) for word, count in counts.items() if count >= min_count]
    frequent.sort(key=lambda item: (-item[1], item[0]))
    if not frequent:
        most = f" (the most frequent: {max(counts.values()):,}). Lower min_count" if counts else ""
        raise InputError(
            f"{dataset.name} has no new word: {len(counts):,} of its words are unknown to the run, and none occurs "
            f"{min_count} times or more{most}.",
            code="LX-TRAIN-018",
        )
    return [word for word, _ in frequent]


def _in_language(dataset: Dataset, columns: Columns, language: str | None) -> list[bool]:
    """Return for each text whether it is in `language`; all are if that is None. Raises InputError if none can be."""
    if language is None:
        if columns.language is not None:
            raise InputError(
                "The run has one vocabulary for every language. Leave out --language-column.", code="LX-TRAIN-019"
            )
        return [True] * len(dataset)
    if dataset.languages is None:
        raise InputError(
            f"{dataset.name} names no language; new words can only come from texts in {language!r}. Name "
            "--language-column, or list the words in a file (--words).",
            code="LX-TRAIN-020",
        )
    if language not in dataset.languages:
        raise InputError(
            f"{dataset.name} has no text in {language!r}, only in {listed(sorted(set(dataset.languages)))}. Correct "
            "--language, or use other data.",
            code="LX-TRAIN-021",
        )
    return [own == language for own in dataset.languages]
