"""The page that `lexport vectors map` writes: a map of words to search, move and zoom, in one file."""

from __future__ import annotations

import base64
import hashlib
import json

from ...evaluation.vectors.map_options import Colour
from ...evaluation.vectors.mapping import WordMap
from ...messages.escaping import visible
from ..pages import TEMPLATES, render

_GRID = 10_000  # positions are whole numbers of this


def page(made: WordMap) -> str:
    """Return the page of a map. It loads nothing, and runs the one script that its policy names."""
    points = (made.points * _GRID).round().astype(int)
    values = {
        "words": [visible(word) for word in made.words],
        "x": points[:, 0].tolist(),
        "y": points[:, 1].tolist(),
        "near": [[other for other, _ in near] for near in made.neighbours],
        "cosine": [[round(1000 * cosine) for _, cosine in near] for near in made.neighbours],
        "kinds": [visible(name) for name in made.kinds],
        "kind": list(made.kind),
        "last": max(made.kind),
    }
    return render(
        "word_map.html",
        title=f"Words of {made.name}",
        in_short=f"{len(made.words):,} words by {made.about}; like vectors lie near to each other. {meaning(made)}",
        label=f"Map of {len(made.words):,} words",
        digest=script_digest(),
        data=json.dumps(values, ensure_ascii=False, separators=(",", ":")),
    )


def script_digest() -> str:
    """Return the digest of the page's script, as a content security policy names it."""
    script = (TEMPLATES / "word_map.js").read_bytes()
    return f"sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}"


def meaning(made: WordMap) -> str:
    """Return what the colours of a map say, in a sentence."""
    if made.colour is Colour.FREQUENCY:
        return "Colours say how early a word comes in the table, which has frequent words first."
    if made.colour is Colour.LABEL:
        return "Colours say which label the model gives the word alone."
    return "Colours say which words are near to each other in all dimensions."
