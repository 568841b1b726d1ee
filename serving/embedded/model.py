"""One version of a model: an archive that is open in this process, with its queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...export.archive.inprocess import LoadedArchive
from ...handlers.request.describe import describe
from ...handlers.worker import VARIANT, VERSION
from .addresses import answers
from .batching import Batcher, Turns
from .http import Fields, Later, Response
from .statistics import Statistics

if TYPE_CHECKING:
    from .tracing import Tracing


class Question(NamedTuple):
    """One request to a model, as TorchServe hands it to a handler."""

    parameters: Mapping[str, Any]
    """`body`, or the fields of a form."""
    headers: Mapping[str, str]
    """The headers that a handler reads, by lower-case name."""
    id: str
    """What the answer's header X-Request-Id says."""
    arrived: float = 0.0
    """When the last of it was received, in seconds of `time.perf_counter`; uvloop's clock has milliseconds."""
    trace: Mapping[str, str] | None = None
    """The headers that name the caller's trace, where traces are made."""


Log = Callable[[Question, "Model", int, int, float], None]
"""Notes an answered request: question, model, status, bytes of the answer, seconds since it was received."""


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
        self,
        loaded: LoadedArchive,
        name: str | None = None,
        *,
        largest: int = 64,
        queue: int = 1_000,
        seconds: float = 60.0,
        turns: Turns | None = None,
        log: Log | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """Serve an open archive, as `name` if that is not its own, in batches of at most `largest`.

        `queue` requests may wait, `seconds` each; `turns` are shared with the other models of the process.
        """
        self.loaded = loaded
        described = loaded.worker.predictor.model
        self.name, self.version = name or described.name, described.version
        self.statistics = Statistics()
        self._log = log
        self._tracing = tracing
        self._fields = answers.fields((VERSION.lower(), described.version), (VARIANT.lower(), described.variant))
        self.queue: Batcher[Question, Response] = Batcher(
            self._answer, largest=largest, queue=queue, seconds=seconds, turns=turns
        )
        """What waits for it."""

    def ask(self, question: Question, *, turns: int = 0) -> Later[Response]:
        """Return the answer to come; `turns` as for `Batcher.submit`. Raises Refusal if too many wait."""
        return self.queue.submit(question, turns=turns)

    def describe(self) -> dict[str, Any]:
        """Return the model's own description (`handlers.request.describe`)."""
        return describe(self.loaded.worker.predictor)

    def count(self) -> dict[str, Any]:
        """Return what was counted since it was opened, as `addresses.metrics.render` takes it, and how many wait."""
        metrics = self.loaded.worker.metrics
        texts = metrics.distributions
        return {
            "statistics": self.statistics.to_json(),
            "handler": metrics.totals(texts),
            "texts": texts,
            "waiting": len(self.queue),
        }

    def _answer(self, questions: Sequence[Question]) -> list[Response]:
        statistics, began = self.statistics, time.perf_counter()
        context = _Context(questions)
        bodies = self.loaded.worker.handle([one.parameters for one in questions], context)
        ended = time.perf_counter()
        statistics.inference.add(ended - began)
        statistics.sizes.add(len(questions))
        found = []
        for place, (question, status, body) in enumerate(zip(questions, context.statuses, bodies, strict=True)):
            took = ended - question.arrived
            statistics.statuses[status] += 1
            statistics.latency.add(took)
            statistics.queued += began - question.arrived
            if self._log is not None:
                self._log(question, self, status, len(body), took)
            if self._tracing is not None:
                self._tracing.note(question, self, status, began=began, ended=ended, together=len(questions))
            found.append(Response(status, body, self._lines(question, context.further.get(place))))
        return found

    def _lines(self, question: Question, further: Sequence[tuple[str, str]] | None) -> Fields:
        own = self._fields.with_line(answers.id_line(question.id))
        for name, value in further or ():
            own = own.also(name, value)
        return own
