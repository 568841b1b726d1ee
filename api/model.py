"""The common base of a run, an archive and a server: the same calls and the same answers."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast, overload

import numpy as np

from ..client.answers import Answer, Explanation
from ..client.questions import Question, about_images, about_texts, read, read_explained
from ..errors import InputError
from ..storage.progress import Progress, Say, silent
from .answers import Predictions
from .paths import StrPath, source_of

if TYPE_CHECKING:
    from ..data.reading.options import Reading
    from .scoring import ScoringSummary
    from .vectors.search import Match

Image = Sequence[float]
AT_ONCE = 256
"""The most texts of a request."""


class RequestRefused(InputError):
    """A model in this process does not take a request."""


class Model(ABC):
    """Something that answers texts. `predict` and `explain` are the same for a run, an archive and a server."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name in messages."""

    @abstractmethod
    def ask(self, body: dict[str, Any] | str, *, explain: bool = False) -> Any:
        """Answer one JSON request as docs/http.md has it, or a plain text, and return the JSON value as it is.

        With `explain` the answer is an explanation.

        Raises InputError for a request that is refused.
        """

    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        texts: str,
        *,
        lang: str | None = None,
        top_k: int | None = None,
        threshold: float | None = None,
    ) -> Answer: ...

    @overload
    def predict(
        self,
        texts: Sequence[str],
        *,
        lang: str | Sequence[str] | None = None,
        top_k: int | None = None,
        threshold: float | None = None,
    ) -> Predictions: ...

    def predict(
        self,
        texts: str | Sequence[str],
        *,
        lang: str | Sequence[str] | None = None,
        top_k: int | None = None,
        threshold: float | None = None,
    ) -> Answer | Predictions:
        """Return the answer to one text, or the answers to several in their order.

        `lang` is the language of all texts or of each, for models that have languages; `top_k` keeps that many
        scores; `threshold` is the least score of a label of a multi-label model. Raises InputError for what the
        model refuses.
        """
        if isinstance(texts, str):
            return cast(Answer, self._read(about_texts(texts, lang=lang, top_k=top_k, threshold=threshold)))
        given = list(texts)
        languages = None if lang is None else [lang] * len(given) if isinstance(lang, str) else list(lang)
        if languages is not None and len(languages) != len(given):
            raise InputError(
                f"{len(given)} texts and {len(languages)} languages were given; expected one for each.",
                code="LX-API-006",
            )
        found: list[Answer] = []
        for first in range(0, len(given), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            own = None if languages is None else languages[part]
            found += self._read(about_texts(given[part], lang=own, top_k=top_k, threshold=threshold))  # type: ignore[arg-type]
        return Predictions(given, found)

    def predict_images(self, images: Sequence[Image]) -> Predictions:
        """Return a joint model's vectors of images, each a sequence of numbers. Raises InputError."""
        found: list[Answer] = []
        for first in range(0, len(images), AT_ONCE):
            found += self._read(about_images(images[first : first + AT_ONCE]))  # type: ignore[arg-type]
        return Predictions([], found)

    def explain(self, text: str, *, lang: str | None = None) -> Explanation:
        """Return what each token of `text` contributes to the logits. Raises InputError for vector models."""
        body = about_texts(text, lang=lang).body
        return read_explained(self.name, self.ask(body, explain=True))

    def vectors(self, texts: Sequence[str], *, lang: str | Sequence[str] | None = None) -> np.ndarray[Any, Any]:
        """Return the unit vectors of `texts`, float32 [texts, dim], of a vector or joint model. Raises InputError."""
        answers = self.predict(texts, lang=lang)
        if not all(hasattr(answer, "vector") for answer in answers):
            raise InputError(f"{self.name} answers labels, not vectors. Ask it with predict.", code="LX-API-007")
        return np.array([answer.vector for answer in answers], np.float32)  # type: ignore[union-attr]

    def score(
        self,
        data: StrPath | Sequence[StrPath],
        out: StrPath,
        *,
        text_column: str = "text",
        language_column: str | None = None,
        reading: Reading | None = None,
        scores: bool = False,
        prefix: str = "",
        replace: bool = False,
        say: Say = silent,
        progress: Progress = silent,
    ) -> ScoringSummary:
        """Write the rows of `data` with the model's answers to the file `out`, and return how many there are.

        `data` and `reading` are those of `lexport.train`; no labels are needed, and of `reading` counts how files are
        read. Every row and every column is kept, in order; behind them come `prediction` and `confidence` (lists,
        where a text may have several labels) or `vector`, with `scores` also `score_LABEL` for each label, and, where
        rows may be refused (by a server, or for their language), `error`. `prefix` is put before these names. The
        ending of `out` says its format: .csv, .tsv or .jsonl, each also with .gz, .parquet or .arrow; "-" writes JSON
        lines to standard output. Rows are read, asked about and written some hundreds at a time; `out` is there once
        it is complete, or not at all. Raises InputError for data, a column or a file that cannot be used, or if each
        of the first 256 rows is refused, and whatever else `predict` raises.
        """
        from ..data.reading.options import USUAL_READING
        from .scoring import score

        return score(
            self,
            source_of(data),
            out,
            text_column=text_column,
            language_column=language_column,
            reading=reading or USUAL_READING,
            scores=scores,
            prefix=prefix,
            replace=replace,
            say=say,
            progress=progress,
        )

    def search(
        self,
        text: str,
        data: StrPath | Sequence[StrPath],
        *,
        text_column: str = "text",
        language_column: str | None = None,
        lang: str | None = None,
        top: int = 10,
        reading: Reading | None = None,
        say: Say = silent,
        progress: Progress = silent,
    ) -> list[Match]:
        """Return the `top` rows of `data` whose texts are nearest to `text` by a vector or joint model.

        `data`, `text_column`, `language_column` and `reading` are those of `score`; `lang` is the language of `text`.
        Vectors of all rows are in memory, not the rows. Raises InputError for data that cannot be used, a model that
        answers labels, or a text whose vector is zero.
        """
        from ..data.reading.options import USUAL_READING
        from .vectors.search import search

        return search(
            self,
            text,
            source_of(data),
            text_column=text_column,
            language_column=language_column,
            language=lang,
            top=top,
            reading=reading or USUAL_READING,
            say=say,
            progress=progress,
        )

    def close(self) -> None:  # noqa: B027  (most have nothing to close)
        """Close what was opened for answering, if anything."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, question: Question) -> Answer | list[Answer]:
        return read(self.name, question, self.ask(question.body))


def encoded(body: dict[str, Any] | str) -> tuple[bytes, str]:
    """Return a request's body as a client sends it, and its content type. Raises InputError if it is not JSON."""
    if isinstance(body, str):
        return body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    try:
        return json.dumps(body, allow_nan=False).encode(), "application/json"
    except (TypeError, ValueError) as error:
        raise InputError(f"This cannot be asked: {error}. Expected texts as strings.", code="LX-API-008") from None
