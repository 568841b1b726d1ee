"""The table of words of a run, of a file of vectors, of gensim's vectors in memory, or of the package of GloVe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...data.pretrained import KeyedVectors, open_vectors
from ...handlers.engine.tensors import map_tensors
from ...handlers.text.encoder import TextEncoder
from ...handlers.text.files import load_encoder
from ...handlers.text.spec import FIRST_WORD, Layout
from ...handlers.text.vocabulary import groups
from .rows import FloatRows, Floats
from .table import WordTable

_TOGETHER = 4096  # words whose vectors a model makes at a time
_TABLE = "embedding.weight"


def of_vectors(source: str | Path | KeyedVectors) -> WordTable:
    """Return the table of `open_vectors(source)`. Raises as it does, and for a damaged file.

    A .npy stays mapped; files of text and .bin are read whole.
    """
    vectors = open_vectors(source)
    words, matrix = vectors.whole()
    return WordTable(vectors.name, words, FloatRows(matrix))


def of_run(folder: Path) -> WordTable:
    """Return the table of a run. Raises InputError for a damaged run, or one without a vocabulary.

    The rows of a plain table stay mapped. Where a word's vector is made of more than one row, as of subwords, the
    model makes the vector of each word.
    """
    return _mapped(folder) or _made(folder)


def reads(encoder: TextEncoder) -> Callable[[str], str]:
    """Return the function from a word to how the text code spells it; what it splits stays as it is."""

    def read(word: str) -> str:
        tokens, _ = encoder.tokens(word)
        return tokens[0] if len(tokens) == 1 else word

    return read


def is_plain(encoder: TextEncoder) -> bool:
    """Return whether each word of the vocabulary has one row of its own and nothing else."""
    return encoder.spec.inputs is Layout.INDICES and encoder.spec.subwords is None


def _mapped(folder: Path) -> WordTable | None:
    """Return the mapped table of a run, None where vectors of words are not just its rows or a file is damaged."""
    try:
        options: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))["recipe"]["embedding"]
        if options["name"] != "table" or options.get("max_norm") is not None:
            return None
        encoder = load_encoder(folder)
        rows = map_tensors(folder / "weights.safetensors")[_TABLE][FIRST_WORD : encoder.spec.words]
    except (OSError, ValueError, TypeError, KeyError):
        return None  # opening the run says what is wrong
    words = encoder.vocabulary
    if not is_plain(encoder) or len(words) != len(rows):
        return None
    return WordTable(folder.name, words, FloatRows(rows), reads(encoder))


def _made(folder: Path) -> WordTable:
    """Return the table of vectors that a run's model makes of each word of its vocabulary."""
    import torch

    from ...models.run import open_run

    run = open_run(folder)
    encoder, embedding = run.encoder, run.model.embedding
    vocabulary, names = encoder.vocabulary, encoder.languages
    words: list[str] = []
    parts: list[Floats] = []
    for number, (begin, end) in enumerate(groups(encoder.spec, len(vocabulary))):
        own = vocabulary[begin:end]
        for first in range(0, len(own), _TOGETHER):
            asked = own[first : first + _TOGETHER]
            ids = torch.from_numpy(
                encoder.assemble(encoder.look_up(asked, [names[number]] * len(asked) if names else None))
            )
            with torch.inference_mode():
                made = (embedding.vectors(ids) * embedding.mask(ids).unsqueeze(2)).sum(dim=1)
            parts.append(made.numpy())
        words += [f"{names[number]}:{word}" for word in own] if names else own
    matrix = np.concatenate(parts) if parts else np.zeros((0, embedding.dim), np.float32)
    return WordTable(folder.name, words, FloatRows(matrix), reads(encoder))
