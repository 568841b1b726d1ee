"""Compare the nearest words in a variant's table with those in the trained table."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...data.load import Dataset
from ...evaluation.metrics import Outputs
from ...models.compose import TextModel
from ...models.run import Run

_UNIVERSE, _QUERIES, _NEAREST = 2000, 200, 10


class NearestWords:
    """The ten nearest words by cosine of 200 words, among the 2,000 most frequent words of a part.

    Those of the trained table are computed once for all variants.
    """

    def __init__(self, run: Run, part: Dataset) -> None:
        """Count the words of `part` and find the nearest words in the trained table."""
        languages = part.languages or [""] * len(part)
        counted = Counter(
            (token, lang)
            for text, lang in zip(part.texts, languages, strict=True)
            for token in run.encoder.tokens(text)[0]
        )
        words = [word for word, _ in counted.most_common(_UNIVERSE)]
        self._words = len(words)
        self._queries = np.linspace(0, len(words) - 1, min(_QUERIES, len(words))).astype(np.int64)
        if len(words) <= _NEAREST:
            self._queries = self._queries[:0]  # every word would be among the nearest
            return
        languages_of_words = None if part.languages is None else [lang for _, lang in words]
        tokens = run.encoder.look_up([word for word, _ in words], languages_of_words)
        self._ids = torch.from_numpy(run.encoder.assemble(tokens))
        self._trained = self._nearest(run.model)

    def overlap(self, form: TextModel) -> dict[str, Any]:
        """Return words, asked, and overlap: the mean share of the ten nearest words that are the same in `form`."""
        counts = {"words": self._words, "asked": len(self._queries)}
        if not len(self._queries):
            return counts | {"overlap": None}
        pairs = zip(self._trained.tolist(), self._nearest(form).tolist(), strict=True)
        return counts | {"overlap": float(np.mean([len(set(one) & set(other)) for one, other in pairs])) / _NEAREST}

    def _nearest(self, model: TextModel) -> npt.NDArray[np.int64]:
        """Return the ten nearest words of each query word, int64 [queries, 10]."""
        embedding = model.embedding
        with torch.inference_mode():
            summed = (embedding.vectors(self._ids) * embedding.mask(self._ids).unsqueeze(2)).sum(dim=1)
            vectors: Outputs = torch.nn.functional.normalize(summed, dim=1).numpy()
        likeness = vectors[self._queries] @ vectors.T
        likeness[np.arange(len(self._queries)), self._queries] = -np.inf
        found: npt.NDArray[np.int64] = np.argpartition(-likeness, _NEAREST, axis=1)[:, :_NEAREST]
        return found
