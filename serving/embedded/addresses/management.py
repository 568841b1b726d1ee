"""The management address: TorchServe's operations on models, done by the supervisor in all of its processes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ....errors import LexportError
from ...supervision import log
from ..http import Request, Response
from ..processes.registry import Served
from . import answers, canaries, descriptions, open_inference
from .answers import Failure, segments
from .operations import Operations
from .outcomes import Outcomes
from .parameters import is_true, json_of, number_of, query_of
from .tokens import Bearer

_PAGE = 100
_NAME = re.compile(r"[\w .+-]{1,200}")


class Management:
    """Answers what TorchServe's management address answers."""

    def __init__(
        self,
        operations: Operations,
        bearer: Bearer,
        outcomes: Outcomes | None = None,
        *,
        model_api: bool,
        most_workers: int,
    ) -> None:
        """Do `operations` for those whose token `bearer` finds right.

        `outcomes` are told of every request. `model_api`: whether models may be registered and unregistered;
        `most_workers` that one may be scaled to.
        """
        self._operations = operations
        self._outcomes = outcomes or Outcomes()
        self._bearer = bearer
        self._model_api = model_api
        self._most_workers = most_workers
        # One operation after the other, those in the background too.
        self._lock = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()

    def admit(self, request: Request) -> Response | None:
        """Refuse a request without the token before its body is read."""
        return None if self._is_allowed(request) else self._outcomes.failed(answers.wrong_token(), request)

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        return self.admit(request) or await self.answer(request)

    async def answer(self, request: Request) -> Response:
        """Answer a request whose token has been checked."""
        try:
            return self._outcomes.told(await self._route(request), request)
        except Failure as failure:
            return self._outcomes.failed(failure, request)

    def _is_allowed(self, request: Request) -> bool:
        return answers.is_open(request) or self._bearer.is_borne(request.fields.get(b"authorization", b""))

    async def _route(self, request: Request) -> Response:
        match request.method, segments(request):
            case "OPTIONS", []:
                return answers.answer(descriptions.management())
            case _, ["api-description"]:
                return answers.answer(descriptions.management())
            case "POST", ["v2", "repository", "index"]:
                return answers.answer(open_inference.index(self._operations.repository()))
            case "POST", ["v2", "repository", "models", name, "load" | "unload" as what] if self._model_api:
                return await self._change_repository(name, what)
            case "GET", ["workflows"]:
                return answers.answer({"workflows": []})
            case "GET", ["models"]:
                return self._list(query_of(request))
            case "POST", ["lexport"]:
                return await self._operate(query_of(request))
            case "POST", ["models"] if self._model_api:
                return await self._register(query_of(request) | json_of(request))
            case "GET", ["models", name]:
                return await self._describe(name, None, query_of(request))
            case "GET", ["models", name, version]:
                return await self._describe(name, version, query_of(request))
            case "PUT", ["models", name]:
                return await self._scale(name, None, query_of(request))
            case "PUT", ["models", name, version]:
                return await self._scale(name, version, query_of(request))
            case "PUT", ["models", name, version, "set-default"]:
                return await self._set_default(name, version)
            case "DELETE", ["models", name] if self._model_api:
                return await self._unregister(name, None)
            case "DELETE", ["models", name, version] if self._model_api:
                return await self._unregister(name, version)
            case _, [] | ["models"] | ["models", _] | ["models", _, _] | ["models", _, _, "set-default"]:
                raise answers.wrong_method()
            case _:
                raise answers.not_found()

    def _list(self, query: Mapping[str, str]) -> Response:
        registry, limit = self._operations.registry, number_of(query.get("limit"), _PAGE)
        limit = _PAGE if limit < 0 else min(limit, _PAGE)
        first = max(0, number_of(query.get("next_page_token"), 0))
        names = list(registry.defaults)
        models = [{"modelName": name, "modelUrl": registry.find(name).url} for name in names[first : first + limit]]
        following = {"nextPageToken": str(first + limit)} if first + limit <= len(names) else {}
        return answers.answer({**following, "models": models})

    async def _describe(self, name: str, version: str | None, query: Mapping[str, str]) -> Response:
        operations = self._operations
        registry = operations.registry
        versions = list(registry.all(name).values()) if version == "all" else [registry.find(name, version)]
        found = [await operations.describe(one) for one in versions]
        if is_true(query.get("customized")) and version != "all":
            for one, served in zip(found, versions, strict=True):
                one["customizedMetadata"] = await operations.describe_itself(served)
        return answers.answer(found)

    async def _register(self, asked: Mapping[str, Any]) -> Response:
        file = asked.get("url")
        if not isinstance(file, str):
            raise answers.bad_request("Parameter url is required.")
        runtime = str(asked.get("runtime", "python")).lower()
        if runtime not in ("python", "python3"):
            raise answers.bad_request(f"Invalid RuntimeType value: {asked['runtime']}")
        if "handler" in asked:
            raise answers.bad_request("The embedded engine answers with lexport's own handler; leave handler out.")
        workers = min(max(0, number_of(asked.get("initial_workers"), 1)), self._most_workers)
        options = {"workers": workers}
        for given, key in (("batch_size", "largest"), ("max_batch_delay", "delay"), ("response_timeout", "seconds")):
            if (value := number_of(asked.get(given), 0)) > 0:
                options[key] = value
        name = asked.get("model_name")
        if name is not None and not _NAME.fullmatch(str(name)):
            raise answers.bad_request(f"model_name is {str(name)[:100]!r}; expected letters, digits, blanks, . _ + -")

        own_name = None if name is None else str(name)

        async def register() -> Served:
            async with self._lock:
                return await self._operations.register(file, own_name, options)

        try:
            if not is_true(asked.get("synchronous", "true")):
                self._operations.check(file, own_name)
                return self._later(register())
            served = await register()
        except LexportError as error:
            raise answers.failed(str(error)) from None
        what = f'Model "{served.name}" Version: {served.version} registered with {workers} initial workers'
        return answers.answer(
            {"status": what if workers else f"{what}. Use scale workers API to add workers for the model."}
        )

    async def _operate(self, asked: Mapping[str, Any]) -> Response:
        """Register or unregister an archive, run a canary, or take new tokens, as lexport's own commands ask."""
        match asked:
            case {"canary": _}:
                return await canaries.operate(self._operations.canaries, self._lock, asked)
            case {"register": file, "workers": workers}:
                return await self._register({"url": file, "initial_workers": workers})
            case {"unregister": name, "version": version}:
                return await self._unregister(name, version)
            case {"rotate": _}:
                return await self._rotate()
        raise answers.bad_request(
            "Expected ?register=FILE&workers=N, ?unregister=NAME&version=V, ?canary=NAME or ?rotate."
        )

    async def _scale(self, name: str, version: str | None, query: Mapping[str, str]) -> Response:
        least = number_of(query.get("min_worker"), 1)
        most = number_of(query.get("max_worker"), least)
        if most < least:
            raise answers.bad_request("max_worker cannot be less than min_worker.")
        served = self._operations.registry.find(name, version)
        if not 0 <= least <= self._most_workers:
            raise answers.bad_request(
                f"min_worker is {least}; expected 0 to {self._most_workers}, the most processes on this machine."
            )

        async def scale() -> None:
            async with self._lock:
                await self._operations.scale(self._operations.registry.find(name, served.version), least)

        if not is_true(query.get("synchronous")):
            return self._later(scale())
        try:
            await scale()
        except LexportError as error:
            raise answers.failed(str(error)) from None
        which = f"{name}, version: {version}" if version is not None else name
        return answers.answer({"status": f"Workers scaled to {least} for model: {which}"})

    async def _set_default(self, name: str, version: str) -> Response:
        async with self._lock:
            with _told():
                await self._operations.make_default(name, version)
        return answers.answer({"status": f'Default version successfully updated for model "{name}" to "{version}"'})

    async def _unregister(self, name: str, version: str | None) -> Response:
        async with self._lock:
            with _told():
                await self._operations.unregister(self._operations.registry.find(name, version))
        return answers.answer({"status": f'Model "{name}" unregistered'})

    async def _rotate(self) -> Response:
        async with self._lock:
            try:
                await self._operations.rotate()
            except LexportError as error:
                raise answers.failed(str(error)) from None
        return answers.answer({"status": "the tokens of the new key file are taken"})

    async def _change_repository(self, name: str, what: str) -> Response:
        """Load a model of the store, or unload each of its versions."""
        async with self._lock:
            operations = self._operations
            if what == "unload":
                default = operations.registry.find(name)
                others = [one for one in operations.registry.all(name).values() if one != default]
                for served in (*others, default):
                    await operations.unregister(served)
            else:
                files = [file for file, model, _ in operations.files() if model == name]
                if not files:
                    raise answers.no_model(name)
                for file in files:
                    try:
                        await operations.register(file, None, {})
                    except LexportError as error:
                        raise answers.failed(str(error)) from None
        return answers.answer({})

    def _later(self, operation: Awaitable[Any]) -> Response:
        """Do something in the background; its failure is in the log."""

        async def run() -> None:
            try:
                await operation
            except (Failure, LexportError) as error:
                log(f"An operation in the background failed: {error}")

        task = asyncio.ensure_future(run())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return answers.answer({"status": "Processing worker updates..."}, 202)


@contextmanager
def _told() -> Iterator[None]:
    """Context manager: a LexportError becomes the Failure that tells it."""
    try:
        yield
    except LexportError as error:
        raise answers.failed(str(error)) from None
