"""Words of a table that are spelled like one that it lacks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import SequenceMatcher

from ...data.pretrained.subword_neighbours import grams, neighbours

_LONGER, _MOST, _LIKELY = 3, 2000, 30  # characters; words whose n-grams, and whose letters, are compared


def alike(word: str, words: Sequence[str], known: Collection[str], limit: int = 5) -> list[str]:
    """Return at most `limit` of `words` that are spelled like `word`, the most similar first.

    The same word with other capitals comes first. Only words of about its length that share three characters in a
    row with it, begin and end among them, are compared. `known` are the same words, quick to look in.
    """
    cases = [one for one in (word.lower(), word.title(), word.upper()) if one != word and one in known]
    pieces = [gram for gram in grams(word) if len(gram) == 3]
    close = [
        one for one in words if abs(len(one) - len(word)) <= _LONGER and any(piece in f"<{one}>" for piece in pieces)
    ]
    if len(close) > _MOST:
        # The rarer words are behind.
        shared = sorted(range(len(close)), key=lambda at: (-_shared(pieces, close[at]), at))
        close = [close[at] for at in shared[:_MOST]]
    near = [close[at] for at, _ in neighbours([word], close, _LIKELY)[0]] if close else []
    # Sets of n-grams say who is alike at all; the order of the letters says who is most alike.
    near.sort(key=lambda one: -SequenceMatcher(None, word, one, autojunk=False).ratio())
    return list(dict.fromkeys([*cases, *near]))[:limit]


def _shared(pieces: Sequence[str], word: str) -> int:
    return sum(piece in f"<{word}>" for piece in pieces)
