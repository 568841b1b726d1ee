"""The tasks of classifiers: one label of several, or any number of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...data.load import Dataset, label_sets, require_classes
from ...data.writing.answers import ONE_LABEL, SEVERAL_LABELS, score_column, score_columns
from ...data.writing.kinds import Kind
from ...messages.escaping import markdown
from ..bootstrap import bootstrap_means, confusion_means, insert_intervals, percentile_interval
from ..calibration import LEAST_SCORE, calibration
from ..metrics import Outputs, Values, f1, label_matrix, macro_f1, score, score_multilabel, wilson
from .base import Mistake, Task

_SET = 28  # characters of a set of labels in a table


class _Scores(Task):
    """A task whose outputs are scores of labels, float32 [texts, labels]."""

    PURPOSE: ClassVar[str] = "text classification"
    GIVES_SCORES: ClassVar[bool] = True

    @classmethod
    def check(cls, dataset: Dataset) -> None:
        """Raise InputError unless there are at least two different labels, or sets of labels."""
        require_classes(dataset, multi_label=cls.MULTI_LABEL)

    def distances(self, outputs: Outputs, reference: Outputs, count: int) -> Values:
        """Return the largest difference of a score, for each text."""
        found: Values = np.abs(outputs - reference)[:count].max(axis=1)
        return found

    def _scores(self, row: Sequence[float]) -> dict[str, float]:
        return {score_column(label): score for label, score in zip(self.labels, row, strict=True)}

    @classmethod
    def card_results(cls, test: Mapping[str, Any]) -> list[str]:
        """Return the metric, macro-F1 and a table of the labels."""
        rows = [
            f"| {markdown(label)} | {scores['precision']:.3f} | {scores['recall']:.3f} | {scores['f1']:.3f} | "
            f"{scores['support']:,} |"
            for label, scores in test["per_class"].items()
        ]
        return [
            f"On the {test['count']:,} test texts: {cls.METRIC.replace('_', ' ')} {test[cls.METRIC]:.4f}, "
            f"macro-F1 {test['macro_f1']:.4f}.{_absent(test)}",
            "",
            "| label | precision | recall | F1 | texts |",
            "|--|--:|--:|--:|--:|",
            *rows,
        ]


def _absent(metrics: Mapping[str, Any]) -> str:
    """Return a sentence on labels that the metrics say nothing of; "" if there are none."""
    labels = [label for label, scores in metrics["per_class"].items() if not scores["support"]]
    if not labels:
        return ""
    return f" {len(labels):,} of {len(metrics['per_class']):,} labels have no test text and are not judged."


class Classify(_Scores):
    """One label of several: that with the highest score."""

    NAME: ClassVar[str] = "classify"
    ANSWERS: ClassVar[str] = "classify"
    METRIC: ClassVar[str] = "accuracy"
    HEADLINES: ClassVar[Mapping[str, str]] = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
    MISTAKES: ClassVar[str] = "Most confident mistakes"
    MISTAKE_COLUMNS: ClassVar[Mapping[str, bool]] = {
        "truth": False,
        "answer": False,
        "score": True,
        "truth's score": True,
    }

    @classmethod
    def label_sets(cls, part: Dataset) -> list[tuple[str, ...]]:
        """Return the one label of each text."""
        # One tuple for all texts of a label, not one for each.
        sets = {label: (label,) for label in part.classes}
        return [sets[label] for label in part.labels]

    def truth(self, part: Dataset) -> npt.NDArray[Any]:
        """Return the place of each text's label among the model's, int64 [texts]."""
        place = {label: index for index, label in enumerate(self.labels)}
        return np.array([place[label] for label in part.labels], np.int64)

    def metrics(self, part: Dataset, outputs: Outputs) -> dict[str, Any]:
        """Return `metrics.score`, with `accuracy_interval`."""
        predicted = [label for (label,) in self.predictions(outputs)]
        found = score(part.labels, predicted, self.labels)
        right = sum(a == b for a, b in zip(part.labels, predicted, strict=True))
        return {"accuracy": found.pop("accuracy"), "accuracy_interval": list(wilson(right, len(predicted))), **found}

    def with_intervals(self, part: Dataset, outputs: Outputs, metrics: dict[str, Any]) -> dict[str, Any]:
        """Add a Wilson interval of the accuracy and a bootstrap interval of macro-F1."""
        hits, sums = np.hsplit(confusion_means(np.array(metrics["confusion"], np.int64)), 2)
        right = round(metrics["accuracy"] * metrics["count"])
        intervals = {
            "accuracy": list(wilson(right, metrics["count"])),
            "macro_f1": percentile_interval(macro_f1(hits, sums)),
        }
        return insert_intervals(metrics, intervals)

    def terms(self, part: Dataset, outputs: Outputs) -> Values:
        """Return 1 for each right answer, float64 [texts, 1]."""
        return np.where(outputs.argmax(axis=1) == self.truth(part), 1.0, 0.0)[:, None]

    def changed(self, outputs: Outputs, reference: Outputs) -> npt.NDArray[np.bool_]:
        """Return which texts get another label."""
        found: npt.NDArray[np.bool_] = outputs.argmax(axis=1) != reference.argmax(axis=1)
        return found

    def predictions(self, outputs: Outputs) -> list[tuple[str, ...]]:
        """Return the label with the highest score, for each text."""
        return [(self.labels[top],) for top in outputs.argmax(axis=1).tolist()]

    def answer_columns(self) -> dict[str, Kind]:
        """Return the true label, the predicted one with its score, and the score of every label."""
        return {"label": Kind.TEXT, **ONE_LABEL, **score_columns(self.labels)}

    def answer_cells(self, part: Dataset, outputs: Outputs) -> Iterator[dict[str, Any]]:
        """Yield them for each text."""
        for label, row in zip(part.labels, outputs.tolist(), strict=True):
            best = max(row)
            found = {"label": label, "prediction": self.labels[row.index(best)], "confidence": best}
            yield found | self._scores(row)

    def describe(self, row: Outputs) -> str:
        """Return the label and its score."""
        top = int(row.argmax())
        return f"{self.labels[top]} {row[top]:.4f}"

    def calibration(self, part: Dataset, outputs: Outputs) -> dict[str, Any] | None:
        """Return the calibration of the predicted labels' scores (`of` "answers")."""
        truth, scores = self.truth(part), outputs.astype(np.float64)
        every, answer = np.arange(len(truth)), scores.argmax(axis=1)
        aim = np.zeros_like(scores)
        aim[every, truth] = 1.0
        squares = ((scores - aim) ** 2).sum(axis=1)
        logs = -np.log(np.clip(scores[every, truth], LEAST_SCORE, 1.0))
        return calibration("answers", scores[every, answer][:, None], (answer == truth)[:, None], squares, logs)

    def mistakes(self, part: Dataset, outputs: Outputs) -> Iterator[Mistake]:
        """Yield wrong predictions, by their score, with `truth`, `answer`, `score` and `truth_score`."""
        answers = outputs.argmax(axis=1)
        for row, (own, answer) in enumerate(zip(self.truth(part).tolist(), answers.tolist(), strict=True)):
            if answer != own:
                score, of_truth = float(outputs[row, answer]), float(outputs[row, own])
                facts = {"truth": self.labels[own], "answer": self.labels[answer], "score": score}
                yield Mistake(score, row, facts | {"truth_score": of_truth})

    @classmethod
    def mistake_cells(cls, facts: Mapping[str, Any]) -> list[str | int | float]:
        """Return truth, answer and their scores."""
        return [facts["truth"], facts["answer"], facts["score"], facts["truth_score"]]

    def card_title(self, labels: str) -> str:
        """Return what it is and its labels."""
        return f"A text classifier for {len(self.labels)} labels ({labels})"


class MultiLabel(_Scores):
    """Any number of labels: those whose score reaches the threshold."""

    NAME: ClassVar[str] = "multilabel"
    ANSWERS: ClassVar[str] = "multilabel"
    METRIC: ClassVar[str] = "micro_f1"
    HEADLINES: ClassVar[Mapping[str, str]] = {"micro_f1": "micro-F1", "macro_f1": "macro-F1"}
    PURPOSE: ClassVar[str] = "text classification with several labels"
    MULTI_LABEL: ClassVar[bool] = True
    MISTAKES: ClassVar[str] = "Worst decisions"
    MISTAKE_COLUMNS: ClassVar[Mapping[str, bool]] = {"label": False, "mistake": False, "score": True, "truth": False}

    @classmethod
    def label_sets(cls, part: Dataset) -> list[tuple[str, ...]]:
        """Return the labels of each text, sorted."""
        return label_sets(part)

    def truth(self, part: Dataset) -> npt.NDArray[Any]:
        """Return 1 where a text has a label, float32 [texts, labels]."""
        return self._present(part).astype(np.float32)

    def metrics(self, part: Dataset, outputs: Outputs) -> dict[str, Any]:
        """Return `metrics.score_multilabel`."""
        return score_multilabel(label_sets(part), outputs, self.labels, self.threshold)

    def with_intervals(self, part: Dataset, outputs: Outputs, metrics: dict[str, Any]) -> dict[str, Any]:
        """Add a Wilson interval of the accuracy and bootstrap intervals of both F1."""
        truth, predicted = self._present(part), outputs >= self.threshold
        drawn = bootstrap_means(np.hstack([truth & predicted, truth * 1.0 + predicted]))
        hits, sums = np.hsplit(drawn, 2)
        right = round(metrics["accuracy"] * metrics["count"])
        intervals = {
            "accuracy": list(wilson(right, metrics["count"])),
            "micro_f1": percentile_interval(f1(hits.sum(axis=1), sums.sum(axis=1))),
            "macro_f1": percentile_interval(macro_f1(hits, sums)),
        }
        return insert_intervals(metrics, intervals)

    def terms(self, part: Dataset, outputs: Outputs) -> Values:
        """Return each text's hits, and its predictions plus its labels, float64 [texts, 2]."""
        truth, predicted = self._present(part), outputs >= self.threshold
        return np.stack([(truth & predicted).sum(axis=1), (truth * 1.0 + predicted).sum(axis=1)], axis=1)

    def metric(self, means: Values) -> Values:
        """Return micro-F1."""
        return f1(means[..., 0], means[..., 1])

    def changed(self, outputs: Outputs, reference: Outputs) -> npt.NDArray[np.bool_]:
        """Return which texts get other labels."""
        found: npt.NDArray[np.bool_] = ((outputs >= self.threshold) != (reference >= self.threshold)).any(axis=1)
        return found

    def predictions(self, outputs: Outputs) -> list[tuple[str, ...]]:
        """Return the labels whose score reaches the threshold, for each text."""
        return [self._named(row >= self.threshold) for row in outputs]

    def answer_columns(self) -> dict[str, Kind]:
        """Return the true labels, the predicted ones with their scores, and the score of every label."""
        return {"label": Kind.TEXTS, **SEVERAL_LABELS, **score_columns(self.labels)}

    def answer_cells(self, part: Dataset, outputs: Outputs) -> Iterator[dict[str, Any]]:
        """Yield them for each text, the predicted labels from the highest score down."""
        # Compared as float32 like `predictions` does, and only then written as Python's numbers.
        for truth, scores, above in zip(label_sets(part), outputs.tolist(), outputs >= self.threshold, strict=True):
            best = sorted(np.flatnonzero(above).tolist(), key=lambda place: -scores[place])
            found = {
                "label": list(truth),
                "prediction": [self.labels[place] for place in best],
                "confidence": [scores[place] for place in best],
            }
            yield found | self._scores(scores)

    def describe(self, row: Outputs) -> str:
        """Return the labels."""
        return ", ".join(self._named(row >= self.threshold)) or "none"

    def calibration(self, part: Dataset, outputs: Outputs) -> dict[str, Any] | None:
        """Return the calibration of every label's score for every text (`of` "decisions")."""
        truth, scores = self._present(part), outputs.astype(np.float64)
        squares = ((scores - truth) ** 2).mean(axis=1)
        logs = -np.log(np.clip(np.where(truth, scores, 1 - scores), LEAST_SCORE, 1.0)).mean(axis=1)
        return calibration("decisions", scores, truth, squares, logs)

    def mistakes(self, part: Dataset, outputs: Outputs) -> Iterator[Mistake]:
        """Yield wrong decisions on one `label`, by the distance of its `score` from 1 or 0.

        `carried` says whether the text has the label; `truth` and `answer` are sets.
        """
        truth, predicted = self._present(part), outputs >= self.threshold
        for row, column in zip(*(places.tolist() for places in np.nonzero(truth != predicted)), strict=True):
            score, own = float(outputs[row, column]), bool(truth[row, column])
            facts = {"label": self.labels[column], "carried": own, "score": score}
            facts |= {"truth": list(self._named(truth[row])), "answer": list(self._named(predicted[row]))}
            yield Mistake(abs(own - score), row, facts)

    @classmethod
    def mistake_cells(cls, facts: Mapping[str, Any]) -> list[str | int | float]:
        """Return the label, what was wrong, its score, and the text's labels, shortened."""
        truth = ", ".join(facts["truth"]) or "none"
        truth = truth if len(truth) <= _SET else truth[: _SET - 1] + "…"
        return [facts["label"], "missed" if facts["carried"] else "wrongly given", facts["score"], truth]

    def card_title(self, labels: str) -> str:
        """Return what it is and its labels."""
        return f"A text classifier for any number of {len(self.labels)} labels ({labels})"

    def _present(self, part: Dataset) -> npt.NDArray[np.bool_]:
        return label_matrix(label_sets(part), self.labels)

    def _named(self, chosen: npt.NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(label for label, one in zip(self.labels, chosen.tolist(), strict=True) if one)
