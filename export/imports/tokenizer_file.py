"""A foreign `tokenizer.json` as what reads the texts of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import InputError
from ...handlers.text.spec import FIRST_WORD, TextSpec
from ...handlers.text.tokenized import TokenizedEncoder
from ...handlers.text.tokenizer import TokenizerRules, no_panic, open_tokenizer, tokens_of, unknown_of
from ...storage.compression import shown

# Of every file: letters, a script that few have, marks, an emoji, control and private characters.
_PROBE = "a Zq1 ꙮ é 👩\u200d👧 \x01 \U000f1234"


@dataclass(frozen=True)
class TokenizerFile:
    """A `tokenizer.json` that can be read."""

    content: bytes
    """The file."""
    kind: str
    """What its tokens are: WordPiece, BPE, Unigram or WordLevel."""
    tokens: Sequence[str]
    """Its tokens by id."""
    unknown: int | None
    """The id of the token for what it does not know; None if it has none."""
    special: tuple[int, int]
    """The special tokens that it puts before and behind a text."""
    longest: int | None
    """The most tokens of a text by the file's own truncation, special ones apart; None without it."""
    notes: tuple[str, ...]
    """What the user should know, in sentences."""

    def encoder(
        self, max_tokens: int, *, special: bool, skips_unknown: bool, characters: int | None
    ) -> TokenizedEncoder:
        """Return what reads texts by the file, up to so many tokens and characters."""
        spec = TextSpec(
            words=FIRST_WORD + len(self.tokens),
            max_tokens=max_tokens,
            lowercase=False,
            pattern="",
            min_count=1,
            tokenizer=TokenizerRules(self.unknown, skips_unknown, self.special if special else (0, 0), characters),
        )
        return TokenizedEncoder(spec, self.content)


def read_tokenizer(content: bytes, file: str) -> TokenizerFile:
    """Return what a file says. Raises InputError for one that is damaged or does not read every text.

    Raises ModuleNotFoundError without the package tokenizers.
    """
    try:
        opened = open_tokenizer(content)
        tokens = tokens_of(opened)
        values: dict[str, Any] = json.loads(content)
        kind = str(values["model"].get("type") or type(opened.model).__name__)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{shown(file)} cannot be read ({shown(error)}). Expected a tokenizer.json of the package tokenizers; "
            "save it again with a present version.",
            code="LX-IMPORT-300",
        ) from None
    padding, cut = values.get("padding") or {}, values.get("truncation") or {}
    fixed = isinstance(padding.get("strategy"), dict) or padding.get("pad_to_multiple_of")
    if fixed or cut.get("direction", "Right") != "Right" or cut.get("strategy") == "OnlySecond":
        what = "fills texts up to a fixed number of tokens" if fixed else "cuts texts otherwise than at their end"
        raise InputError(
            f"{shown(file)} {what}, which a run cannot do. Take the setting out of the file, with no_padding() or "
            "no_truncation() of tokenizers, if your program runs without it.",
            code="LX-IMPORT-301",
        )
    if values["model"].get("dropout"):
        raise InputError(
            f"{shown(file)} leaves out merges at random (dropout), so that it reads "
            "no text twice alike. Take dropout out of the file, which is for training alone.",
            code="LX-IMPORT-903",
        )
    named = values["model"].get("unk_token")
    unknown = unknown_of(values, {token: number for number, token in enumerate(tokens)})
    try:
        if named and unknown is None:
            raise ValueError(f"its token for unknown words, {named!r}, is none of its tokens")
        with no_panic():
            probed = opened.encode(_PROBE)
        before, after = _special(probed.special_tokens_mask)
        if max(probed.ids, default=0) >= len(tokens):
            raise ValueError(f"a special token has the id {max(probed.ids):,}, which is none of its tokens")
    except Exception as error:  # of the package's own kind, which is Exception itself
        raise InputError(
            f"{shown(file)} does not read every text: {shown(error)}. Give it a token for what it does not know, and "
            "special tokens that are among its own.",
            code="LX-IMPORT-302",
        ) from None
    note = "the file fills texts up to the longest of a batch; here none is filled up"
    longest = max(int(cut["max_length"]) - before - after, 1) if cut else None
    notes = (note,) if padding else ()
    return TokenizerFile(content, kind, tokens, unknown, (before, after), longest, notes)


def _special(mask: Sequence[int]) -> tuple[int, int]:
    """Return the special tokens before and behind a text, of a mask that has 1 for each special one."""
    if all(mask):
        return len(mask), 0
    return mask.index(0), mask[::-1].index(0)
