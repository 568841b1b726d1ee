"""The models of an embedded server: archives that are open in this process, each with its queue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...export.archive.inprocess import LoadedArchive
from ...handlers.worker import VARIANT, VERSION
from . import answers
from .batching import Batcher
from .http import Fields, Response


class Question(NamedTuple):
    """One request to a model, as TorchServe hands it to a handler."""

    parameters: Mapping[str, Any]
    """`body`, or the fields of a form."""
    headers: Mapping[str, str]
    """The headers that a handler reads, by lower-case name."""
    id: str
    """What the answer's header X-Request-Id says."""


class _Context:
    """TorchServe's context of one batch: headers in, statuses and further headers out."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._questions = questions
        self.statuses = [200] * len(questions)
        self.further: dict[int, list[tuple[str, str]]] = {}

    def get_all_request_header(self, idx: int) -> Mapping[str, str]:
        """Return the headers of a request."""
        return self._questions[idx].headers

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Do nothing: every answer is JSON."""

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Record a header that not every answer of the model has."""
        if key not in (VERSION, VARIANT):
            self.further.setdefault(idx, []).append((key.lower(), value))

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Record a status."""
        self.statuses[idx] = code


class Model:
    """One version of a model."""

    def __init__(
        self, loaded: LoadedArchive, *, largest: int = 64, queue: int = 1_000, seconds: float = 60.0
    ) -> None:
        """Serve an open archive in batches of at most `largest`; `queue` requests may wait, `seconds` each."""
        self.loaded = loaded
        described = loaded.worker.predictor.model
        self.name, self.version = described.name, described.version
        self._fields = answers.fields((VERSION.lower(), described.version), (VARIANT.lower(), described.variant))
        self._batcher: Batcher[Question, Response] = Batcher(
            self._answer, largest=largest, queue=queue, seconds=seconds
        )

    def ask(self, question: Question) -> asyncio.Future[Response]:
        """Return the answer to come. Raises Refusal if too many wait."""
        return self._batcher.submit(question)

    def _answer(self, questions: Sequence[Question]) -> list[Response]:
        context = _Context(questions)
        bodies = self.loaded.worker.handle([one.parameters for one in questions], context)
        return [
            Response(status, body, self._lines(question, context.further.get(place)))
            for place, (question, status, body) in enumerate(zip(questions, context.statuses, bodies, strict=True))
        ]

    def _lines(self, question: Question, further: Sequence[tuple[str, str]] | None) -> Fields:
        own = self._fields.also(answers.REQUEST_ID, question.id)
        for name, value in further or ():
            own = own.also(name, value)
        return own


class Models:
    """The versions that are served, by name."""

    def __init__(self) -> None:
        """Serve nothing yet."""
        self._versions: dict[str, dict[str, Model]] = {}
        self._default: dict[str, str] = {}

    def add(self, model: Model) -> None:
        """Serve a version; the first one of a name is its default."""
        self._versions.setdefault(model.name, {})[model.version] = model
        self._default.setdefault(model.name, model.version)

    def find(self, name: str, version: str | None = None) -> Model:
        """Return a version of a model, None: its default one. Raises Failure if it is not here."""
        versions = self._versions.get(name)
        if versions is None:
            raise answers.no_model(name)
        found = versions.get(self._default[name] if version is None else version)
        if found is None:
            raise answers.no_version(name, version or "")
        return found
