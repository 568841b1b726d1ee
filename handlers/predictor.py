"""From texts to answers: encode → infer → decode, without any transport around it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .engines import Engine, Scores, open_engine
from .text import Ids, TextEncoder, Tokens, load_encoder

# The rows gathered for more texts than this no longer fit a core's cache: measured 21 µs a text in batches
# of 16 against 39 µs in batches of 64.
PIECE = 16
# More texts than this are answered in turns, so that no request decides how much memory a worker takes.
TURN = 256


@dataclass(frozen=True)
class ModelFile:
    """What `model.json` says of the exported model beside it.

    parallel: whether the work of a batch is worth more than one thread.
    """

    name: str
    version: str
    variant: str
    engine: str
    precision: str
    file: str
    parallel: bool = False
    schema: int = 1

    def __post_init__(self) -> None:
        """Refuse a schema that this code does not know."""
        if self.schema != 1:
            raise ValueError(f"model.json has schema {self.schema}, this version reads schema 1; update lexport.")


class Predictor:
    """One exported model with its text spec and labels, ready to answer."""

    def __init__(self, model: ModelFile, encoder: TextEncoder, labels: Sequence[str], engine: Engine) -> None:
        """Put the four parts together; `load` reads them from a folder."""
        self.model = model
        self.encoder = encoder
        self.labels = tuple(labels)
        self._engine = engine

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1, device: str = "cpu") -> Predictor:
        """Open an extracted archive. Raises ValueError or RuntimeError with the reason."""
        model = ModelFile(**json.loads((folder / "model.json").read_text(encoding="utf-8")))
        labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        encoder = load_encoder(folder)
        engine = open_engine(
            model.engine, folder / model.file, threads=threads if model.parallel else 1, device=device
        )
        return cls(model, encoder, labels, engine)

    def scores(self, ids: Ids) -> Scores:
        """Scores of an index matrix: int64 [batch, length] → float32 [batch, labels]."""
        return self._engine(ids)

    def encode(self, texts: Sequence[str]) -> tuple[Tokens, list[tuple[Ids, Ids]]]:
        """Look a batch up and cut it into (positions, index matrix) pieces of texts of similar length."""
        tokens = self.encoder.look_up(texts)
        if len(texts) <= PIECE:
            return tokens, [(np.arange(len(texts)), self.encoder.assemble(tokens))]
        order = np.argsort(tokens.lengths, kind="stable")
        widths = self.encoder.widths(tokens.lengths[order])
        matrix = self.encoder.assemble(tokens.take(order))
        pieces: list[tuple[Ids, Ids]] = []
        for first in range(0, len(order), PIECE):
            last = min(first + PIECE, len(order))
            width = max(int(widths[last - 1]), 1)
            pieces.append((order[first:last], np.ascontiguousarray(matrix[first:last, :width])))
        return tokens, pieces

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """One answer per text: label, score, scores by label, tokens, unknown, truncated."""
        if len(texts) > TURN:
            turns = range(0, len(texts), TURN)
            return [answer for first in turns for answer in self.predict(texts[first : first + TURN])]
        tokens, pieces = self.encode(texts)
        scores = np.empty((len(texts), len(self.labels)), np.float32)
        for chosen, ids in pieces:
            scores[chosen] = self._engine(ids)
        best = scores.argmax(axis=1).tolist()
        labels = self.labels
        rows = zip(
            scores.tolist(),
            best,
            tokens.lengths.tolist(),
            tokens.unknown.tolist(),
            tokens.truncated,
            strict=True,
        )
        return [
            {
                "label": labels[top],
                "score": row[top],
                "scores": dict(zip(labels, row, strict=True)),
                "tokens": count,
                "unknown": unknown,
                "truncated": truncated,
            }
            for row, top, count, unknown, truncated in rows
        ]
