"""The number of each text's language, and what is said of a language that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .spec import TextError


def language_numbers(known: Mapping[str, int], languages: Sequence[str | None] | None, texts: int) -> list[int]:
    """Return the number of each text's language, 0 where the model has none and none is given. Raises TextError."""
    if languages is None:
        languages = [None] * texts
    if len(languages) != texts:
        raise TextError(f"There are {texts} texts and {len(languages)} languages; each text needs one.")
    return [_language_number(known, language) for language in languages]


def _language_number(known: Mapping[str, int], language: str | None) -> int:
    if not known:
        if language is None:
            return 0
        raise TextError(f"The model has one vocabulary for every language; leave the language {language!r} out.")
    if language is None:
        raise TextError(f"The model needs a language with every text, one of: {', '.join(known)}.")
    if language not in known:
        raise TextError(f"The language {language!r} is not known; known are: {', '.join(known)}.")
    return known[language]
