"""Score data: the rows of a file, written to another file with the answers of a model."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ..client.answers import Answer, MultiLabelPrediction, Prediction, Vector
from ..client.errors import RefusedInput
from ..data.columns import Columns
from ..data.load import Source
from ..data.reading.options import Reading
from ..data.whole_rows import WholeRow, WholeRows, open_whole
from ..data.writing.answers import ERROR, ONE_LABEL, SEVERAL_LABELS, VECTOR, score_column, score_columns
from ..data.writing.kinds import Kind
from ..data.writing.targets import STDOUT, check_target, standard_output
from ..errors import InputError
from ..storage.compression import listed
from ..storage.progress import Progress, Say
from .model import AT_ONCE, Model, RequestRefused
from .paths import StrPath
from .server import Server

Refused = RequestRefused | RefusedInput


@dataclass(frozen=True)
class ScoringSummary:
    """A file of scored rows that was written."""

    out: str
    """The file, or "-"."""
    rows: int
    """Number of rows in it."""
    refused: int
    """How many of them the model refused; their error says why."""
    columns: Sequence[str]
    """The columns that were added."""
    dropped: Mapping[str, int]
    """Number of rows left out, by reason: "bad" ones that cannot be read, "rejected" ones of annotation tools."""


def score(
    model: Model,
    data: Source,
    out: StrPath,
    *,
    text_column: str,
    language_column: str | None,
    reading: Reading,
    scores: bool,
    prefix: str,
    replace: bool,
    say: Say,
    progress: Progress,
) -> ScoringSummary:
    """Do what `Model.score` says."""
    to_stdout = str(out) == STDOUT
    target = standard_output() if to_stdout else check_target(Path(out), option="--out", replace=replace)
    refused = done = 0
    with open_whole(data, Columns(text_column, None, language_column), reading) as rows:
        for note in rows.notes:
            say(note)
        with closing(_answered(model, rows)) as batches:
            first = next(batches)
            added = _Added(
                prefix, _first_answer(first), scores, isinstance(model, Server) or language_column is not None
            )
            added.check(model, rows)
            with target.open({**rows.columns, **added.columns()}) as writer:
                for batch in chain([first], batches):
                    writer.write({**row.record, **added.cells(answer)} for row, answer in batch)
                    refused += sum(isinstance(answer, Refused) for _, answer in batch)
                    done += len(batch)
                    progress(done, rows.count, f"{done:,} of {rows.count:,} rows")
        return ScoringSummary(str(out), done, refused, list(added.columns()), dict(rows.dropped))


_Batch = Sequence[tuple[WholeRow, Answer | Refused]]


def _answered(model: Model, rows: WholeRows) -> Generator[_Batch, None, None]:
    """Yield the rows, a request's worth at a time, with the answer to each or its refusal."""
    iterator = iter(rows)
    while batch := list(islice(iterator, AT_ONCE)):
        yield list(zip(batch, _ask(model, batch), strict=True))


def _ask(model: Model, rows: Sequence[WholeRow]) -> list[Answer | Refused]:
    """Return the answer to each row; of a request that is refused each half is asked anew, down to single rows."""
    languages = [row.language for row in rows if row.language is not None]
    try:
        return list(model.predict([row.text for row in rows], lang=languages or None))
    except (RequestRefused, RefusedInput) as refusal:
        if len(rows) == 1:
            return [refusal]
    middle = len(rows) // 2
    return _ask(model, rows[:middle]) + _ask(model, rows[middle:])


def _first_answer(batch: _Batch) -> Answer:
    """Return the first answer. Raises the first refusal if there is none: then it is not about single rows."""
    for _, answer in batch:
        if not isinstance(answer, Refused):
            return answer
    refusal = batch[0][1]
    assert isinstance(refusal, Refused)
    raise refusal


@dataclass(frozen=True)
class _Added:
    """The columns that are added to a row."""

    prefix: str
    """What their names begin with."""
    first: Answer
    """An answer, which shows what all answers have."""
    scores: bool
    """Whether each label's score has a column."""
    errors: bool
    """Whether a row may be refused."""

    def check(self, model: Model, rows: WholeRows) -> None:
        """Raise InputError for scores that the answers do not have, and for columns that the rows have already."""
        if self.scores and isinstance(self.first, Vector):
            raise InputError(
                f"{model.name} answers vectors, which have no scores of labels. Leave out --scores.",
                code="LX-API-017",
            )
        there = [name for name in self.columns() if name in rows.columns]
        if there:
            raise InputError(
                f"{rows.name} already has the columns that would be added: {listed(there)}. Put something before the "
                "names of the new ones, for example --prefix model_.",
                code="LX-API-018",
            )

    def columns(self) -> dict[str, Kind]:
        """Return the columns with their kinds."""
        match self.first:
            case Prediction():
                found = dict(ONE_LABEL)
            case MultiLabelPrediction():
                found = dict(SEVERAL_LABELS)
            case Vector():
                found = dict(VECTOR)
        if self.scores and not isinstance(self.first, Vector):
            found |= score_columns(self.first.scores)
        found |= ERROR if self.errors else {}
        return {f"{self.prefix}{name}": kind for name, kind in found.items()}

    def cells(self, answer: Answer | Refused) -> dict[str, Any]:
        """Return the cells of a row, without those that it does not have."""
        found: dict[str, Any]
        match answer:
            case Prediction():
                found = {"prediction": answer.label, "confidence": answer.score}
            case MultiLabelPrediction():
                labels = answer.labels
                found = {"prediction": [one.label for one in labels], "confidence": [one.score for one in labels]}
            case Vector():
                found = {"vector": list(answer.vector)}
            case _:
                found = {"error": answer.message}
        if self.scores and isinstance(answer, Prediction | MultiLabelPrediction):
            found |= {score_column(label): score for label, score in answer.scores.items()}
        return {f"{self.prefix}{name}": value for name, value in found.items()}
