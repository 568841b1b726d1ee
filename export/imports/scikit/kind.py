"""Pipelines of scikit-learn as runs: the embedding `tfidf`, a sum, and a bias for each label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ....errors import InputError
from ....evaluation.metrics import Outputs
from ....handlers.text.encoder import FIRST_WORD, TextEncoder, TextSpec
from ....models.compose import build
from ....models.embeddings import TfIdfOptions
from ....models.encoders.bag import BagOptions
from ....models.heads import LinearOptions
from ....models.recipes import Recipe, TextOptions, TrainingOptions
from ....storage.compression import shown
from ..kind import SCORES_WITHIN, Before, Imported, ImportOptions, Kind, is_line
from .steps import INNER, Array, LinearPipeline, Step, class_name, linear_pipeline, tokens_of

# A text is compared with itself cell by cell.
_MOST_CELLS = 2048


class ScikitPipeline(Kind):
    """A fitted sklearn.pipeline.Pipeline in memory."""

    NAME = "a pipeline of scikit-learn (TF-IDF or counts, linear classifier)"

    def recognise(self, path: Path | object) -> bool:
        """Return whether it is an object with the steps of a pipeline."""
        return isinstance(getattr(path, "steps", None), list)

    def read(self, path: Any, options: ImportOptions) -> Imported:
        """Return the pipeline as a run has it; before, it is asked itself. Raises InputError."""
        what = type(path).__name__
        steps = [_step(one, what) for _, one in path.steps if one not in (None, "passthrough")]
        pipeline = linear_pipeline(steps, what)
        return imported(pipeline, _asking(path, pipeline), ["scikit-learn answers before"])


def _step(one: object, what: str) -> Step:
    """Return an object as its attributes. Raises InputError for one of another's class."""
    kind = type(one)
    if kind.__module__.partition(".")[0] != "sklearn":
        raise InputError(
            f"{what} has the step {shown(f'{kind.__module__}.{kind.__qualname__}')}, which is not of scikit-learn; "
            "what it does, a run cannot know. Only scikit-learn's own steps can be brought in.",
            code="LX-IMPORT-115",
        )
    values = dict(vars(one))
    for name in INNER:
        if values.get(name) is not None:
            values[name] = _step(values[name], what)
    return Step(class_name(f"{kind.__module__}.{kind.__qualname__}"), values)


def _asking(source: Any, pipeline: LinearPipeline) -> Before:
    def answer(texts: Sequence[str]) -> Outputs:
        if pipeline.probable:
            return np.asarray(source.predict_proba(list(texts)), np.float32)
        values = np.asarray(source.decision_function(list(texts)), np.float64)
        return softmax(np.stack([np.zeros_like(values), values], axis=1) if values.ndim == 1 else values)

    return answer


def softmax(values: Array) -> Outputs:
    """Return probabilities of logits, float32 [texts, labels]."""
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    found: Outputs = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def computing(pipeline: LinearPipeline) -> Before:
    """Return what scikit-learn would answer, computed from the pipeline's values with numpy and re alone."""

    def logits(text: str) -> Array:
        counts = Counter(token for token in tokens_of(pipeline, text) if token in pipeline.words)
        columns = [pipeline.words[token] for token in counts]
        numbers = np.array([*counts.values()], np.float64)
        if pipeline.counts != "plain":
            numbers = 1 + np.log(numbers) if pipeline.counts == "sublinear" else np.ones_like(numbers)
        numbers *= pipeline.importance[columns]
        length = float(np.sqrt((numbers**2).sum()))
        if pipeline.norm == "l2" and length:
            numbers /= length
        found: Array = pipeline.weight[:, columns] @ numbers + pipeline.bias
        return found

    return lambda texts: softmax(np.stack([logits(text) for text in texts]))


def imported(
    pipeline: LinearPipeline, before: Before, notes: Sequence[str], within: float = SCORES_WITHIN
) -> Imported:
    """Return the pipeline as a run has it; scores may differ by `within`."""
    shortest, longest = pipeline.ngrams
    # A vocabulary that was given may have others, which scikit-learn never counts.
    columns = {
        word: column
        for word, column in pipeline.words.items()
        if is_line(word) and shortest <= len(word.split(" ")) <= longest
    }
    spec = TextSpec(
        words=FIRST_WORD + len(columns),
        ngrams=longest,
        listed=longest > 1,
        max_tokens=_MOST_CELLS // longest,
        lowercase=pipeline.lowercase,
        pattern=pipeline.tokens,
        min_count=1,
    )
    labels = len(pipeline.labels)
    recipe = Recipe(
        name="scikit-learn",
        when="A pipeline of scikit-learn that another program fitted.",
        text=TextOptions(
            ngrams=longest,
            buckets="auto" if longest > 1 else 0,
            min_count=1,
            max_tokens=spec.max_tokens,
            normalization="none",
        ),
        embedding=TfIdfOptions(dim=labels, counts=pipeline.counts, norm=pipeline.norm),
        encoder=BagOptions("sum"),
        head=LinearOptions(),
        training=TrainingOptions(),
    )
    places = [*columns.values()]
    nothing = np.zeros((FIRST_WORD, labels))
    state = {
        "embedding.table.weight": np.concatenate([nothing, pipeline.weight.T[places]]),
        "embedding.importance": np.concatenate([nothing[:, :1], pipeline.importance[places, None]]),
        "head.bias": pipeline.bias,
    }
    model = build(recipe, spec, labels=labels)
    model.load_state_dict({name: torch.from_numpy(one.astype(np.float32)) for name, one in state.items()})
    own = [] if pipeline.probable else ["scores are the softmax of the decision function; labels are its own"]
    return Imported(
        recipe=recipe,
        model=model,
        encoder=TextEncoder(spec, [*columns]),
        labels=pipeline.labels,
        before=before,
        within=within,
        notes=[*notes, *own],
        facts={"words": len(columns), "ngrams": list(pipeline.ngrams), "probable": pipeline.probable},
    )
