"""Files of word vectors as models of text vectors: the mean of the vectors of a text's words, of length 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...data.pretrained import open_vectors
from ...data.pretrained.base import LARGEST
from ...data.pretrained.matrix import SIGNATURE
from ...data.pretrained.text import is_row, read_header
from ...errors import InputError
from ...evaluation.metrics import Outputs
from ...handlers.text.encoder import FIRST_WORD, Normalization, TextEncoder, TextSpec
from ...models.compose import build
from ...models.embeddings import TableOptions
from ...models.encoders.bag import BagOptions
from ...models.heads.vector import VectorOptions
from ...models.recipes import Recipe, TextOptions, TrainingOptions
from ...storage.compression import shown
from .kind import Before, Imported, ImportOptions, Kind, beginning, is_line

_BEGINNING = 1 << 16
_LEAST_NUMBERS = 2
Vectors = npt.NDArray[np.float32]


class WordVectors(Kind):
    """Text or binary files of word2vec, GloVe's and fastText's text files, a .npy with an index of its words."""

    NAME = "word vectors (.vec, .txt, .bin of word2vec, .npy with an index)"

    def recognise(self, path: Path) -> bool:
        """Return whether the file begins as one of vectors does: with their number, with a row, or as a .npy."""
        start = beginning(path, _BEGINNING)
        if start.startswith(SIGNATURE):
            return True
        first = start.partition(b"\n")[0]
        return read_header(first) is not None or is_row(first, max(len(first.split()) - 1, _LEAST_NUMBERS))

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the model that answers the mean of a text's word vectors. Raises InputError for a damaged file."""
        return averaged(path, *open_vectors(path).whole())


def averaged(
    path: Path,
    words: Sequence[str],
    matrix: npt.NDArray[np.floating],
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> Imported:
    """Return the model that answers the mean of the vectors of a text's words, float [words, dim], of length 1.

    facts: what else `run.json` keeps of it. Raises InputError for numbers that are not finite.
    """
    words, vectors = _usable(path, words, matrix)
    dim = int(vectors.shape[1])
    lowercase = not any(word != word.lower() for word in words)
    spec = TextSpec(
        words=FIRST_WORD + len(words),
        lowercase=lowercase,
        normalization=Normalization.NFC,
        min_count=1,
    )
    recipe = Recipe(
        name="word-vectors",
        when="Word vectors of another program, averaged.",
        text=TextOptions(buckets=0, min_count=1, max_tokens=spec.max_tokens),
        embedding=TableOptions(dim=dim),
        encoder=BagOptions(),
        head=VectorOptions(objective="pooled"),
        training=TrainingOptions(),
    )
    model = build(recipe, spec)
    with torch.no_grad():
        model.embedding.weight.zero_()  # type: ignore[operator]
    rows = torch.arange(FIRST_WORD, spec.words)
    model.embedding.fill(rows, torch.from_numpy(vectors))  # type: ignore[operator]
    encoder = TextEncoder(spec, words)
    note = "words are looked up in lower case: no word of the file has a capital" if lowercase else ""
    return Imported(
        recipe=recipe,
        model=model,
        encoder=encoder,
        labels=[],
        before=_averaging(encoder, words, vectors),
        notes=[note] if note else [],
        facts={"words": len(words), "dim": dim, **facts},
    )


def _usable(path: Path, words: Sequence[str], matrix: npt.NDArray[np.floating]) -> tuple[list[str], Vectors]:
    """Return the words with their first vectors, float32 [words, dim]. Raises InputError for numbers not finite."""
    first = {word: row for row, word in reversed(list(enumerate(words)))}
    kept = [word for word in dict.fromkeys(words) if is_line(word)]
    with np.errstate(over="ignore"):
        vectors = np.asarray(matrix[[first[word] for word in kept]], np.float32)
    odd = np.flatnonzero(~(np.abs(vectors) <= LARGEST).all(axis=1))
    if len(odd) or not kept:
        what = f"the vector of '{shown(kept[odd[0]])}' has numbers that are not finite" if kept else "it has no word"
        raise InputError(
            f"{shown(path)} cannot be brought in: {what}. Remove these words from the file, or make it again.",
            code="LX-IMPORT-006",
        )
    return kept, vectors


def _averaging(encoder: TextEncoder, words: Sequence[str], vectors: Vectors) -> Before:
    """Return what a program with these vectors answers: the mean of those of a text's words, of length 1.

    The file does not say what the words of a text are; those are `encoder`'s.
    """
    rows = {word: row for row, word in enumerate(words)}

    def answer(texts: Sequence[str]) -> Outputs:
        found = np.zeros((len(texts), vectors.shape[1]), np.float32)
        for number, text in enumerate(texts):
            known = [rows[word] for word in encoder.tokens(text)[0] if word in rows]
            if known:
                mean = vectors[known].astype(np.float64).mean(axis=0)
                found[number] = mean / max(float(np.linalg.norm(mean)), 1e-12)
        return found

    return answer
