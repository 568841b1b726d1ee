"""Unknown words of requests, collected in a worker while somebody asks for it.

Eight bytes in a file of the folder LEXPORT_REPORT_DIR say how many words are kept at most, 0 for none, and how often
all have been forgotten. The file is mapped into memory, so that a batch reads it without a system call. What at least
five requests of a worker had is written into another file there; rarer words are in memory alone.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ..text.encoder import TextEncoder
from ..text.hashing import LONGEST_TOKEN
from .draining import share
from .periodic import Periodic
from .report import VARIABLE

LEAST = 5
"""Requests of a worker that must have had a word before it is written anywhere."""
CONTROL = struct.Struct("<II")
"""The bytes of the control file: words kept at most, and how often all have been forgotten."""
_CANDIDATES = 10  # words counted, for each one that is kept
_MOST_OF_A_REQUEST = 1_000

Word = tuple[str, str]
"""A word and its language, "" where the model has one vocabulary for all."""


def control_name(model: str, version: str) -> str:
    """Return the name of a model's control file; the files with words begin with the same letters."""
    return f"{hashlib.sha256(f'{model} {version}'.encode()).hexdigest()[:16]}.sampling"


def words_name(model: str, version: str, pid: str) -> str:
    """Return the name of a worker's file with words; `*` instead of its process number finds all."""
    return control_name(model, version).replace(".sampling", f".{pid}.words")


class FrequentWords:
    """The words that most requests have, of a stream without an end, in bounded memory.

    Where too many are counted, the half that was seen least is forgotten. A count is therefore never larger than the
    true one, and a word that is shown was seen as often as is said, or more.
    """

    def __init__(self, most: int) -> None:
        """Keep `most` words, and count ten times as many."""
        self.most = most
        self._counts: dict[Word, int] = {}

    def __len__(self) -> int:
        """Return how many words are counted."""
        return len(self._counts)

    def add(self, words: Iterable[Word]) -> None:
        """Count the words of one request, each once however often it has it."""
        counts = self._counts
        for word in dict.fromkeys(words):
            if word not in counts and len(counts) >= self.most * _CANDIDATES:
                # Sorting is stable: of words seen equally often those stay that were there first.
                kept = sorted(counts.items(), key=lambda item: -item[1])[: self.most * _CANDIDATES // 2]
                counts = self._counts = dict(kept)
            counts[word] = counts.get(word, 0) + 1

    def frequent(self) -> list[tuple[Word, int]]:
        """Return the words of at least LEAST requests with their number, most first, at most `most` of them."""
        found = [(word, count) for word, count in list(self._counts.items()) if count >= LEAST]
        return sorted(found, key=lambda item: (-item[1], item[0]))[: self.most]


class Sampling:
    """What one worker collects of one model."""

    def __init__(self, model: str, version: str, encoder: Callable[[], TextEncoder]) -> None:
        """Wait to be switched on; `encoder` returns the model's text code, and is first called then.

        Without the folder (a plain `torchserve`) nothing is ever collected.
        """
        self._control: mmap.mmap | bytes = bytes(CONTROL.size)
        folder = os.environ.get(VARIABLE)
        if folder and Path(folder).is_dir():
            self._control = share(Path(folder, control_name(model, version)), mmap.ACCESS_READ, CONTROL.size)
            self._file = Path(folder, words_name(model, version, str(os.getpid())))
        self._open = encoder
        self._encoder: TextEncoder | None = None
        self._words = FrequentWords(0)
        self._forgotten = 0
        self._lock = threading.Lock()
        self._writing: Periodic | None = None

    @property
    def on(self) -> bool:
        """Whether words are to be collected."""
        return self._control[:4] != b"\0\0\0\0"

    def add(self, texts: Sequence[str], languages: Sequence[str] | None) -> None:
        """Count the unknown words of those texts of one request that have any, with a language for each text."""
        most, forgotten = CONTROL.unpack(self._control[:])
        if not most:  # it was switched off just now
            return
        encoder = self._encoder = self._encoder or self._open()
        named = zip(texts, [""] * len(texts) if languages is None else languages, strict=True)
        found = ((word, own) for text, own in named for word in unknown_words(encoder, text, own))
        words = list(islice(dict.fromkeys(found), _MOST_OF_A_REQUEST))
        with self._lock:
            if forgotten != self._forgotten:
                self._words, self._forgotten = FrequentWords(most), forgotten
            self._words.most = most
            self._words.add(words)
        if self._writing is None:
            self._writing = Periodic("lexport-words", self.write)
            self._writing.start()
        self._writing.note()

    def write(self) -> None:
        """Write the words of at least LEAST requests, whole or not at all; none that were to be forgotten."""
        with self._lock:
            words, forgotten = self._words.frequent(), self._forgotten
        if words and forgotten == self._told_to_forget():
            partial = self._file.with_suffix(".partial")
            listed = [[word, language, count] for (word, language), count in words]
            partial.write_text(json.dumps({"forgotten": forgotten, "words": listed}), encoding="utf-8")
            partial.replace(self._file)
        if forgotten != self._told_to_forget():
            # Whoever said so has removed the file; it may have been written again meanwhile.
            with suppress(FileNotFoundError):
                self._file.unlink()

    def _told_to_forget(self) -> int:
        return int(CONTROL.unpack(self._control[:])[1])


def unknown_words(encoder: TextEncoder, text: str, language: str) -> Iterator[str]:
    """Yield the words of a text that have no row, but for those that may say who wrote it.

    What stands between two spaces is left out as a whole if it has a digit or an @: addresses, numbers, names of
    accounts. So is a word of more than 64 characters.
    """
    kept = [part for part in text.split() if part.isalpha() or not any(map(_is_private, part))]
    words, _ = encoder.tokens(" ".join(kept))
    for word in encoder.without_row(words, language or None):
        if len(word) <= LONGEST_TOKEN:
            yield word


def _is_private(character: str) -> bool:
    return character in "@＠﹫" or character.isdigit()
