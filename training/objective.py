"""The training objective: one part of the data, looked up once, and the loss on any of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data.load import Dataset
from ..evaluation.tasks import task_of
from ..handlers.text.encoder import Ids, TextEncoder
from ..handlers.text.spec import Layout
from ..models.compose import PooledModel, TextModel
from ..models.corpus import LookedUpTexts, pieces
from ..models.heads import Joint
from ..models.recipes import Recipe
from .word_dropout import drop_flat_ngrams, drop_ngrams, drop_words

# Of more texts the ids are not kept: with pairs they take twice the memory of the words' numbers.
_CACHED = 1 << 14
# Texts flattened at a time, so that the memory stays in the CPU cache.
_BLOCK = 256


class IdCache:
    """The flat ids of every text, as `TextEncoder.flatten` returns them; stored as int32 if they are rows."""

    def __init__(self, encoder: TextEncoder, tokens: LookedUpTexts) -> None:
        """Flatten all texts of `tokens`."""
        narrow = np.int32 if encoder.spec.inputs is not Layout.HASHES else np.int64
        parts = []
        for one in pieces(tokens, _BLOCK):
            flat_ids, counts = encoder.flatten(one)
            parts.append((flat_ids.astype(narrow), counts))
        self._counts = np.concatenate([counts for _, counts in parts])
        self._starts = np.cumsum(self._counts) - self._counts
        self._flat_ids = np.concatenate([flat_ids for flat_ids, _ in parts])

    def take(self, rows: Ids) -> tuple[Ids, Ids]:
        """Return the flat ids of the texts at `rows`, int64 [ids] or [ids, 2], and counts int64 [rows]."""
        counts = self._counts[rows]
        ends = np.cumsum(counts)
        positions = np.arange(ends[-1] if len(ends) else 0)
        positions += np.repeat(self._starts[rows] - (ends - counts), counts)
        return self._flat_ids.take(positions, axis=0).astype(np.int64), counts


@dataclass(frozen=True)
class Dropout:
    """The dropout of a training step; see training/word_dropout.py."""

    words: float
    """Share of words that become unknown ones."""
    ngrams: float
    """Share of n-grams and subwords that are left out."""
    generator: np.random.Generator
    """Where random numbers come from."""


class Objective:
    """One part of the data for one recipe: its length, the length of each text, and the loss on a batch of rows."""

    def __init__(
        self,
        recipe: Recipe,
        encoder: TextEncoder,
        part: Dataset,
        labels: Sequence[str],
        tokens: LookedUpTexts | None = None,
        pairs: LookedUpTexts | None = None,
        device: torch.device = torch.device("cpu"),  # noqa: B008  (it is immutable)
        *,
        targets: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Turn the labels of `part` into targets on `device`. Look up its texts unless `tokens` are given.

        `targets`: probabilities that are learned in place of the labels, float32 [texts, labels].
        """
        self._recipe = recipe
        self._device = device
        self._encoder = encoder
        self._tokens = tokens or encoder.look_up(part.texts, part.languages)
        self._pairs = pairs
        if part.pairs is not None and pairs is None:
            self._pairs = encoder.look_up(part.pairs, part.languages)
        self._id_caches: dict[int, IdCache] = {}
        self._images = torch.from_numpy(part.images) if part.images is not None else None
        self._weights: Tensor | None = None
        truth = task_of(recipe.task, labels).truth(part) if targets is None else targets
        self._truth = torch.from_numpy(truth).to(device)
        if self._images is not None:
            self._images = self._images.to(device)

    def __len__(self) -> int:
        return len(self._truth)

    @property
    def lengths(self) -> Ids:
        """Number of tokens of each text, int64 [rows]."""
        return self._tokens.lengths

    def set_class_weights(self, model: TextModel) -> None:
        """Set the class weights that the model's head asks for, from the labels of this part.

        Call this for the training set only: a weighted validation loss depends on the few texts of the rarest label
        and stops training too early.
        """
        self._weights = model.head.class_weights(self._truth)

    def loss(self, model: TextModel, rows: Ids, drop: Dropout | None = None) -> Tensor:
        """Return the loss on the texts at `rows`, a scalar; `drop` is the dropout of words and n-grams."""
        ids, outputs = self._forward(model, self._tokens, rows, drop)
        others = self._others(model, rows, drop)
        loss = model.head.loss(outputs, self._truth[rows], others, self._weights)
        penalty = model.embedding.penalty(ids) if model.training else None
        return loss if penalty is None else loss + penalty

    def judge(self, model: TextModel, rows: Ids) -> tuple[Tensor, tuple[float, float]]:
        """Return the loss on the texts at `rows`, a scalar, and what their score is made of, as `Head.hits` does."""
        _, outputs = self._forward(model, self._tokens, rows, None)
        truth = self._truth[rows]
        loss = model.head.loss(outputs, truth, self._others(model, rows, None), self._weights)
        return loss, model.head.hits(outputs, truth)

    def _others(self, model: TextModel, rows: Ids, drop: Dropout | None) -> Tensor | None:
        """Return the vectors of what the texts at `rows` belong to: their images or their second texts."""
        if self._images is not None:
            assert isinstance(model.head, Joint)
            images: Tensor = model.head.image(self._images[rows])
            return images
        return None if self._pairs is None else self._forward(model, self._pairs, rows, drop)[1]

    def _forward(
        self, model: TextModel, tokens: LookedUpTexts, rows: Ids, drop: Dropout | None
    ) -> tuple[Tensor, Tensor]:
        """Return the ids of some texts, a matrix or all flat ids as one row, and the model's outputs for them."""
        if not isinstance(model, PooledModel):
            ids = self._padded_ids(tokens, rows, drop)
            return ids, model(ids)
        flat_ids, counts = self._flat_ids(tokens, rows, drop)
        return flat_ids[None], model.forward_flat(flat_ids, counts)

    def _flat_ids(self, tokens: LookedUpTexts, rows: Ids, drop: Dropout | None) -> tuple[Tensor, Tensor]:
        if drop is not None and drop.words:
            taken = drop_words(tokens.take(rows), drop.words, drop.generator)
            flat_ids, counts = self._encoder.flatten(taken)
        elif len(tokens.lengths) > _CACHED:
            flat_ids, counts = self._encoder.flatten(tokens.take(rows))
        else:
            # Without word dropout the ids are the same in every epoch: flatten them once.
            if id(tokens) not in self._id_caches:
                self._id_caches[id(tokens)] = IdCache(self._encoder, tokens)
            flat_ids, counts = self._id_caches[id(tokens)].take(rows)
        if drop is not None and drop.ngrams and self._recipe.text.grams:
            flat_ids, counts = drop_flat_ngrams(flat_ids, counts, tokens.lengths[rows], drop.ngrams, drop.generator)
        return torch.from_numpy(flat_ids).to(self._device), torch.from_numpy(counts).to(self._device)

    def _padded_ids(self, tokens: LookedUpTexts, rows: Ids, drop: Dropout | None) -> Tensor:
        taken = tokens.take(rows)
        if drop is not None and drop.words:
            taken = drop_words(taken, drop.words, drop.generator)
        ids = self._encoder.assemble(taken)
        if drop is not None and drop.ngrams and self._recipe.text.grams:
            ids = drop_ngrams(ids, taken.lengths, drop.ngrams, drop.generator)
        return torch.from_numpy(ids).to(self._device)
