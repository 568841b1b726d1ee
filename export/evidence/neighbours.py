"""Whether a table still has the same words beside one another."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...data.load import Dataset
from ...evaluation.tasks import Outputs
from ...models.compose import TextModel
from ...models.run import Run

_UNIVERSE, _QUERIES, _NEAREST = 2000, 200, 10


class NearestWords:
    """The most frequent words of a part, 2,000 at most, and the ten nearest by cosine of 200 of them.

    Those are the trained table's, found once for all variants.
    """

    def __init__(self, run: Run, part: Dataset) -> None:
        """Count the words of `part` and look them up."""
        languages = part.languages or [""] * len(part)
        counted = Counter(
            (token, lang)
            for text, lang in zip(part.texts, languages, strict=True)
            for token in run.encoder.tokens(text)[0]
        )
        words = [word for word, _ in counted.most_common(_UNIVERSE)]
        self._words = len(words)
        self._asked = np.linspace(0, len(words) - 1, min(_QUERIES, len(words))).astype(np.int64)
        if len(words) <= _NEAREST:
            self._asked = self._asked[:0]  # each would be near all others
            return
        spoken = None if part.languages is None else [lang for _, lang in words]
        tokens = run.encoder.look_up([word for word, _ in words], spoken)
        self._ids = torch.from_numpy(run.encoder.assemble(tokens))
        self._trained = self._nearest(run.model)

    def overlap(self, form: TextModel) -> dict[str, Any]:
        """words, asked, and overlap: the share of the ten that are the same in a variant's form, on average."""
        counts = {"words": self._words, "asked": len(self._asked)}
        if not len(self._asked):
            return counts | {"overlap": None}
        pairs = zip(self._trained.tolist(), self._nearest(form).tolist(), strict=True)
        return counts | {"overlap": float(np.mean([len(set(one) & set(other)) for one, other in pairs])) / _NEAREST}

    def _nearest(self, model: TextModel) -> npt.NDArray[np.int64]:
        """Which ten words each of those asked is nearest to, int64 [asked, 10]."""
        embedding = model.embedding
        with torch.inference_mode():
            summed = (embedding.vectors(self._ids) * embedding.mask(self._ids).unsqueeze(2)).sum(dim=1)
            vectors: Outputs = torch.nn.functional.normalize(summed, dim=1).numpy()
        likeness = vectors[self._asked] @ vectors.T
        likeness[np.arange(len(self._asked)), self._asked] = -np.inf
        found: npt.NDArray[np.int64] = np.argpartition(-likeness, _NEAREST, axis=1)[:, :_NEAREST]
        return found
