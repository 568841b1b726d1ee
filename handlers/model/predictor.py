"""From texts and images to answers: encode → infer → decode, without any transport around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..engine.engines import Counts, Engine, ImageEngine, Images, Scores
from ..text.batch import Batch
from ..text.encoder import Ids, TextEncoder, TextSpec, Tokens
from .decoders import DECODERS, vectors

# A batch is cut into pieces of texts of similar width. More bytes of vectors than this do not fit a core's cache:
# measured at 300 dimensions and 200 words, 40 µs a text in pieces of 1 MiB against 72 µs in a batch of 64.
MAX_PIECE_BYTES = 1 << 20
# The most texts of a piece where an encoder computes every cell, PAD too: 0.6 of the time of 64 texts in one piece.
MAX_PIECE_TEXTS = 16
# The most padding of a piece, in cells: 15 texts of 10 tokens and one of 200 take 4 to 13 times as long in one piece
# as in two; with 160 cells of padding a cut is faster in every encoder and engine, with 50 in none.
MAX_PADDING = 128
# The most texts that are answered at once, so that a request cannot decide how much memory a worker uses.
MAX_BATCH = 256

INPUT_KINDS = ("ids", "text")


@dataclass(frozen=True)
class ModelFile:
    """The content of `model.json`, which describes the exported model beside it."""

    name: str
    version: str
    variant: str
    engine: str
    precision: str
    file: str
    """File name of the exported model."""
    parallel: bool = False
    """Whether a batch is faster with more than one thread, as with an encoder."""
    task: str = "classify"
    """The kind of its answers, one of DECODERS."""
    threshold: float = 0.5
    """The least score of a predicted label (multilabel)."""
    image_file: str | None = None
    """File name of the image tower, which the same engine runs (joint)."""
    image_values: int = 0
    """Number of values of an image (joint)."""
    vector_bytes: int = 0
    """Bytes of the vector of each id; 0 if the model sums vectors without storing them."""
    takes: str = "ids"
    """The input of the text model, one of INPUT_KINDS."""
    schema: int = 1

    def __post_init__(self) -> None:
        """Refuse names that would break lines or headers, unknown values, and a joint model without images."""
        for field in ("name", "version", "variant", "engine", "precision", "file"):
            value = getattr(self, field)
            if not isinstance(value, str) or not value.isprintable():
                raise ValueError(f"model.json has the {field} {value!r}; printable characters were expected.")
        for file in (self.file, self.image_file):
            if file is not None and (not isinstance(file, str) or file in ("", ".", "..") or set(file) & set("/\\")):
                raise ValueError(f"model.json names the file {file!r}; a file beside it was expected.")
        if self.schema != 1:
            raise ValueError(f"model.json has schema {self.schema}, this version reads schema 1; update lexport.")
        if self.task not in DECODERS:
            raise ValueError(f"model.json names the task {self.task!r}; known are {', '.join(DECODERS)}.")
        if self.takes not in INPUT_KINDS:
            raise ValueError(
                f"model.json says that the model takes {self.takes!r}; known are {', '.join(INPUT_KINDS)}."
            )
        if (self.image_file is not None and self.image_values > 0) != DECODERS[self.task].TAKES_IMAGES:
            raise ValueError(
                f"model.json has the task {self.task}, image_file {self.image_file!r} and image_values "
                f"{self.image_values}; a joint model needs both, any other none."
            )


class Predictor(ABC):
    """One exported model with its labels, ready to answer texts of `languages`, if it has any, and images."""

    _engine: Any

    def __init__(
        self,
        model: ModelFile,
        spec: TextSpec,
        labels: Sequence[str],
        image_engine: ImageEngine | None = None,
    ) -> None:
        """Keep the parts that all models have; `loading.load` reads them from a folder."""
        self.model = model
        self.decoder = DECODERS[model.task]
        self.spec = spec
        self.labels = tuple(labels)
        self.languages = tuple(spec.languages)
        self._image_engine = image_engine

    @property
    def engine(self) -> Any:
        """What runs the text model, as `loading` opened it."""
        return self._engine

    def swap_engines(self, engine: Any, image_engine: ImageEngine | None) -> None:
        """Use other engines of the same files from the next call on."""
        self._engine, self._image_engine = engine, image_engine

    @abstractmethod
    def run_batch(self, batch: Batch) -> tuple[Counts, Scores]:
        """Return `raw_outputs` of at most MAX_BATCH texts."""

    @abstractmethod
    def engine_call(self, batch: Batch) -> Callable[[], Scores]:
        """Return a function that runs only the engine, on at most MAX_BATCH texts that are already encoded."""

    def raw_outputs(self, batch: Batch) -> tuple[Counts, Scores]:
        """Return the model's outputs for the texts of a batch: their counts and float32 [texts, outputs].

        Raises TextError for a language that is missing, unknown or of no use to the model.
        """
        if len(batch) <= MAX_BATCH:
            return self.run_batch(batch)
        counts, outputs = zip(*map(self.run_batch, batch.pieces(MAX_BATCH)), strict=True)
        return Counts.joined(counts), np.concatenate(outputs)

    def image_outputs(self, images: Images) -> Scores:
        """Return the unit vectors of images: float32 [images, values] → float32 [images, dim].

        Raises ValueError for a model without images or another number of values.
        """
        if self._image_engine is None:
            raise ValueError(f"{self.model.name} is a {self.model.task} model and takes no images.")
        if images.ndim != 2 or images.shape[1] != self.model.image_values:
            raise ValueError(
                f"The images have the shape {list(images.shape)}, expected [images, {self.model.image_values}]."
            )
        firsts = range(0, len(images), MAX_PIECE_TEXTS)
        return np.concatenate([self._image_engine(images[first : first + MAX_PIECE_TEXTS]) for first in firsts])

    def predict(self, texts: Sequence[str], languages: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return one answer per text, as the model's decoder makes them. Raises TextError as `raw_outputs` does."""
        return self.answers(*self.raw_outputs(Batch(texts, languages))) if texts else []

    def answers(self, counted: Counts, outputs: Scores) -> list[dict[str, Any]]:
        """Return the answers that `raw_outputs` stand for."""
        return self.decoder.decode(outputs, counted, self.labels, self.model.threshold)

    def predict_images(self, images: Images) -> list[dict[str, Any]]:
        """Return one answer per image, float32 [images, values]: its vector.

        Raises ValueError as `image_outputs` does.
        """
        return vectors(self.image_outputs(images))


class IdsIn(Predictor):
    """A model that takes ids, together with the text code that makes them."""

    def __init__(
        self,
        model: ModelFile,
        encoder: TextEncoder,
        labels: Sequence[str],
        engine: Engine,
        image_engine: ImageEngine | None = None,
    ) -> None:
        """Put the parts together. Only a joint model has an image engine."""
        super().__init__(model, encoder.spec, labels, image_engine)
        self.encoder = encoder
        self._engine: Engine = engine

    def run_batch(self, batch: Batch) -> tuple[Counts, Scores]:
        """Encode the texts in pieces and run the engine."""
        tokens, pieces = self.encode(batch)
        return Counts(tokens.lengths - self.spec.ends, tokens.unknown, np.array(tokens.truncated, bool)), self._infer(
            pieces
        )

    def engine_call(self, batch: Batch) -> Callable[[], Scores]:
        """Return a function that runs the model on the ids of the texts."""
        return partial(self._infer, self.encode(batch)[1])

    def outputs_of_ids(self, ids: Ids) -> Scores:
        """Return what the model says of ids already laid out, int64 [texts, length] or of three dimensions."""
        return np.concatenate(
            [self._engine(ids[first : first + MAX_BATCH]) for first in range(0, len(ids), MAX_BATCH)]
        )

    def encode(self, batch: Batch) -> tuple[Tokens, list[tuple[Ids, Ids]]]:
        """Look a batch up and cut it into (positions, id tensor) pieces of texts of similar width.

        Raises TextError for a language that is missing, unknown or of no use to the model.
        """
        tokens = self.encoder.look_up(batch.texts, batch.languages)
        return tokens, self._pieces(tokens)

    def _pieces(self, tokens: Tokens) -> list[tuple[Ids, Ids]]:
        count = len(tokens.lengths)
        widths = self.encoder.widths(tokens.lengths, tokens.subword_counts)
        if self._is_piece(count, int(widths.max(initial=0)), int(widths.sum())):
            return [(np.arange(count), self.encoder.assemble(tokens))]
        order = np.argsort(widths, kind="stable")
        matrix = self.encoder.assemble(tokens.take(order))
        filled = [0, *np.cumsum(widths[order]).tolist()]
        pieces: list[tuple[Ids, Ids]] = []
        first = 0
        for last, width in enumerate([*widths[order[1:]].tolist(), None], 1):
            if width is None or not self._is_piece(last + 1 - first, width, filled[last + 1] - filled[first]):
                columns = max(int(widths[order[last - 1]]), 1)
                pieces.append((order[first:last], np.ascontiguousarray(matrix[first:last, :columns])))
                first = last
        return pieces

    def _is_piece(self, texts: int, width: int, filled: int) -> bool:
        """Return whether this number of texts, with this widest width and total of ids, makes one piece."""
        model, cells = self.model, texts * width
        if model.parallel and (texts > MAX_PIECE_TEXTS or cells - filled > MAX_PADDING):
            return False
        return texts <= MAX_BATCH and cells * model.vector_bytes <= MAX_PIECE_BYTES

    def _infer(self, pieces: Sequence[tuple[Ids, Ids]]) -> Scores:
        if len(pieces) == 1:  # which is in the texts' own order
            return self._engine(pieces[0][1])
        outputs = [self._engine(ids) for _, ids in pieces]
        found = np.empty((sum(map(len, outputs)), outputs[0].shape[1]), np.float32)
        for (chosen, _), rows in zip(pieces, outputs, strict=True):
            found[chosen] = rows
        return found
