"""The warning about unknown words, with the option that helps by where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import numpy as np

from ...data.dataset import Dataset
from ...data.splits import Splits
from ...handlers.text.encoder import UNK, TextEncoder
from ...handlers.text.spec import Layout
from ...models.corpus import LookedUpTexts, pieces
from ...models.recipes import Recipe
from ...storage.compression import shown
from ..tasks import TASKS
from .advice import Advice, Command, Options, setting
from .tokenized import TokenizedSplits

_MOST = 0.5
_TOGETHER = 1024  # texts looked at together
_COLUMNS = ("--text-column", "--language-column", "--pair-column")
_READING = ("--delimiter", "--quoting", "--encoding", "--no-header", "--columns", "--skip-bad-rows")


def unknown_words(
    recipe: Recipe, parts: Splits, encoder: TextEncoder, tokens: TokenizedSplits, command: Command, *, further: bool
) -> Advice | None:
    """Return the warning if most words (or characters) of the validation texts are unknown, else None."""
    train, held = (_unknown_shares(encoder, tokens.train, one) for one in (tokens.train, tokens.validation))
    language, share = max(held.items(), key=lambda item: item[1])
    if share <= _MOST:
        return None
    where, in_training = f" in {shown(language)}" if language else "", train.get(language, 0.0)
    inputs = encoder.spec.inputs
    what = "characters" if inputs is Layout.CHARACTERS else "words"
    known_to = f"{share:.0%} of those in the validation texts{where}"
    details: dict[str, int | float | str] = {"validation_share": share, "training_share": in_training}
    if language:
        details["language"] = language
    unknown = (
        f"most {what} are unknown: {known_to} ({in_training:.0%} in training) have no row and "
        "look the same to the model."
    )
    if inputs is Layout.HASHES:
        if recipe.encoder.IN_ORDER:
            return None
        return Advice(
            "LX-WARN-002",
            f"most words are new: {known_to} are in no training text, so their vectors are untrained. "
            "With subwords they share parts with known words.",
            (setting("text.subwords", "[3, 5]"),),
            details=details,
        )
    if encoder.spec.tokenizer is not None:
        return None  # it takes no other words
    if further:
        return _expanded(unknown, details, command) if inputs is not Layout.CHARACTERS else None
    known = set(_read(encoder, parts.train, language))
    # The share that stays unknown if every training word has a row.
    new = float(np.mean([one not in known for one in _read(encoder, parts.validation, language)]))
    if new < share / 2:
        more: list[tuple[str, str | None]] = [("--min-count", "1")]
        if recipe.text.max_vocabulary is not None:
            more.append(("--max-vocabulary", str(len(known))))
        return Advice("LX-WARN-001", f"{unknown} Give more of them a row.", tuple(more), details=details)
    if inputs is not Layout.INDICES or not TASKS[recipe.task].GIVES_SCORES:
        return None
    several: Options = (("--multi-label", None),) if TASKS[recipe.task].MULTI_LABEL else ()
    return Advice(
        "LX-WARN-001",
        f"{unknown} Training has no such words; the model hashed knows any by its parts.",
        (("--model", "hashed"), *several),
        details=details,
    )


def _expanded(unknown: str, details: Mapping[str, int | float | str], command: Command) -> Advice | None:
    """Return the advice to expand the run of --from with the words of the new data first."""
    run = command.value("--from")
    if run is None:
        return None
    grown = str(command.free(Path(run)))
    sources = [word for source in command.sources for word in ("--from-oov", source)]
    read = [
        word for pair in command.options if pair[0] in (*_COLUMNS, *_READING) for word in pair if word is not None
    ]
    before = ("lexport", "expand", run, *sources, *read, "--out", grown)
    warning = f"{unknown} Give the words of these data rows first."
    return Advice("LX-WARN-001", warning, (("--from", grown),), before, details)


def _read(encoder: TextEncoder, part: Dataset, language: str) -> Iterator[str]:
    """Yield every word of the texts in `language` ("": of all texts), or every character if the model reads these."""
    languages = part.languages if language and part.languages else [language] * len(part)
    texts = (text for text, own in zip(part.texts, languages, strict=True) if own == language)
    words = (word for text in texts for word in encoder.tokens(text)[0])
    return chain.from_iterable(words) if encoder.spec.inputs is Layout.CHARACTERS else words


def _unknown_shares(encoder: TextEncoder, train: LookedUpTexts, texts: LookedUpTexts) -> dict[str, float]:
    """Return the share of unknown words (or characters) by language; under "" of all texts without languages.

    With "hashes" a word is unknown if it is not in training, unless the model reads subwords.
    """
    spec = encoder.spec
    hashed = spec.inputs is Layout.HASHES and not spec.subwords
    known = np.unique(np.concatenate([np.unique(one.hashes) for one in pieces(train, _TOGETHER)])) if hashed else None
    names = encoder.languages or ("",)
    unknown, every = np.zeros(len(names)), np.zeros(len(names))
    for tokens in pieces(texts, _TOGETHER):
        if spec.inputs is Layout.HASHES:
            flags = np.zeros(len(tokens.hashes), bool) if known is None else ~np.isin(tokens.hashes, known)
        elif tokens.characters is not None:
            flags = tokens.characters.values == UNK
        else:
            flags = tokens.indices == UNK
        numbers = np.zeros(len(flags), np.int64)
        if tokens.languages is not None:
            numbers = np.repeat(tokens.languages, tokens.lengths)
        unknown += np.bincount(numbers, flags, len(names))
        every += np.bincount(numbers, minlength=len(names))
    return dict(zip(names, (unknown / np.maximum(every, 1)).tolist(), strict=True))
