"""Text to indices: the one implementation that training, export, evaluation and the worker share.

A text is normalized (Unicode form, lower case) and split into tokens by one pattern. What a token becomes is the
layout that the spec's `inputs` names; PAD is 0 and only on the right:

"indices"     [batch, length]: the row of each word, or UNK
"hashes"      [batch, length]: 1 + the MurmurHash3 of each word; without a vocabulary no word is unknown
"characters"  [batch, length, characters]: the row of each character of each word, or UNK
"languages"   [batch, length, 2]: the row of each word within its language, or UNK, and the language's number

Word n-grams follow the words of a text, subwords (character n-grams of a word) follow those. The bucket of either is
computed from the MurmurHash3 of UTF-8 bytes, never from vocabulary indices, so that two words that are not in the
training data still make two different n-grams. The index space of "indices" is one line: 0 PAD, 1 UNK, 2 … words-1
the vocabulary, words … rows-1 the buckets. In "languages" the buckets are 1 + bucket of one language more, which all
share, and in "hashes" they are 1 + the hash of the n-gram.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, islice, repeat
from typing import Any

import numpy as np
import regex

from . import fasttext
from . import layout as matrix
from .batch import language_numbers
from .hashing import LONGEST_TOKEN, Ids, murmur, subwords
from .normalization import Normalization, lower, normalize
from .offsets import Found, find_tokens
from .spec import FIRST_WORD, PAD, TOKEN_PATTERN, UNK, Layout, TextError, TextSpec
from .tokens import Ragged, Tokens, join, sums
from .vocabulary import Listed, Vocabulary

__all__ = [
    "FIRST_WORD",
    "PAD",
    "TOKEN_PATTERN",
    "UNK",
    "Ids",
    "Layout",
    "Normalization",
    "TextEncoder",
    "TextError",
    "TextSpec",
    "Tokens",
]

# The same as TOKEN_PATTERN, only for ASCII text: `re` splits five times as fast as `regex` with its Unicode classes.
_ASCII_PATTERN = r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]"
# The same with whatever is not ASCII as part of a word: such pieces of a text are then split by TOKEN_PATTERN.
_MIXED_PATTERN = r"[0-9A-Za-z\u0080-\U0010ffff]+|[!-/:-@\[-`{-~]"

# Texts of up to this many characters for every token kept are split whole.
_WHOLE = 16
# Texts looked up at a time: the strings of their words are then still in the processor's cache, and soon forgotten.
_TOGETHER = 256
# Words whose subwords are kept, so that frequent ones are hashed once; some 20 MB.
_REMEMBERED = 1 << 16


class TextEncoder:
    """Turns texts into index batches by a spec and its vocabulary."""

    def __init__(
        self, spec: TextSpec, vocabulary: Sequence[str] | Vocabulary, characters: Sequence[str] = ()
    ) -> None:
        """Give row i + 2 to `vocabulary[i]`, and row i + 2 of the characters to `characters[i]`.

        In "languages" the vocabulary holds the words of one language after the other, in the order of the spec.
        Raises TextError if the sizes differ or a word repeats.
        """
        self.spec = spec
        self._numbers = {language: number for number, language in enumerate(spec.languages)}
        self._vocabulary = Listed(spec, vocabulary) if isinstance(vocabulary, Sequence) else vocabulary
        self._characters = _index_characters(spec, characters)
        self._codes = np.array(sorted(map(ord, self._characters)), np.uint32)
        self._code_rows: Ids = np.array([self._characters[chr(code)] for code in self._codes], np.int64)
        try:
            self._pattern = regex.compile(spec.pattern)
        except regex.error as error:
            raise TextError(f"text.json has a token pattern that is not a regular expression: {error}") from None
        usual = spec.pattern == TOKEN_PATTERN
        self._ascii = re.compile(_ASCII_PATTERN) if usual else self._pattern
        self._mixed = re.compile(_MIXED_PATTERN) if usual else None
        self._subwords = lru_cache(_REMEMBERED)(self._split)
        self._short_hash = lru_cache(_REMEMBERED)(fasttext.word_hash)

    @property
    def vocabulary(self) -> list[str]:
        """The words that have a row, in the order of their rows; of several languages one after the other."""
        return self._vocabulary.words()

    @property
    def characters(self) -> list[str]:
        """The characters that have a row, in the order of their rows."""
        return list(self._characters)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages in the order of their numbers; none where one vocabulary serves all."""
        return tuple(self._numbers)

    def files(self) -> dict[str, bytes]:
        """Return the files that `files.load_encoder` reads, by name."""
        found = {"text.json": (json.dumps(self.spec.to_json(), indent=2, ensure_ascii=False) + "\n").encode()}
        found["vocabulary.txt"] = "".join(f"{word}\n" for word in self.vocabulary).encode()
        if self.spec.inputs is Layout.CHARACTERS:
            found["characters.txt"] = "".join(f"{one}\n" for one in self._characters).encode()
        return found

    def language_number(self, language: str | None) -> int:
        """Return the number of a language, 0 where the model has none and none is given. Raises TextError."""
        return language_numbers(self._numbers, [language], 1)[0]

    def tokens(self, text: str) -> tuple[list[str], bool]:
        """Return the tokens of a text, at most max_tokens of them, and whether there were more."""
        limit = self.spec.max_tokens
        if self.spec.fasttext is not None:
            return self.spec.fasttext.read(map(_group, self._pattern.finditer(text)), limit)
        if self.spec.spacy is not None:
            return self.spec.spacy.tokens(text, limit)
        if not text.isascii():
            text = normalize(text, self.spec.normalization)
        pattern = self._ascii if text.isascii() else self._pattern
        if self.spec.lowercase:
            text = lower(text)
        if len(text) <= _WHOLE * limit:
            found = self._find(text) if pattern is self._pattern else pattern.findall(text)
        else:
            # Slower a token, but no more of a very long text is split than is kept.
            found = list(map(_group, islice(pattern.finditer(text), limit + 1)))
        return (found[:limit], True) if len(found) > limit else (found, False)

    def find(self, text: str) -> list[Found]:
        """Return the tokens of a text as `tokens` does, each with the characters of the text that it is made of."""
        return find_tokens(self.spec, text)

    def read(self, text: str) -> tuple[list[str], bool]:
        """Return what is looked up of a text: its tokens, and the end that fastText adds; whether there were more."""
        tokens, cut = self.tokens(text)
        return (tokens if self.spec.fasttext is None else [*tokens, fasttext.END]), cut

    def _find(self, text: str) -> list[str]:
        """Return all tokens of a text that is not ASCII."""
        if self._mixed is None:
            return self._pattern.findall(text)
        found: list[str] = []
        for piece in self._mixed.findall(text):
            if piece.isascii():
                found.append(piece)
            else:
                found += self._pattern.findall(piece)
        return found

    def look_up(self, texts: Iterable[str], languages: Sequence[str | None] | None = None) -> Tokens:
        """Look the tokens of a batch up: whatever its layout needs and no more.

        `languages` has one for each text if the model has several. Where the layout is "hashes" no token is
        unknown; where it is "characters" a token is unknown if all of its characters are. Raises TextError for a
        language that is missing, not known or of no use.
        """
        every = list(texts)
        numbers = self.number_languages(languages, len(every))
        parts = []
        for first in range(0, max(len(every), 1), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            parts.append(self._look_up(every[part], None if numbers is None else numbers[part]))
        return join(parts)

    def _look_up(self, texts: Sequence[str], numbers: Ids | None) -> Tokens:
        words: list[str] = []
        counts: list[int] = []
        truncated: list[bool] = []
        for text in texts:
            tokens, cut = self.read(text)
            words += tokens
            counts.append(len(tokens))
            truncated.append(cut)
        return self._look_up_words(words, counts, tuple(truncated), numbers)

    def look_up_words(self, words: Sequence[str], language: int = 0) -> Tokens:
        """Look up words that are tokens already, as `look_up` does for one text of them.

        `language`: its number, where the model has several.
        """
        numbers = np.array([language], np.int64) if self._numbers else None
        return self._look_up_words(words, [len(words)], (False,), numbers)

    def _look_up_words(
        self, words: Sequence[str], counts: Sequence[int], truncated: tuple[bool, ...], numbers: Ids | None
    ) -> Tokens:
        """Look up the words of texts, one after the other; `counts`: words of each text."""
        spec, characters = self.spec, None
        if spec.spacy is not None:
            indices = np.full(len(words), FIRST_WORD, np.int64)
            hashes = spec.spacy.token_keys(words).view(np.int64)
        elif spec.inputs is Layout.INDICES:
            indices = np.array(list(map(self._vocabulary.rows[0].__getitem__, words)), np.int64)
            hashes = np.zeros(len(words), np.int64)
            if spec.fasttext is not None:
                # The end of a text is no unknown word where the vocabulary lacks it.
                unknown = np.flatnonzero(indices == UNK).tolist()
                indices[[place for place in unknown if words[place] == fasttext.END]] = PAD
                hashes = np.array(list(map(self._word_hash, words)), np.int64) if spec.hashed else hashes
            elif spec.hashed:
                hashes = self._vocabulary.hashes(indices)
                for position in np.flatnonzero(indices == UNK).tolist():
                    hashes[position] = murmur(words[position], spec.hash_seed)
        else:
            hashes = self._hash(words) if spec.hashed else np.zeros(len(words), np.int64)
            indices = np.full(len(words), FIRST_WORD, np.int64)
            if spec.inputs is Layout.CHARACTERS:
                characters = self._spell(words)
                indices[sums(characters.values != UNK, characters.counts) == 0] = UNK
            elif numbers is not None:
                rows = self._vocabulary.rows
                tables = chain.from_iterable(map(repeat, (rows[one] for one in numbers.tolist()), counts))
                indices[:] = [table[word] for table, word in zip(tables, words, strict=True)]
        grams = self._split_all(words) if spec.subwords else None
        listed = self.look_up_grams(words) if spec.listed else None
        return Tokens(indices, hashes, np.array(counts, np.int64), truncated, numbers, characters, grams, listed)

    def look_up_grams(self, words: Sequence[str]) -> Ids:
        """Return the row of the n-gram of 2, 3 … words that begins with each word, int64 [words, ngrams - 1]."""
        rows, gram = self._vocabulary.rows[0], list(words)
        found = np.full((len(words), self.spec.ngrams - 1), UNK, np.int64)
        for order in range(1, self.spec.ngrams):
            gram = [f"{one} {word}" for one, word in zip(gram, words[order:], strict=False)]
            found[: len(gram), order - 1] = [rows[one] for one in gram]
        return found

    def without_row(self, words: Iterable[str], language: str | None) -> list[str]:
        """Return those of `words`, tokens already, that have no row of their own; none where no word has one.

        Raises TextError for a language that is missing, not known or of no use.
        """
        rows = self._vocabulary.rows[self.language_number(language)]
        return [word for word in words if rows[word] == UNK] if self.spec.knows_words else []

    def widths(self, lengths: Ids, subwords: Ids | None = None) -> Ids:
        """Return the columns that texts of `lengths` tokens and `subwords` subwords need, n-grams too; int64 [texts].

        Raises ValueError if the spec has subwords and their number is not given.
        """
        return matrix.widths(self.spec, lengths, subwords)

    def assemble(self, tokens: Tokens) -> Ids:
        """Return the matrix of a batch in the spec's layout, int64 [batch, longest] or of three dimensions.

        A row holds the words of its text, then its n-grams of two words, of three, and so on, then the subwords
        of each word, shortest first, then PAD. The matrix is at least one column wide.
        """
        return matrix.assemble(self.spec, tokens)

    def flatten(self, tokens: Tokens) -> tuple[Ids, Ids]:
        """Return the cells of a batch without PAD, int64 [cells] or [cells, 2], and the cells of each text, [batch].

        The order is that of `assemble`, one text after the other; not for "characters".
        """
        return matrix.flatten(self.spec, tokens)

    def _hash(self, words: Iterable[str]) -> Ids:
        return np.array([murmur(word, self.spec.hash_seed) for word in words], np.int64)

    def _word_hash(self, word: str) -> int:
        return self._short_hash(word) if len(word) <= LONGEST_TOKEN else fasttext.word_hash(word)

    def number_languages(self, languages: Sequence[str | None] | None, texts: int) -> Ids | None:
        """Return the number of each text's language, int64 [texts]; None where the model has none.

        Raises TextError for a language that is missing, not known or of no use.
        """
        if languages is None and not self._numbers:
            return None
        numbers = language_numbers(self._numbers, languages, texts)
        return np.array(numbers, np.int64) if self._numbers else None

    def _spell(self, words: Sequence[str]) -> Ragged:
        """Return rows of the characters of each word, the first word_length of them."""
        kept = [word[: self.spec.word_length] for word in words]
        codes = np.frombuffer("".join(kept).encode("utf-32-le"), "<u4")
        places = np.searchsorted(self._codes, codes)
        # Row UNK stands behind the last character, for codes above it.
        found = np.append(self._codes, 0)[places] == codes
        rows = np.where(found, np.append(self._code_rows, UNK)[places], UNK)
        return Ragged(rows, np.array(list(map(len, kept)), np.int64))

    def _split_all(self, words: Sequence[str]) -> Ragged:
        """Return hashes of the character n-grams of each word."""
        if self.spec.fasttext is None:
            parts = [self._subwords(word[:LONGEST_TOKEN]) for word in words]
        else:
            # Long words are not kept, so that long requests without a space do not stay in memory.
            parts = [(self._subwords if len(word) <= LONGEST_TOKEN else self._split)(word) for word in words]
        values = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        return Ragged(values, np.array(list(map(len, parts)), np.int64))

    def _split(self, word: str) -> Ids:
        shortest, longest = self.spec.subwords or (0, 0)
        if self.spec.fasttext is not None:
            return fasttext.subword_hashes(word, shortest, longest)
        return subwords(word, shortest, longest, self.spec.hash_seed)


def _group(match: Any) -> str:
    """Return what a match of `re` or `regex` has matched."""
    found: str = match.group()
    return found


def _index_characters(spec: TextSpec, characters: Sequence[str]) -> dict[str, int]:
    """Return the row of each character. Raises TextError."""
    expected = max(spec.characters - FIRST_WORD, 0)
    index = {one: row for row, one in enumerate(characters, FIRST_WORD)}
    if len(characters) != expected:
        raise TextError(f"There are {len(characters):,} characters, text.json says {expected:,}.")
    if len(index) != expected or any(len(one) != 1 for one in index):
        raise TextError("Each entry of the characters must be one character and occur once.")
    return index
