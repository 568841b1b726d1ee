"""Replace a share of the tokens of texts by unseen words, as future texts will have them.

A new word looks like the known ones. In scripts with spaces it has seven to twelve letters of the token's script,
with the letter frequencies of the texts. In scripts without spaces, where each character is a token, it is an unknown
character of that script, or such a word if all characters are known. So a model with a row for unknown words uses
that row, a model that hashes words gets a new hash, and a model that reads characters or subwords gets a new word of
known characters, as new names and misspellings are.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

import numpy as np
import regex

from ..errors import InputError
from ..handlers.text.encoder import TextEncoder
from ..handlers.text.spec import UNSPACED

_SHORTEST, _LONGEST = 7, 12  # letters: a random word of this length is hardly ever a real one
_WORDS = 2000  # new ones of each script
_TRIES = 100  # failures in a row after which we give up
_COMMON = "abcdefghijklmnopqrstuvwxyz"
# Scripts without spaces: their Unicode names, and the range of most of their letters.
_BLOCKS = {
    "Han": (0x4E00, 0xA000),
    "Hiragana": (0x3041, 0x3097),
    "Katakana": (0x30A1, 0x30FB),
    "Thai": (0x0E01, 0x0E30),
    "Lao": (0x0E81, 0x0EB0),
    "Khmer": (0x1780, 0x17A3),
    "Myanmar": (0x1000, 0x102A),
}
_UNSPACED = {name: regex.compile(rf"\p{{{name}}}") for name in _BLOCKS}
_ANY_UNSPACED = regex.compile(f"[{UNSPACED}]")


class UnseenWords:
    """Words that are in no vocabulary of `encoder`, in none of `texts` and not among the `known`."""

    def __init__(self, encoder: TextEncoder, texts: Iterable[str], known: Collection[str] = ()) -> None:
        """Take the letters of new words from `texts`."""
        self._encoder = encoder
        tokens = [token for text in texts for token in self._split(text)]
        self._known = {*encoder.vocabulary, *known, *tokens}
        self._letters: dict[str, Counter[str]] = {}
        for letter, count in Counter("".join(tokens)).items():
            if letter.isalpha() and not _ANY_UNSPACED.match(letter):
                self._letters.setdefault(_script(letter), Counter())[letter] += count
        most = max(self._letters, key=lambda script: (self._letters[script].total(), script), default="")
        self._usual = most
        self._letters.setdefault(most, Counter(_COMMON))
        self._words: dict[str, list[str]] = {}  # by script, made on first use

    def replace(self, texts: Sequence[str], share: float, draw: int = 0) -> list[str]:
        """Return `texts` with about `share` of the tokens replaced, chosen at random; of a tokenizer.json, words.

        Tokens are joined by spaces. The same `draw` gives the same texts; another one gives others. Raises
        InputError if the token pattern accepts no new word as a token.
        """
        generator = np.random.default_rng([draw, round(share * 1_000_000)])
        found = []
        for text in texts:
            tokens = self._split(text)
            chances, picks = generator.random((2, len(tokens))).tolist()
            found.append(
                " ".join(
                    self.word(token, pick) if chance < share else token
                    for token, chance, pick in zip(tokens, chances, picks, strict=True)
                )
            )
        return found

    def word(self, token: str, pick: float) -> str:
        """Return a new word in the script of `token` that is one token; `pick`, 0 to below 1, chooses among
        thousands.

        Raises InputError as `replace` does.
        """
        name = next((name for name, pattern in _UNSPACED.items() if pattern.match(token)), "")
        words = self._of(name) if name else []
        if not words:
            script = next(map(_script, filter(str.isalpha, token)), "")
            words = self._of(script if script in self._letters else self._usual)
        return words[int(pick * len(words))]

    def _of(self, script: str) -> list[str]:
        if script not in self._words:
            self._words[script] = self._unknown(script) if script in _BLOCKS else self._made(script)
        return self._words[script]

    def _made(self, script: str) -> list[str]:
        generator = np.random.default_rng(0)
        counts = self._letters[script]
        letters = sorted(counts)
        shares = [counts[letter] / counts.total() for letter in letters]
        words: dict[str, None] = {}
        failures = 0
        while len(words) < _WORDS:
            length = generator.integers(_SHORTEST, _LONGEST + 1)
            word = "".join(generator.choice(letters, length, p=shares))
            if word not in self._known and word not in words and self._is_token(word):
                words[word], failures = None, 0
            elif (failures := failures + 1) == _TRIES:
                break
        if not words:
            raise InputError(
                f"The token pattern {self._encoder.spec.pattern!r} does not accept a new word such as "
                f"{word!r} as one token, so robustness cannot be measured. Leave out --unknown-rate.",
                code="LX-EVAL-002",
            )
        return list(words)

    def _unknown(self, name: str) -> list[str]:
        """Return the unknown characters of a script without spaces that are tokens."""
        characters = map(chr, range(*_BLOCKS[name]))
        return [one for one in characters if one not in self._known and self._is_token(one)]

    def _split(self, text: str) -> list[str]:
        """Return what is replaced: tokens; where they may be pieces of words, what stands between spaces."""
        return self._encoder.tokens(text)[0] if self._encoder.spec.tokenizer is None else text.split()

    def _is_token(self, word: str) -> bool:
        return self._encoder.spec.tokenizer is not None or self._encoder.tokens(word)[0] == [word]


@lru_cache(1 << 12)
def _script(letter: str) -> str:
    """Return the script of a letter, the first word of its Unicode name: "LATIN", "CYRILLIC" …"""
    return unicodedata.name(letter, "").partition(" ")[0]
