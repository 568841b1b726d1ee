"""What a misspelt name may have been."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from .escaping import visible


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'NAME'?" with the known name that is most like `name`, "" if none is much like it.

    Letters count alike in upper and lower case. Likeness is `difflib`'s ratio, of at least 0.6.
    """
    by_folded: dict[str, str] = {}
    for one in known:
        by_folded.setdefault(one.casefold(), one)
    close = get_close_matches(name.casefold(), by_folded, 1)
    return f" Did you mean '{visible(by_folded[close[0]])}'?" if close else ""
