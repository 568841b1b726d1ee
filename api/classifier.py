"""`lexport.TextClassifier`: a model with scikit-learn's conventions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from ..errors import InputError

if TYPE_CHECKING:
    from .run import Run


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A text classifier to fit on texts and labels in memory.

    model = lexport.TextClassifier(recipe="cnn").fit(texts, labels)
    model.predict(["would buy again"])
    sklearn.model_selection.cross_val_score(lexport.TextClassifier(), texts, labels)

    After `fit`, `classes_` has the sorted labels as they were given, and `run_` is the `lexport.Run` to export and
    pack.
    """

    def __init__(
        self,
        recipe: Any = "bag",
        *,
        budget: float | None = None,
        seed: int = 0,
        device: str = "auto",
        threads: int = 1,
        epochs: int | None = None,
    ) -> None:
        """Keep the options; `fit` checks them.

        `recipe` is a shipped recipe's name, a TOML file, a Recipe, or "auto": the best of several on a tenth of the
        texts, of which none begins after `budget` seconds (scikit-learn's tools fit often, so it is not the default).
        `seed` is the model's. `device` and `threads` are those of `lexport.train`. `epochs` is the largest number of
        epochs, None for the recipe's.
        """
        self.recipe = recipe
        self.budget = budget
        self.seed = seed
        self.device = device
        self.threads = threads
        self.epochs = epochs

    def fit(self, texts: Iterable[str], labels: Iterable[Any]) -> Self:
        """Train on `texts` and their `labels`, strings or numbers. Raises InputError for fewer than two labels."""
        from ..evaluation.tasks import TASKS
        from ..models import recipes
        from .train import AUTO, train

        chosen = self.recipe
        if chosen != AUTO:
            chosen = recipes.load(chosen) if isinstance(chosen, str) else chosen
            task = TASKS[chosen.task]
            if not task.GIVES_SCORES or task.MULTI_LABEL:
                raise InputError(
                    f"The recipe {chosen.name!r} is for the task {chosen.task!r}; expected one that classifies.",
                    code="LX-API-002",
                )
        given = list(labels)
        self.classes_ = np.unique(np.asarray(given))
        self.run_: Run = train(
            texts=texts,
            labels=[str(label) for label in given],
            recipe=chosen,
            budget=self.budget,
            epochs=self.epochs,
            seed=self.seed,
            device=self.device,
            threads=self.threads,
        )
        return self

    def predict(self, texts: Iterable[str]) -> np.ndarray[Any, Any]:
        """Return the label of each text, [texts], of the type that `fit` was given."""
        scores = self.predict_proba(texts)
        labels: np.ndarray[Any, Any] = self.classes_[scores.argmax(axis=1)]
        return labels

    def predict_proba(self, texts: Iterable[str]) -> np.ndarray[Any, Any]:
        """Return the scores, float64 [texts, labels], in the order of `classes_`; 0 for a label never trained on."""
        if not hasattr(self, "run_"):
            raise NotFittedError("This TextClassifier is not fitted yet. Call fit(texts, labels) first.")
        names = [str(label) for label in self.classes_]
        answers = self.run_.predict(list(texts))
        scores = [[answer.scores.get(name, 0.0) for name in names] for answer in answers]  # type: ignore[union-attr]
        return np.array(scores, float).reshape(len(answers), len(names))
