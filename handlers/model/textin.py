"""A model that takes raw texts: an ONNX graph with the text code inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..engine.engines import Counts, ImageEngine, Scores, TextEngine
from ..text.batch import Batch, language_numbers
from ..text.spec import TextSpec
from .predictor import MAX_PADDING, MAX_PIECE_BYTES, MAX_PIECE_TEXTS, ModelFile, Predictor

# Texts of more than this many characters for every token kept are tried by their beginning first.
_BEGINNING = 16
# A token and the space behind it: so many characters of padding are a cell of it, about.
_TOKEN = 6
# Without an encoder's work so many cells of padding in a whole batch, unless each has subwords, cost less than
# ordering and cutting it: 64 short sentences take 0.73 of the time of pieces of 16, 64 reviews of all lengths 1.3.
_ROOM = 2048

# Positions of texts, and the texts.
Piece = tuple[Sequence[int], Batch]


class TextIn(Predictor):
    """Sort texts by length, cut them into pieces, and give them to the engine as they are."""

    def __init__(
        self,
        model: ModelFile,
        spec: TextSpec,
        labels: Sequence[str],
        engine: TextEngine,
        image_engine: ImageEngine | None = None,
    ) -> None:
        """Put the parts together. Only a joint model has an image engine."""
        super().__init__(model, spec, labels, image_engine)
        self._engine: TextEngine = engine
        self._numbers = {language: number for number, language in enumerate(spec.languages)}
        self._most = _BEGINNING * spec.max_tokens
        self._room = MAX_PADDING if model.parallel or spec.subwords else _ROOM

    def run_batch(self, batch: Batch) -> tuple[Counts, Scores]:
        """Run the engine; for very long texts on their beginning if that is enough."""
        counts, outputs = self._infer(self._pieces(batch))
        for place, text in enumerate(batch.texts):
            # A text with too many tokens in its beginning keeps none of the rest.
            if len(text) > self._most and not counts.truncated[place]:
                alone = batch[place : place + 1]
                whole, outputs[place] = self._engine(alone.texts, alone.languages)
                counts.lengths[place], counts.unknown[place] = whole.lengths[0], whole.unknown[0]
                counts.truncated[place] = whole.truncated[0]
        return counts, outputs

    def engine_call(self, batch: Batch) -> Callable[[], Scores]:
        """Return a function that runs the graph on the texts in pieces."""
        pieces = self._pieces(batch)
        return lambda: self._infer(pieces)[1]

    def _pieces(self, batch: Batch) -> list[Piece]:
        """Return pieces of texts of similar length. Raises TextError as `raw_outputs` does."""
        if batch.languages is not None or self._numbers:
            language_numbers(self._numbers, batch.languages, len(batch))
        short = Batch([text[: self._most] for text in batch.texts], batch.languages)
        lengths = [len(text) for text in short.texts]
        cuts = [list(range(len(short)))]
        if not self._is_piece(len(short), max(lengths, default=0), sum(lengths), self._room):
            cuts, filled = [], 0
            for place in sorted(range(len(short)), key=lengths.__getitem__):
                filled += lengths[place]
                if not cuts or not self._is_piece(len(cuts[-1]) + 1, lengths[place], filled, MAX_PADDING):
                    cuts.append([])
                    filled = lengths[place]
                cuts[-1].append(place)
        return [(cut, short.take(cut)) for cut in cuts]

    def _is_piece(self, texts: int, longest: int, filled: int, room: int) -> bool:
        """Return whether so many `texts`, with this `longest` text and `filled` characters in all, make one piece.

        `room` is the padding, in cells, that is cheaper than a cut.
        """
        characters = texts * longest
        alike = characters - filled <= room * _TOKEN
        if self.model.parallel:
            return texts <= MAX_PIECE_TEXTS and alike
        return texts <= MAX_PIECE_TEXTS or (
            alike and characters * self.model.vector_bytes <= MAX_PIECE_BYTES * _TOKEN
        )

    def _infer(self, pieces: Sequence[Piece]) -> tuple[Counts, Scores]:
        answers = [self._engine(piece.texts, piece.languages) for _, piece in pieces]
        if len(pieces) == 1:  # which is in the texts' own order
            return answers[0]
        back = np.argsort(np.concatenate([places for places, _ in pieces]))
        counts = Counts.joined([counted for counted, _ in answers])
        return counts.take(back), np.concatenate([outputs for _, outputs in answers])[back]
