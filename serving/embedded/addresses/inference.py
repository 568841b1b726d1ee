"""The inference address: TorchServe's paths, answered by the models of this process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from ....handlers.request.refusals import Refusal
from ..http import Later, Request, Response, refusals
from ..models import Models, Question
from . import answers, descriptions, open_inference
from .answers import Failure, segments
from .forms import fields_of, is_form
from .tokens import Bearer

_READ = ("content-type", "content-encoding")  # the headers that a handler reads
TRACE = ("traceparent", "tracestate")
"""The headers that name a caller's trace."""
_EXPLAINED = {"explain": "True"}
_PLAN = "plan"


Log = Callable[[str, int, int, str], None]
"""Notes a request that no model has answered: id, status, bytes of the answer, name of the error or ""."""


class _Plan(NamedTuple):
    """What a request's head says that is asked, of whom."""

    name: str
    version: str | None
    headers: dict[str, str]
    more: Mapping[str, Any] | None
    form: str
    """The content type of a form; "" for any other body."""
    id: str | None
    trace: dict[str, str] | None


class Inference:
    """Answers what TorchServe's inference address answers."""

    def __init__(self, models: Models, token: str | None, *, traced: bool = False, log: Log | None = None) -> None:
        """Serve `models` to those who bear the `token`; None: to everybody who can connect.

        `traced`: whether a caller's trace is to be known. `log` notes what no model answers.
        """
        self._models = models
        self._traced = traced
        self._log = log
        self.statuses: Counter[int] = Counter()
        """Answers that no model gave, by status."""
        self._bearer = Bearer(token)

    def admit(self, request: Request) -> Response | None:
        """Refuse a request without the token before its body is read."""
        if self._is_allowed(request) or answers.is_open(request):
            return None
        return self._failed(answers.wrong_token(), request)

    def handle(self, request: Request) -> Response | Later[Response]:
        """Answer a request; a model's answer comes later."""
        try:
            plan = None if request.memo is None else request.memo.get(_PLAN)
            if plan is not None:
                return self._ask(request, plan)
            if not self._is_allowed(request) and not answers.is_open(request):
                raise answers.wrong_token()
            return self._route(request)
        except Failure as failure:
            return self._failed(failure, request)

    def count(self, status: int) -> None:
        """Count an answer that no model gave."""
        self.statuses[status] += 1

    def refuse(self, refusal: Refusal, request: Request) -> Response:
        """Return the answer of a request that the server or a model's queue has refused; the server counts it."""
        return self._noted(refusals.response(refusal), request, refusal.body["code"])

    def _failed(self, failure: Failure, request: Request) -> Response:
        return self._count(failure.response, request, failure.kind)

    def _count(self, response: Response, request: Request, error: str = "") -> Response:
        self.count(response.status)
        return self._noted(response, request, error)

    def _noted(self, response: Response, request: Request, error: str) -> Response:
        identity = answers.id_of(request)
        if self._log is not None:
            self._log(identity, response.status, len(response.body), error)
        return answers.with_id(response, identity)

    def _is_allowed(self, request: Request) -> bool:
        return self._bearer.is_borne(request.fields.get(b"authorization", b""))

    def _route(self, request: Request) -> Response | Later[Response]:
        match segments(request):
            case ["predictions", name, *rest] if name:
                if request.method == "OPTIONS":
                    self._models.ask(name)
                    return self._count(answers.answer(descriptions.of_model(name)), request)
                return self._to(request, name, rest[0] if rest and rest[0] else None)
            case ["explanations", name, *rest] if name:
                return self._to(request, name, rest[0] if rest and rest[0] else None, _EXPLAINED)
            case ["models", name, "invoke"] | [name, "predict"] if name:
                return self._to(request, name, None, more=dict(parse_qsl(request.query, keep_blank_values=True)))
            case ["ping"]:
                return self._count(answers.answer({"status": "Healthy"}), request)
            case ["api-description"]:
                return self._count(answers.answer(descriptions.inference()), request)
            case [] if request.method == "OPTIONS":
                return self._count(answers.answer(descriptions.inference()), request)
            case ["v1", "models", named] if named.endswith((":predict", ":explain")):
                name, _, what = named.rpartition(":")
                return self._to(request, name, None, _EXPLAINED if what == "explain" else None)
            case ["v2", "models", name, "infer" | "explain" as what]:
                return self._to(request, name, None, _EXPLAINED if what == "explain" else None)
            case ["v2", "models", name, "versions", version, "infer"]:
                return self._to(request, name, version)
            case ["v2", *rest]:
                return self._count(self.tell(rest), request)
            case ["invocations"] if (only := self._models.only()) is not None:
                return self._to(request, only, None)
            case []:
                raise answers.wrong_method()
            case _:
                raise answers.not_found()

    def tell(self, rest: Sequence[str]) -> Response:
        """Answer a path of the Open Inference Protocol that asks no model, by its segments after `v2`.

        Raises Failure.
        """
        models = self._models
        match rest:
            case []:
                return answers.answer(open_inference.SERVER)
            case ["health", "live"]:
                return answers.answer({"live": True})
            case ["health", "ready"]:
                ready = all(model is not None for _, _, model in models)
                return answers.answer({"ready": ready}, HTTPStatus.OK if ready else HTTPStatus.BAD_REQUEST)
            case ["repository", "index"]:
                states = [(name, version, model is not None) for name, version, model in models]
                return answers.answer(open_inference.index(states))
            case ["models", name] | ["models", name, "versions", _]:
                model = models.ask(name, rest[3] if len(rest) > 2 else None)
                predictor = model.loaded.worker.predictor
                return answers.answer(open_inference.metadata(name, sorted(models.all(name)), predictor))
            case ["models", name, "ready"]:
                models.ask(name)
                return answers.answer({"name": name, "ready": True})
            case ["models", name, "versions", version, "ready"]:
                models.ask(name, version)
                return answers.answer({"name": name, "ready": True})
            case _:
                raise answers.not_found()

    def _to(
        self,
        request: Request,
        name: str,
        version: str | None,
        further: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Later[Response]:
        """Ask a model, and remember for requests with the same head, whose token is right, what is asked."""
        headers = _headers(request, _READ)
        kind = headers.get("content-type", "")
        form = kind if is_form(kind) else ""
        trace = _headers(request, TRACE) if self._traced else None
        plan = _Plan(name, version, {**headers, **(further or {})}, more, form, answers.given_id(request), trace)
        if request.memo is not None:
            request.memo[_PLAN] = plan
        return self._ask(request, plan)

    def _ask(self, request: Request, plan: _Plan) -> Later[Response]:
        parameters: dict[str, Any] = {"body": request.body}
        if plan.form:
            parameters = fields_of(request.body, plan.form)
        if plan.more is not None:
            parameters |= plan.more
        question = Question(parameters, plan.headers, plan.id or answers.new_id(), time.perf_counter(), plan.trace)
        return self._models.ask(plan.name, plan.version).ask(question)


def _headers(request: Request, names: Sequence[str]) -> dict[str, str]:
    return {name: value for name in names if (value := request.header(name)) is not None}
