"""The vectors that every format is tried on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lexport.data.pretrained import KeyedVectors, open_vectors
from lexport.errors import InputError

from ...refusals import refused

PLAIN = "cat 0.5 -1 2e-1\ndog 1 2 3\n好 0 0 1\n"
WORDS = ["cat", "dog", "好"]
MATRIX = np.array([[0.5, -1, 0.2], [1, 2, 3], [0, 0, 1]], np.float32)


def written(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def binary(words: list[str], matrix: npt.NDArray[np.floating[Any]], after: bytes = b"") -> bytes:
    """word2vec's binary format; word2vec itself ends every vector with a line break, gensim with nothing."""
    rows = [
        f"{word} ".encode() + row.astype("<f4").tobytes() + after for word, row in zip(words, matrix, strict=True)
    ]
    return f"{len(words)} {matrix.shape[1]}\n".encode() + b"".join(rows)


def refusal(code: str, source: str | Path | KeyedVectors, words: list[str], lines: int = 1) -> str:
    """What is said of vectors that cannot be used, as they are opened or looked up."""
    with refused(InputError, code) as caught:
        open_vectors(source).look_up(words)
    message = str(caught.value)
    assert len(message.split("\n")) == lines
    assert message.replace("\n", "").isprintable()
    return message
