"""The text spec: how a model's text becomes numbers, `text.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from .fasttext import FastText
from .normalization import Normalization
from .spacy import CELLS, Spacy
from .tokenizer import TokenizerRules

PAD = 0
UNK = 1
FIRST_WORD = 2


class Layout(StrEnum):
    """What the numbers of a text are, as its spec and its embedding name it; docs/models.md shows each."""

    INDICES = "indices"
    """Rows of words, and of hashed n-grams and subwords: int64 [texts, length]."""
    HASHES = "hashes"
    """Hashes of words, n-grams and subwords, for an embedding with buckets of its own: int64 [texts, length]."""
    CHARACTERS = "characters"
    """Rows of the characters of each word: int64 [texts, length, characters]."""
    LANGUAGES = "languages"
    """Rows of words by language, and the number of the language: int64 [texts, length, 2]."""


# Written without spaces between words: each character is a token of its own.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
# The three alternatives exclude one another wherever their lengths could differ, so that an engine that takes
# the longest match (RE2) and one that takes the first (`regex`) split alike.
TOKEN_PATTERN = rf"[{UNSPACED}]|[^\s\p{{P}}\p{{S}}\p{{Z}}\p{{C}}{UNSPACED}]+|[\p{{P}}\p{{S}}]"


class TextError(ValueError):
    """A text spec or vocabulary that cannot be used, a language it lacks, or a text that is not valid Unicode."""


@dataclass(frozen=True)
class TextSpec:
    """How text becomes indices; `text.json` on disk."""

    words: int
    """Rows for PAD, UNK and the vocabulary."""
    buckets: int = 0
    """Rows for n-grams and subwords; 0 without them."""
    ngrams: int = 1
    """The longest n-gram in words; 1 for words only."""
    max_tokens: int = 1024
    """A longer text is cut to this number of tokens and answered as truncated."""
    lowercase: bool = True
    normalization: Normalization = Normalization.NONE
    """The Unicode form of texts before they are split; `text.json` of earlier versions lacks it."""
    pattern: str = TOKEN_PATTERN
    """The regular expression of a token."""
    min_count: int = 2
    """Rarer words of the training texts are UNK."""
    max_vocabulary: int | None = None
    """The most words of the vocabulary; None for all."""
    hash_seed: int = 0
    version: int = 1
    schema: int = 1
    inputs: Layout = Layout.INDICES
    """The layout of the encoder's output."""
    subwords: tuple[int, int] | None = None
    """The shortest and the longest n-gram of a word's characters, with its begin and end; None without them."""
    word_length: int = 0
    """Characters that are kept of a word ("characters" only)."""
    characters: int = 0
    """Rows for PAD, UNK and the known characters ("characters" only)."""
    languages: dict[str, int] = field(default_factory=dict)
    """Rows of each language's UNK and words ("languages" only)."""
    fasttext: FastText | None = None
    """How fastText reads texts, for a model that it trained; None for any other. With it comes its own `pattern`."""
    spacy: Spacy | None = None
    """How spaCy reads texts, for a model that it trained; None for any other."""
    listed: bool = False
    """Whether n-grams are entries of the vocabulary, written with spaces between their words, and none is hashed."""
    tokenizer: TokenizerRules | None = None
    """How the `tokenizer.json` beside this file reads texts, for a model that has one; None for any other. Its tokens
    are the `words` then, and `pattern` is empty."""

    def __post_init__(self) -> None:
        """Raise TextError for a spec that no encoder can follow."""
        if self.schema != 1:
            raise TextError(f"text.json has schema {self.schema}, this version reads schema 1; update lexport.")
        if self.inputs not in list(Layout):
            raise TextError(f"text spec: inputs={str(self.inputs)!r} is not known; there are {', '.join(Layout)}.")
        object.__setattr__(self, "inputs", Layout(self.inputs))  # of JSON
        if self.normalization not in list(Normalization):
            raise TextError(
                f"text spec: normalization={str(self.normalization)!r} is not known; there are "
                f"{', '.join(Normalization)}."
            )
        object.__setattr__(self, "normalization", Normalization(self.normalization))
        if self.words < FIRST_WORD or self.max_tokens < 1 or self.ngrams < 1:
            raise TextError(
                f"text spec is wrong: words={self.words} (at least 2), max_tokens={self.max_tokens} and "
                f"ngrams={self.ngrams} (at least 1)."
            )
        self._check_fasttext()
        self._check_tokenizer()
        self._check_spacy()
        if self.subwords is not None:
            object.__setattr__(self, "subwords", tuple(self.subwords))
            least = 2 if self.fasttext is None else 1
            if len(self.subwords) != 2 or not least <= self.subwords[0] <= self.subwords[1]:
                raise TextError(
                    f"text spec: subwords={list(self.subwords)} must be the shortest and the longest n-gram of "
                    f"characters, at least {least}, such as [3, 5]."
                )
        self._check_keys()
        self._check_characters()
        self._check_languages()

    def _check_fasttext(self) -> None:
        if self.fasttext is None:
            return
        if isinstance(self.fasttext, dict):  # of JSON
            given = {**self.fasttext, "labels": tuple(self.fasttext.get("labels", ()))}
            object.__setattr__(self, "fasttext", FastText(**given))
        problem = self.fasttext.problem(self.buckets)
        changed = self.lowercase or self.normalization is not Normalization.NONE
        if problem is None and (changed or self.inputs is not Layout.INDICES):
            problem = "inputs must be 'indices', lowercase false and normalization 'none'"
        if problem is not None:
            raise TextError(f"text spec: fasttext: {problem}.")

    def _check_tokenizer(self) -> None:
        if self.tokenizer is None:
            return
        if isinstance(self.tokenizer, dict):  # of JSON
            given = {**self.tokenizer, "special": tuple(self.tokenizer.get("special", (0, 0)))}
            object.__setattr__(self, "tokenizer", TokenizerRules(**given))
        problem = self.tokenizer.problem(self.words - FIRST_WORD)
        changed = self.lowercase or self.normalization is not Normalization.NONE or bool(self.pattern)
        further = self.fasttext is not None or self.listed or self.ngrams > 1 or self.subwords or self.buckets
        if problem is None and (changed or further or self.inputs is not Layout.INDICES):
            problem = (
                "inputs must be 'indices', lowercase false, normalization 'none', pattern empty, and there are no "
                "n-grams, subwords or buckets"
            )
        if problem is not None:
            raise TextError(f"text spec: tokenizer: {problem}.")

    def _check_spacy(self) -> None:
        if self.spacy is None:
            return
        given: object = self.spacy
        if isinstance(given, dict):  # of JSON
            object.__setattr__(self, "spacy", Spacy(**given))
        problem = self.spacy.problem()
        changed = self.lowercase or self.normalization is not Normalization.NONE
        alone = not (self.subwords or self.listed or self.fasttext) and self.words == FIRST_WORD
        if changed or self.inputs is not Layout.INDICES or not alone:
            problem = "inputs must be 'indices', words 2, normalization 'none', and all else off"
        elif self.buckets < 1 or self.buckets & (self.buckets - 1):
            problem = f"buckets={self.buckets} must be a power of 2"
        if problem is not None:
            raise TextError(f"text spec: spacy: {problem}.")

    def _check_keys(self) -> None:
        keyed = f"ngrams={self.ngrams}, subwords={self.subwords} and buckets={self.buckets}"
        if self.inputs is Layout.CHARACTERS and (self.ngrams > 1 or self.subwords or self.buckets):
            raise TextError(f"text spec: {keyed}; with inputs 'characters' they must be 1, None and 0.")
        if self.inputs is Layout.HASHES and self.buckets:
            raise TextError(
                f"text spec: buckets={self.buckets} must be 0: with inputs 'hashes' the model has its own."
            )
        if self.listed:
            if self.inputs is not Layout.INDICES or self.ngrams < 2 or self.subwords or self.buckets or self.fasttext:
                raise TextError(
                    f"text spec: {keyed}; with listed n-grams inputs must be 'indices', ngrams at least 2, and the "
                    "others None and 0."
                )
        elif (
            self.inputs in (Layout.INDICES, Layout.LANGUAGES)
            and self.spacy is None
            and (self.ngrams > 1 or bool(self.subwords)) != (self.buckets > 0)
        ):
            raise TextError(
                f"text spec: {keyed} must be on together or off together: word n-grams (ngrams above 1) and "
                "subwords are hashed into buckets."
            )
        if self.inputs in (Layout.HASHES, Layout.CHARACTERS) and self.words != FIRST_WORD:
            raise TextError(
                f"text spec: words={self.words} must be 2: with inputs {str(self.inputs)!r} no word has a row "
                "of its own."
            )

    def _check_characters(self) -> None:
        given = f"word_length={self.word_length} and characters={self.characters}"
        if self.inputs is Layout.CHARACTERS and (self.word_length < 1 or self.characters < 2):
            raise TextError(f"text spec: {given} must be at least 1 and 2 with inputs 'characters'.")
        if self.inputs is not Layout.CHARACTERS and (self.word_length or self.characters):
            raise TextError(f"text spec: {given} must be 0 with inputs {str(self.inputs)!r}.")

    def _check_languages(self) -> None:
        if self.inputs is not Layout.LANGUAGES:
            if self.languages:
                raise TextError(
                    f"text spec: languages={self.languages} must be empty with inputs {str(self.inputs)!r}; "
                    "only 'languages' has a vocabulary each."
                )
        elif not self.languages or min(self.languages.values()) < 1 or "" in self.languages:
            raise TextError(
                f"text spec: languages={self.languages} must name one language or more, with at least one row each."
            )
        elif self.words != 1 + sum(self.languages.values()):
            raise TextError(
                f"text spec: words={self.words} must be 1 and the rows of the languages, "
                f"{1 + sum(self.languages.values())}."
            )

    @property
    def rows(self) -> int:
        """Rows of the table: words and buckets."""
        return self.words + self.buckets

    @property
    def knows_words(self) -> bool:
        """Whether words have rows of their own, and others can be added."""
        return self.inputs in (Layout.INDICES, Layout.LANGUAGES) and self.spacy is None and self.tokenizer is None

    @property
    def cells(self) -> int:
        """Ids of each token and each n-gram: 2 for spaCy's, whose n-grams have two rows, else 1."""
        return CELLS if self.spacy is not None else 1

    @property
    def ends(self) -> int:
        """Tokens that are looked up beside those of the text: fastText's end, a tokenizer's special tokens."""
        return sum(self.tokenizer.special) if self.tokenizer is not None else int(self.fasttext is not None)

    @property
    def skips_unknown(self) -> bool:
        """Whether a word without a row has no cell."""
        return self.fasttext is not None or (self.tokenizer is not None and self.tokenizer.skips_unknown)

    @property
    def hashed(self) -> bool:
        """Whether the hash of every token is needed."""
        return (self.ngrams > 1 and not self.listed) or self.inputs is Layout.HASHES

    def to_json(self) -> dict[str, Any]:
        """Return the content of `text.json`; `fasttext`, `spacy`, `listed` and `tokenizer` are there where used."""
        found = asdict(self)
        if self.fasttext is None:
            del found["fasttext"]
        if self.spacy is None:
            del found["spacy"]
        if not self.listed:
            del found["listed"]
        if self.tokenizer is None:
            del found["tokenizer"]
        return found
