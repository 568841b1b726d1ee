"""Sets that people judged: pairs of words by how similar they are, and analogies; files of the package gensim.

WordSim-353: Finkelstein and others, Placing Search in Context, 2002. SimLex-999: Hill, Reichart, Korhonen,
SimLex-999: Evaluating Semantic Models with (Genuine) Similarity Estimation, 2015. Analogies: Mikolov, Chen, Corrado,
Dean, Efficient Estimation of Word Representations in Vector Space, 2013. The package is located, never imported.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from ...errors import MissingExtra, SystemProblem

_MODULE, _FOLDER = "gensim", "test/test_data"


@dataclass(frozen=True)
class Pair:
    """Two words, and how similar people found them; higher is more similar."""

    first: str
    second: str
    score: float


@dataclass(frozen=True)
class Analogy:
    """Four words, `second` being to `first` as `fourth` to `third`, and the name of their group."""

    first: str
    second: str
    third: str
    fourth: str
    group: str


ANALOGIES = "analogies"
"""The name of the set of analogies."""
_PAIRS = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}
_ANALOGIES = "questions-words.txt"
SETS = (*_PAIRS, ANALOGIES)
"""The names of all sets."""


def pairs(name: str) -> list[Pair]:
    """Return the pairs of a set. Raises MissingExtra without gensim, SystemProblem if it lacks the file."""
    found = []
    for line in _lines(_PAIRS[name]):
        if not line.startswith("#"):
            first, second, score = line.split("\t")
            found.append(Pair(first, second, float(score)))
    return found


def analogies() -> list[Analogy]:
    """Return the analogies. Raises as `pairs` does."""
    found, group = [], ""
    for line in _lines(_ANALOGIES):
        if line.startswith(":"):
            group = line[1:].strip()
        else:
            first, second, third, fourth = line.split()
            found.append(Analogy(first, second, third, fourth, group))
    return found


def _lines(name: str) -> list[str]:
    spec = importlib.util.find_spec(_MODULE)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise MissingExtra.of(_MODULE, "Evaluating vectors on WordSim-353, SimLex-999 and analogies")
    for folder in map(Path, folders):
        file = folder / _FOLDER / name
        if file.is_file():
            return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    raise SystemProblem(
        f"The package gensim is installed but has no file {_FOLDER}/{name}. Install it again with: "
        "pip install --force-reinstall gensim",
        code="LX-VECTORS-105",
    )
