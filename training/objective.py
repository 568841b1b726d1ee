"""What a model learns from: a part of the data looked up once, and the loss on any of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.load import Dataset, label_sets
from ..evaluation.tasks import group_ids
from ..handlers.text.encoder import Ids, TextEncoder, Tokens
from ..models.compose import PooledModel, TextModel
from ..models.embeddings import DynamicDim
from ..models.heads import ClassifierOptions, Joint
from ..models.recipes import Recipe
from .losses import balanced, classified, contrastive
from .word_dropout import drop_gram_cells, drop_ngrams, drop_words

# Texts laid out at a time, so that what it takes stays in the processor's cache.
_TOGETHER = 256


class IdCache:
    """The cells of every text, as `TextEncoder.flatten` has them; in half the memory where they fit 32 bits."""

    def __init__(self, encoder: TextEncoder, tokens: Tokens) -> None:
        """Lay all texts of `tokens` out."""
        texts = len(tokens.lengths)
        parts = [
            encoder.flatten(tokens.take(np.arange(first, min(first + _TOGETHER, texts))))
            for first in range(0, max(texts, 1), _TOGETHER)
        ]
        self._counts = np.concatenate([counts for _, counts in parts])
        self._starts = np.cumsum(self._counts) - self._counts
        narrow = np.int32 if max(cells.max(initial=0) for cells, _ in parts) < 2**31 else np.int64
        self._cells = np.concatenate([cells.astype(narrow) for cells, _ in parts])

    def take(self, rows: Ids) -> tuple[Ids, Ids]:
        """The cells of the texts at `rows`, int64 [cells] or [cells, 2], and how many each has, int64 [chosen]."""
        counts = self._counts[rows]
        ends = np.cumsum(counts)
        places = np.arange(ends[-1] if len(ends) else 0)
        places += np.repeat(self._starts[rows] - (ends - counts), counts)
        return self._cells.take(places, axis=0).astype(np.int64), counts


@dataclass(frozen=True)
class Drop:
    """What a training step leaves out of a batch. words, ngrams: shares, see training/word_dropout.py."""

    words: float
    ngrams: float
    generator: np.random.Generator


class Lesson:
    """One part of the data for one recipe: how many rows, how long each is, and the loss on some of them."""

    def __init__(
        self,
        recipe: Recipe,
        encoder: TextEncoder,
        part: Dataset,
        labels: Sequence[str],
        tokens: Tokens | None = None,
        pairs: Tokens | None = None,
        device: torch.device = torch.device("cpu"),  # noqa: B008  (it is immutable)
    ) -> None:
        """Turn the labels of `part` into targets, for a model on `device`; look its texts up unless that is done."""
        self._recipe = recipe
        self._device = device
        self._encoder = encoder
        self._tokens = tokens or encoder.look_up(part.texts, part.languages)
        self._pairs = pairs
        if part.pairs is not None and pairs is None:
            self._pairs = encoder.look_up(part.pairs, part.languages)
        self._laid_out: dict[int, IdCache] = {}
        self._images = torch.from_numpy(part.images) if part.images is not None else None
        self._labels = len(labels)
        self._weights: Tensor | None = None
        task = recipe.task
        if task == "classify":
            place = {label: index for index, label in enumerate(labels)}
            self._truth = torch.tensor([place[label] for label in part.labels])
        elif task == "multilabel":
            self._truth = torch.tensor([[float(label in own) for label in labels] for own in label_sets(part.labels)])
        else:
            self._truth = torch.from_numpy(group_ids(task, part))
        self._truth = self._truth.to(device)
        if self._images is not None:
            self._images = self._images.to(device)

    def __len__(self) -> int:
        return len(self._truth)

    @property
    def lengths(self) -> Ids:
        """Tokens of each text, int64 [rows]."""
        return self._tokens.lengths

    def weigh(self) -> None:
        """Weigh labels as the recipe says, by the counts of this part.

        Only what is trained on is weighed: a weighed validation loss hangs on the few texts of the rarest label, and
        ends training too early.
        """
        head = self._recipe.head
        if isinstance(head, ClassifierOptions) and head.class_weights == "balanced":
            if head.multi_label:
                present = self._truth.sum(dim=0)
                self._weights = (len(self) - present) / present.clamp(min=1)
            else:
                self._weights = balanced(self._truth.bincount(minlength=self._labels))

    def loss(self, model: TextModel, rows: Ids, drop: Drop | None = None) -> Tensor:
        """The loss on the texts at `rows`, a scalar; `drop` may alter what the model sees of them."""
        ids, outputs = self._read(model, self._tokens, rows, drop)
        loss = self._of(model, outputs, self._truth[rows], rows, drop)
        if isinstance(model.embedding, DynamicDim) and model.training:
            loss = loss + model.embedding.penalty(ids)
        return loss

    def _of(self, model: TextModel, outputs: Tensor, truth: Tensor, rows: Ids, drop: Drop | None) -> Tensor:
        head = self._recipe.head
        if isinstance(head, ClassifierOptions):
            smoothing = head.label_smoothing if model.training else 0.0
            return classified(outputs, truth, head.multi_label, smoothing, self._weights)
        if isinstance(model.head, Joint):
            assert self._images is not None
            others: Tensor = model.head.image(self._images[rows])
        else:
            assert self._pairs is not None
            _, others = self._read(model, self._pairs, rows, drop)
        return contrastive(outputs, others, truth, head.temperature)

    def _read(self, model: TextModel, tokens: Tokens, rows: Ids, drop: Drop | None) -> tuple[Tensor, Tensor]:
        """What a model is given of some texts, a matrix or all cells as one row, and its outputs."""
        if not isinstance(model, PooledModel):
            ids = self._ids(tokens, rows, drop)
            return ids, model(ids)
        cells, counts = self._cells(tokens, rows, drop)
        return cells[None], model.of_cells(cells, counts)

    def _cells(self, tokens: Tokens, rows: Ids, drop: Drop | None) -> tuple[Tensor, Tensor]:
        if drop is not None and drop.words:
            taken = drop_words(tokens.take(rows), drop.words, drop.generator)
            cells, counts = self._encoder.flatten(taken)
        else:
            # Nothing changes from epoch to epoch: laid out once.
            if id(tokens) not in self._laid_out:
                self._laid_out[id(tokens)] = IdCache(self._encoder, tokens)
            cells, counts = self._laid_out[id(tokens)].take(rows)
        if drop is not None and drop.ngrams and self._recipe.text.grams:
            cells, counts = drop_gram_cells(cells, counts, tokens.lengths[rows], drop.ngrams, drop.generator)
        return torch.from_numpy(cells).to(self._device), torch.from_numpy(counts).to(self._device)

    def _ids(self, tokens: Tokens, rows: Ids, drop: Drop | None) -> Tensor:
        taken = tokens.take(rows)
        if drop is not None and drop.words:
            taken = drop_words(taken, drop.words, drop.generator)
        ids = self._encoder.assemble(taken)
        if drop is not None and drop.ngrams and self._recipe.text.grams:
            ids = drop_ngrams(ids, taken.lengths, drop.ngrams, drop.generator)
        return torch.from_numpy(ids).to(self._device)
