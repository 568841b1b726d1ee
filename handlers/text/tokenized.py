"""Texts to indices by a `tokenizer.json`, as `TextSpec.tokenizer` says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from .encoder import TextEncoder
from .hashing import Ids
from .offsets import Found
from .spec import FIRST_WORD, UNK, TextError, TextSpec
from .tokenizer import FILE, TokenizerRules, no_panic, open_tokenizer, tokens_of
from .tokens import Tokens


class _Tokens:
    """The tokens of a file as the vocabulary of an encoder; the row of each is made when it is first asked for."""

    def __init__(self, spec: TextSpec, tokens: Sequence[str]) -> None:
        """Keep `tokens` by id. Raises ValueError if text.json has another number of them."""
        if len(tokens) != spec.words - FIRST_WORD:
            raise ValueError(f"{FILE} has {len(tokens):,} tokens, text.json says {spec.words - FIRST_WORD:,}.")
        self._spec, self._tokens = spec, tokens

    @cached_property
    def rows(self) -> Sequence[Mapping[str, int]]:
        """The row of each token, UNK for any other."""
        rows = defaultdict(lambda: UNK, zip(self._tokens, range(FIRST_WORD, self._spec.words), strict=True))
        unknown = None if self._spec.tokenizer is None else self._spec.tokenizer.unknown
        if unknown is not None:
            rows[self._tokens[unknown]] = UNK
        return [rows]

    def hashes(self, rows: Ids) -> Ids:
        """Return zeros: no model takes hashes of such tokens."""
        return np.zeros(rows.shape, np.int64)

    def words(self) -> list[str]:
        """Return the tokens by id."""
        return list(self._tokens)


class TokenizedEncoder(TextEncoder):
    """A TextEncoder whose tokens are those of a `tokenizer.json`; its vocabulary are that file's tokens, by id."""

    def __init__(self, spec: TextSpec, content: bytes) -> None:
        """Open the file with this content. Raises TextError for one that is not the spec's, or cannot be read, and
        ModuleNotFoundError where the package tokenizers is not installed.
        """
        assert spec.tokenizer is not None
        try:
            opened = open_tokenizer(content)
            words = _Tokens(spec, tokens_of(opened))
            with no_panic():
                largest = max(opened.encode("", add_special_tokens=True).ids, default=0)
            if largest >= spec.words - FIRST_WORD:
                raise ValueError(f"{FILE} adds a special token with the id {largest:,}, which is none of its tokens.")
        except ValueError as error:
            raise TextError(str(error)) from None
        special = sum(spec.tokenizer.special)
        if special not in (0, opened.num_special_tokens_to_add(False)):
            raise TextError(
                f"{FILE} adds {opened.num_special_tokens_to_add(False)} special tokens, text.json {special}."
            )
        super().__init__(spec, words)
        self._rules: TokenizerRules = spec.tokenizer
        self._content = content
        self._opened = opened
        self._marked = special > 0

    def files(self) -> dict[str, bytes]:
        """Return the files that `files.load_encoder` reads, by name."""
        return {"text.json": super().files()["text.json"], FILE: self._content}

    def tokens(self, text: str) -> tuple[list[str], bool]:
        """Return the tokens of a text but special ones, at most max_tokens, and whether there were more."""
        encoding, cut = self._encode_with_offsets(text)
        first, last, more = self._own(encoding.ids)
        return encoding.tokens[first:last], cut or more

    def read(self, text: str) -> tuple[list[str], bool]:
        """Return what is looked up of a text: its tokens, with special ones, and whether there were more."""
        encoding, cut = self._encode_with_offsets(text)
        first, last, more = self._own(encoding.ids)
        before, after = self._rules.special
        own = encoding.tokens
        return own[:before] + own[first:last] + own[len(own) - after :], cut or more

    def find(self, text: str) -> list[Found]:
        """Return the tokens of a text, special ones apart, with the characters of the text that they are made of."""
        encoding, _ = self._encode_with_offsets(text)
        first, last, _ = self._own(encoding.ids)
        offsets = encoding.offsets[first:last]
        return [Found(token, *own) for token, own in zip(encoding.tokens[first:last], offsets, strict=True)]

    def _look_up(self, texts: Sequence[str], numbers: Ids | None) -> Tokens:
        encodings, truncated = self._encode(texts)
        every = [one.ids for one in encodings]
        limit, (before, after) = self.spec.max_tokens, self._rules.special
        for place, ids in enumerate(every):
            if len(ids) - before - after > limit:
                first, last, more = self._own(ids)
                every[place] = ids[:before] + ids[first:last] + ids[len(ids) - after :]
                truncated[place] |= more
        counts = np.array(list(map(len, every)), np.int64)
        found = np.fromiter(chain.from_iterable(every), np.int64, int(counts.sum()))
        indices = found + FIRST_WORD
        if self._rules.unknown is not None:
            indices[found == self._rules.unknown] = UNK
        return Tokens(indices, np.zeros(len(found), np.int64), counts, tuple(truncated), numbers)

    def _own(self, ids: Sequence[int]) -> tuple[int, int, bool]:
        """Return where a text's own tokens begin and end among `ids`, and whether the limit leaves some out."""
        before, after = self._rules.special
        last, most = len(ids) - after, before + self.spec.max_tokens
        return before, min(last, most), last > most

    def _encode(self, texts: Sequence[str]) -> tuple[list[Any], list[bool]]:
        """Return what the package makes of texts, without offsets, and whether they were cut before it read them."""
        most = self._rules.characters
        truncated = [False] * len(texts) if most is None else [len(text) > most for text in texts]
        read = texts if most is None else [text[:most] for text in texts]
        with no_panic():
            try:
                return self._opened.encode_batch_fast(read, add_special_tokens=self._marked), truncated
            except TypeError:  # half a surrogate pair, which is no Unicode text
                read = list(map(_whole, read))
                return self._opened.encode_batch_fast(read, add_special_tokens=self._marked), truncated

    def _encode_with_offsets(self, text: str) -> tuple[Any, bool]:
        """Return what the package makes of a text, and whether it was cut."""
        most = self._rules.characters
        read = text[:most]
        with no_panic():
            try:
                found = self._opened.encode(read, add_special_tokens=self._marked)
            except TypeError:
                found = self._opened.encode(_whole(read), add_special_tokens=self._marked)
        return found, len(read) < len(text)


def _whole(text: str) -> str:
    """Return a text with U+FFFD in the place of each half of a surrogate pair that stands alone."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
