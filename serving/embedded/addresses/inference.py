"""The inference address: TorchServe's paths, answered by the models of this process."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from ..http import Later, Request, Response
from ..model import Question
from ..models import Models
from . import answers, descriptions, open_inference
from .answers import Failure, segments
from .forms import fields_of, is_form
from .outcomes import TRACE, Outcomes, headers
from .tokens import Bearer

_READ = ("content-type", "content-encoding")  # the headers that a handler reads
_EXPLAINED = {"explain": "True"}


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

    def __init__(
        self, models: Models, bearer: Bearer, outcomes: Outcomes | None = None, *, traced: bool = False
    ) -> None:
        """Serve `models` to those whose token `bearer` finds right.

        `outcomes` are told of what no model answers. `traced`: whether a caller's trace is to be known.
        """
        self._models = models
        self._outcomes = outcomes or Outcomes()
        self._traced = traced
        self._bearer = bearer

    def admit(self, request: Request) -> Response | None:
        """Refuse a request without the token before its body is read."""
        if self._is_allowed(request) or answers.is_open(request):
            return None
        return self._outcomes.failed(answers.wrong_token(), request)

    def handle(self, request: Request) -> Response | Later[Response]:
        """Answer a request; a model's answer comes later."""
        try:
            plan = None if request.memo is None else request.memo.get(self._bearer.changes)
            if plan is not None:
                return self._ask(request, plan)
            if not self._is_allowed(request) and not answers.is_open(request):
                request.keep = False  # no place for whom it is not meant
                raise answers.wrong_token()
            if self._bearer.is_former(request.fields.get(b"authorization", b"")):
                request.memo = None  # it will not be right for long
            return self._route(request)
        except Failure as failure:
            return self._outcomes.failed(failure, request)

    def _is_allowed(self, request: Request) -> bool:
        return self._bearer.is_borne(request.fields.get(b"authorization", b""))

    def _route(self, request: Request) -> Response | Later[Response]:
        match segments(request):
            case ["predictions", name, *rest] if name:
                if request.method == "OPTIONS":
                    self._models.ask(name)
                    return self._outcomes.told(answers.answer(descriptions.of_model(name)), request)
                return self._to(request, name, rest[0] if rest and rest[0] else None)
            case ["explanations", name, *rest] if name:
                return self._to(request, name, rest[0] if rest and rest[0] else None, _EXPLAINED)
            case ["models", name, "invoke"] | [name, "predict"] if name:
                return self._to(request, name, None, more=dict(parse_qsl(request.query, keep_blank_values=True)))
            case ["ping"]:
                return self._outcomes.told(answers.answer({"status": "Healthy"}), request)
            case ["api-description"]:
                return self._outcomes.told(answers.answer(descriptions.inference()), request)
            case [] if request.method == "OPTIONS":
                return self._outcomes.told(answers.answer(descriptions.inference()), request)
            case ["v1", "models", named] if named.endswith((":predict", ":explain")):
                name, _, what = named.rpartition(":")
                return self._to(request, name, None, _EXPLAINED if what == "explain" else None)
            case ["v2", "models", name, "infer" | "explain" as what]:
                return self._to(request, name, None, _EXPLAINED if what == "explain" else None)
            case ["v2", "models", name, "versions", version, "infer"]:
                return self._to(request, name, version)
            case ["v2", *rest]:
                return self._outcomes.told(self.tell(rest), request)
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
        read = headers(request, _READ)
        kind = read.get("content-type", "")
        form = kind if is_form(kind) else ""
        trace = headers(request, TRACE) if self._traced else None
        plan = _Plan(name, version, {**read, **(further or {})}, more, form, answers.given_id(request), trace)
        if request.memo is not None:
            request.memo[self._bearer.changes] = plan
        return self._ask(request, plan)

    def _ask(self, request: Request, plan: _Plan) -> Later[Response]:
        parameters: dict[str, Any] = {"body": request.body}
        if plan.form:
            parameters = fields_of(request.body, plan.form)
        if plan.more is not None:
            parameters |= plan.more
        question = Question(parameters, plan.headers, plan.id or answers.new_id(), time.perf_counter(), plan.trace)
        return self._models.answer(plan.name, plan.version, question, request.header)
