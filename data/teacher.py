"""A teacher: the probabilities of labels that another model gives to texts, for training to learn from.

Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015, arXiv:1503.02531.
"""

from __future__ import annotations

import copy
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..storage.compression import listed, shown
from ..storage.progress import Progress, silent
from . import cells
from .columns import Columns, Place
from .load import find_data
from .reading.bad_rows import BadRows
from .reading.options import USUAL_READING, Reading
from .writing.answers import score_column

Probabilities = npt.NDArray[np.float32]
Answers = Iterator[tuple[object, str, Mapping[str, Any]]]
"""Where each answer stands, for messages, its text, and the probability of each label."""

_ASKED_AT_ONCE = 256
_ROUNDING = 1e-3  # how far the sum of a text's probabilities may be from 1


class Teacher:
    """What is known of texts by a teacher: read or asked once, however many trainings learn from it."""

    def __init__(
        self,
        name: str,
        answers: Callable[[Sequence[str], Sequence[str], BadRows, Progress], Answers],
        *,
        has_texts: bool,
        skip_bad_rows: int,
    ) -> None:
        """`answers(labels, texts, bad, progress)` yields an answer to each text, or those that there are.

        `has_texts`: it does the latter. `bad` is told of what cannot be read. `skip_bad_rows`: how many answers that
        cannot be used are left out.
        """
        self.name = name
        """The name of its file, of its model, "mapping" or "callable"."""
        self._answers, self._has_texts, self._skip_bad_rows = answers, has_texts, skip_bad_rows
        self._known: _Table | None = None
        self._apart: frozenset[str] = frozenset()

    @classmethod
    def of_file(cls, data: str, text_column: str = "text", reading: Reading = USUAL_READING) -> Teacher:
        """Return the teacher whose answers a file has in columns `LABEL`, or `score_LABEL` as `lexport score` writes.

        Of `reading` counts how many rows may be left out.
        """

        def answers(labels: Sequence[str], texts: Sequence[str], bad: BadRows, progress: Progress) -> Answers:
            return _file_answers(data, text_column, bad, labels)

        return cls(data.rpartition("/")[2], answers, has_texts=True, skip_bad_rows=reading.skip_bad_rows)

    @classmethod
    def of(cls, given: Any, reading: Reading = USUAL_READING) -> Teacher:
        """Return the teacher that answers as `given` does.

        That is a mapping of texts to {label: probability}; a run, an archive or a server; a fitted scikit-learn
        classifier of texts; or a function of a list of texts that returns an answer of a run, or {label:
        probability}, for each. `reading` as in `of_file`. Raises InputError for anything else.
        """
        skip = reading.skip_bad_rows
        if isinstance(given, Mapping):
            own = partial(_answers, given.keys(), given.values(), 1)
            return cls("mapping", lambda *_: own(), has_texts=True, skip_bad_rows=skip)
        ask: Any = None
        if hasattr(given, "predict_proba") and hasattr(given, "classes_"):
            names = [cells.label(label, "teacher") or "" for label in np.asarray(given.classes_).tolist()]

            def ask(texts: list[str]) -> list[dict[str, float]]:
                return [dict(zip(names, row, strict=True)) for row in np.asarray(given.predict_proba(texts)).tolist()]

        elif callable(getattr(given, "predict", None)):
            ask = given.predict
        elif callable(given):
            ask = given
        if ask is None:
            raise InputError(
                f"The teacher is {shown(given)} ({type(given).__name__}); expected a file, a mapping of texts to "
                "{label: probability}, a function of texts, or a model with predict or predict_proba.",
                code="LX-DATA-094",
            )
        name = getattr(given, "name", "callable")

        def answers(labels: Sequence[str], texts: Sequence[str], bad: BadRows, progress: Progress) -> Answers:
            return _asked(ask, texts, progress)

        return cls(name if isinstance(name, str) else "callable", answers, has_texts=False, skip_bad_rows=skip)

    def learn(
        self, labels: Sequence[str], texts: Sequence[str], *, several: bool, progress: Progress = silent
    ) -> None:
        """Read all answers or, of a teacher without texts, ask for those to `texts` that are not known.

        `several`: a text may have any number of `labels`, each with its own probability. Raises InputError for other
        labels than `labels`, and with the places of all answers that are no probabilities.
        """
        known = self._known
        if known is None or known.labels != tuple(labels) or known.several != several:
            known = self._known = _Table(labels, several=several)
        elif self._has_texts:
            return
        asked = [] if self._has_texts else list(dict.fromkeys(text for text in texts if text not in known.places))
        bad, used = BadRows(self._skip_bad_rows), 0
        for where, text, answer in self._answers(labels, asked, bad, progress):
            known.require_labels(answer, where)
            try:
                known.add(cells.text(text, where), answer, where)
            except InputError as error:
                bad.add(error)
            else:
                used += 1
        bad.check(self.name, used + bad.count)

    def without(self, texts: Iterable[str]) -> Teacher:
        """Return the teacher without `texts` among its own; what one of both learns from now on the other knows."""
        found = copy.copy(self)
        found._apart = self._apart | frozenset(texts)
        return found

    @property
    def texts(self) -> list[str]:
        """The texts that it has of itself, once it has learned; none of a teacher that is asked."""
        if self._known is None or not self._has_texts:
            return []
        return [text for text in self._known.places if text not in self._apart]

    def knows(self, text: str) -> bool:
        """Return whether it has learned an answer to a text."""
        return self._known is not None and text in self._known.places

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Return what it knows of `texts`, float32 [texts, labels]; NaN for a text that it does not know.

        A text that it was given several times has the mean of its probabilities.
        """
        assert self._known is not None
        return self._known.of(texts)


class _Table:
    """The probabilities of texts, summed over the answers to each."""

    def __init__(self, labels: Sequence[str], *, several: bool) -> None:
        self.labels, self.several = tuple(labels), several
        self.places: dict[str, int] = {}
        self._sums, self._counts = array("d"), array("q")

    def require_labels(self, answer: Mapping[str, Any], where: object) -> None:
        """Raise InputError unless an answer has all labels and no others; one without any is no answer."""
        lacking = [label for label in self.labels if label not in answer]
        foreign = sorted(str(label) for label in answer.keys() - set(self.labels))
        if foreign:
            raise InputError(
                f"{where}: the teacher has probabilities of {listed(foreign)}, and the data have no such labels; "
                f"theirs are {listed(self.labels, 20)}. Leave these out of the teacher, or add texts of them to "
                "the data.",
                code="LX-DATA-095",
            )
        if lacking and len(lacking) < len(self.labels):
            raise InputError(
                f"{where}: the teacher has no probability of {listed(lacking)}; expected one of each label of the "
                f"data: {listed(self.labels, 20)}. Add it to the teacher, or leave the texts with these labels out.",
                code="LX-DATA-096",
            )

    def add(self, text: str, answer: Mapping[str, Any], where: object) -> None:
        """Add an answer; a blank one counts for none. Raises InputError for what are no probabilities."""
        if not text or all(answer.get(label) in (None, "") for label in self.labels):
            return
        values = [_number(answer[label], label, where) for label in self.labels]
        total = math.fsum(values)
        if not self.several and abs(total - 1) > _ROUNDING:
            raise InputError(
                f"{where}: the probabilities of {listed(self.labels)} sum to {total:g}; expected 1. Give the "
                "probability of every label, or use --multi-label.",
                code="LX-DATA-098",
            )
        place = self.places.setdefault(text, len(self.places))
        if place == len(self._counts):
            self._sums.extend([0.0] * len(values))
            self._counts.append(0)
        self._counts[place] += 1
        for column, value in enumerate(values, place * len(values)):
            self._sums[column] += value if self.several else value / total

    def of(self, texts: Sequence[str]) -> Probabilities:
        """Return the means of `texts`, float32 [texts, labels]; NaN for one that is not here."""
        rows = np.array([self.places.get(text, -1) for text in texts], np.int64)
        found = np.full((len(texts), len(self.labels)), np.nan, np.float32)
        known = rows >= 0
        sums = np.array(self._sums, np.float64).reshape(-1, len(self.labels))
        found[known] = sums[rows[known]] / np.array(self._counts, np.float64)[rows[known], None]
        return found


def _number(value: Any, label: str, where: object) -> float:
    """Return a probability. Raises InputError for anything else."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1 + _ROUNDING:
        given = "missing" if value in (None, "") else shown(value)
        raise InputError(
            f"{where}: the probability of {shown(label)} is {given}; expected a number from 0 to 1.",
            code="LX-DATA-097",
        )
    return min(number, 1.0)


def _file_answers(name: str, text_column: str, bad: BadRows, labels: Sequence[str]) -> Answers:
    """Yield the rows of a file. Raises InputError if none has the probability of a label."""
    found, columns = False, dict[str, None]()
    with find_data(name, Columns(text_column, None)) as data, data.rows(USUAL_READING, bad, whole=True) as sources:
        for source in sources:
            place = Place(source)
            for row in source.rows:
                place.number = row.number
                record = row.record or {}
                columns |= dict.fromkeys(record)
                answer = _by_label(record, labels)
                found = found or bool(answer)
                yield place, row.text, answer
    if not found and not bad.count:
        raise InputError(
            f"{shown(name)} has no probabilities of the labels {listed(labels)}; its columns are: "
            f"{listed(list(columns), 20) or 'none'}. Expected a column for each label, called {shown(labels[0])} or "
            f"{shown(score_column(labels[0]))}, as lexport score --scores writes it.",
            code="LX-DATA-099",
        )


def _by_label(record: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """Return the cells of a row that are probabilities of labels, by their labels."""
    scored = {label: score_column(label) for label in labels}
    if not any(column in record for column in scored.values()):
        return {label: record[label] for label in labels if label in record}
    beginning = score_column("")
    return {name.removeprefix(beginning): cell for name, cell in record.items() if name.startswith(beginning)}


def _asked(ask: Callable[[list[str]], Sequence[Any]], texts: Sequence[str], progress: Progress) -> Answers:
    """Yield the answers of a function. Raises InputError for those that are none."""
    for first in range(0, len(texts), _ASKED_AT_ONCE):
        part = list(texts[first : first + _ASKED_AT_ONCE])
        answers = list(ask(part))
        if len(answers) != len(part):
            raise InputError(
                f"The teacher gave {len(answers):,} answers to {len(part):,} texts; expected one to each.",
                code="LX-DATA-100",
            )
        yield from _answers(part, answers, first + 1)
        progress(first + len(part), len(texts), f"teacher, {first + len(part):,} of {len(texts):,} texts")


def _answers(texts: Iterable[str], answers: Iterable[Any], first: int) -> Answers:
    """Yield texts with their answers. Raises InputError for one that has no probabilities."""
    for number, (text, answer) in enumerate(zip(texts, answers, strict=True), first):
        own = getattr(answer, "scores", answer)
        if not isinstance(own, Mapping):
            raise InputError(
                f"The teacher's answer to text {number:,} is {shown(answer)} ({type(answer).__name__}); expected "
                "{label: probability}, or the answer of a model that classifies.",
                code="LX-DATA-101",
            )
        yield f"teacher, text {number:,}", text, own
