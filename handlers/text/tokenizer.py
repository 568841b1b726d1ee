"""Text as a `tokenizer.json` of Hugging Face's reads it; `TextSpec.tokenizer` asks for it.

The file lies beside `text.json` and is read by the package `tokenizers`, which only such models need: WordPiece, BPE,
Unigram, or a list of words, with the file's own normalization, splitting, added and special tokens. The token of id i
has row i + 2, and the file's token for what it does not know has UNK's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

FILE = "tokenizer.json"


@dataclass(frozen=True)
class TokenizerRules:
    """What reading depends on beside the file."""

    unknown: int | None = None
    """The id of the token for what the file does not know; None if it has none."""
    skips_unknown: bool = False
    """Whether unknown tokens have no cell, as model2vec has it; else they have UNK's row."""
    special: tuple[int, int] = (0, 0)
    """Special tokens that the file puts before and behind a text; 0 and 0 if it is used without."""
    characters: int | None = None
    """Characters of a text that are read; the rest is cut off. None for all."""

    def problem(self, words: int) -> str | None:
        """Return what is wrong with it in a spec with so many rows of words, or None."""
        if self.unknown is not None and not 0 <= self.unknown < words:
            return f"unknown={self.unknown} must be one of {words:,} ids"
        if self.skips_unknown and self.unknown is None:
            return "skips_unknown needs the id of unknown tokens"
        if len(self.special) != 2 or min(self.special) < 0:
            return f"special={list(self.special)} must be two numbers of tokens"
        if self.characters is not None and self.characters < 1:
            return f"characters={self.characters} must be at least 1"
        return None


@contextmanager
def no_panic() -> Iterator[None]:
    """Raise ValueError where the package panics, as Rust calls it: what it raises then is no Exception."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"tokenizers gave up: {str(error)[:200]}") from None


def open_tokenizer(content: bytes) -> Any:
    """Return the `tokenizers.Tokenizer` of a file's content, which pads and cuts nothing.

    Raises ValueError for a file that it cannot read, ModuleNotFoundError without the package.
    """
    # One text is read in some 20 µs: threads of its own would take a worker's cores for nothing.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    try:
        with no_panic():
            found = Tokenizer.from_str(content.decode())
    except Exception as error:  # of the package's own kind, which is Exception itself
        raise ValueError(f"{FILE} cannot be read by tokenizers: {str(error)[:200]}") from None
    found.no_padding()
    found.no_truncation()
    return found


def tokens_of(opened: Any) -> list[str]:
    """Return the tokens of an opened file in the order of their ids. Raises ValueError for ids with gaps."""
    found = opened.get_vocab(with_added_tokens=True)
    ordered = sorted(found, key=found.__getitem__)
    if not ordered or found[ordered[0]] != 0 or found[ordered[-1]] != len(ordered) - 1:
        raise ValueError(f"{FILE} has {len(found):,} tokens, whose ids are not 0 to {len(found) - 1:,}.")
    return ordered


def unknown_of(content: dict[str, Any], tokens: dict[str, int]) -> int | None:
    """Return the id of the token for what a file does not know; None if it has none.

    content: the file as JSON. tokens: the id of each token.
    """
    model = content["model"]
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    return tokens.get(model.get("unk_token") or "")
