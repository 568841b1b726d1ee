"""The two clients: `Client` waits, `AsyncClient` awaits; what they ask and understand is the same."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack, overload

import httpx

from .answers import Answer, Explanation
from .exchange import Exchange, Pausing, Steps
from .questions import Options, Question, Texts, about_images, about_texts, read, read_explained
from .tokens import find

Image = Sequence[float]

# Clients to give new connections to in a forked process, and what is kept from being closed there: a pool that a
# thread of the parent had locked would wait for ever.
_clients: weakref.WeakSet[_Base] = weakref.WeakSet()
_of_the_parent: list[Any] = []


class _Base:
    """Where the server is and how it is asked; nothing is sent before the first question."""

    def __init__(
        self,
        host: str | None = None,
        *,
        token: str | None = None,
        token_file: Path | str | None = None,
        state_dir: Path | str | None = None,
        timeout: float = 30.0,
        retries: int = 3,
    ) -> None:
        """`host` is HOST:PORT of the inference address; without it, that of the server of the state folder.

        The token is the one given, or is read from the key file and read again when that changes; with neither,
        the state folder's key file is taken if its server is the one at `host`. `timeout` in seconds is that of a
        question with all its repetitions, of which there are at most `retries`. Raises InputError for a bad host,
        SystemProblem where no server runs.
        """
        url, keys = find(host, token, _path(token_file), _path(state_dir))
        self._exchange = Exchange(url, keys, retries=retries, timeout=timeout)
        self._connect()
        _clients.add(self)

    def _connect(self) -> None:
        """Prepare new connections; those of a parent process are its own."""
        raise NotImplementedError

    def _abandon(self) -> Any:
        """What holds the connections so far."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The inference address."""
        return self._exchange.url

    def _steps(self, name: str, question: Question, *, explain: bool = False) -> Steps:
        door = "explanations" if explain else "predictions"
        return self._exchange.ask(name, question.path(name, door), question.body)


def _renew() -> None:
    """In a forked process: two processes that read one connection would get each other's answers."""
    for client in list(_clients):
        _of_the_parent.append(client._abandon())
        client._connect()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_renew)


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


class Client(_Base):
    """Asks a served model and waits. Connections are kept open; several threads may share one client.

    A process that is forked later, as by gunicorn or Celery, has connections of its own.

    with lexport.Client("127.0.0.1:8080") as client:
        answer = client.predict("reviews", "a gripping film")
        answers = client.predict("reviews", ["a gripping film", "two hours I want back"])
    """

    def _connect(self) -> None:
        self._http = httpx.Client(base_url=self.url, trust_env=False)

    def _abandon(self) -> httpx.Client:
        return self._http

    @overload
    def predict(self, name: str, texts: str, **options: Unpack[Options]) -> Answer: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, name: str, texts: Sequence[str], **options: Unpack[Options]) -> list[Answer]: ...

    def predict(self, name: str, texts: Texts, **options: Unpack[Options]) -> Answer | list[Answer]:
        """The answer to one text, or the answers to several in their order. Raises a ClientError."""
        question = about_texts(texts, **options)
        return read(name, question, self._drive(self._steps(name, question)))

    @overload
    def predict_images(self, name: str, images: Image, *, version: str | None = None) -> Answer: ...

    @overload
    def predict_images(self, name: str, images: Sequence[Image], *, version: str | None = None) -> list[Answer]: ...

    def predict_images(
        self, name: str, images: Image | Sequence[Image], *, version: str | None = None
    ) -> Answer | list[Answer]:
        """A joint model's answer to one image, a flat list of numbers, or to several. Raises a ClientError."""
        question = about_images(images, version)
        return read(name, question, self._drive(self._steps(name, question)))

    def explain(self, name: str, text: str, **options: Unpack[Options]) -> Explanation:
        """What each token of a text contributes; docs/http.md explains the answer. Raises a ClientError."""
        steps = self._steps(name, about_texts(text, **options), explain=True)
        return read_explained(name, self._drive(steps))

    def ask(self, name: str, body: dict[str, Any] | str, *, version: str | None = None, explain: bool = False) -> Any:
        """The answer of any model as the server gave it: its JSON, or its text if it is none.

        A dictionary is sent as JSON, a string as it is (text/plain), which handlers that lexport did not write
        expect. Raises a ClientError.
        """
        return self._drive(self._steps(name, Question(body, version=version), explain=explain))

    def _drive(self, steps: Steps) -> Any:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pausing):
                    time.sleep(step.seconds)
                    step = next(steps)
                    continue
                try:
                    response = self._http.post(
                        step.path, content=step.body, headers=step.headers, timeout=step.timeout
                    )
                except httpx.HTTPError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(response)
        except StopIteration as done:
            return done.value

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()


class AsyncClient(_Base):
    """Asks a served model and awaits the answers. One event loop may have many questions under way.

    Each event loop has connections of its own, so that one client may be used by several, one after the other too.

    async with lexport.AsyncClient("127.0.0.1:8080") as client:
        answers = await asyncio.gather(*(client.predict("reviews", text) for text in texts))
    """

    def _connect(self) -> None:
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = (
            weakref.WeakKeyDictionary()
        )

    def _abandon(self) -> Any:
        return self._pools

    def _http(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = httpx.AsyncClient(base_url=self.url, trust_env=False)
        return pool

    @overload
    async def predict(self, name: str, texts: str, **options: Unpack[Options]) -> Answer: ...  # type: ignore[overload-overlap]

    @overload
    async def predict(self, name: str, texts: Sequence[str], **options: Unpack[Options]) -> list[Answer]: ...

    async def predict(self, name: str, texts: Texts, **options: Unpack[Options]) -> Answer | list[Answer]:
        """As `Client.predict`."""
        question = about_texts(texts, **options)
        return read(name, question, await self._drive(self._steps(name, question)))

    @overload
    async def predict_images(self, name: str, images: Image, *, version: str | None = None) -> Answer: ...

    @overload
    async def predict_images(
        self, name: str, images: Sequence[Image], *, version: str | None = None
    ) -> list[Answer]: ...

    async def predict_images(
        self, name: str, images: Image | Sequence[Image], *, version: str | None = None
    ) -> Answer | list[Answer]:
        """As `Client.predict_images`."""
        question = about_images(images, version)
        return read(name, question, await self._drive(self._steps(name, question)))

    async def explain(self, name: str, text: str, **options: Unpack[Options]) -> Explanation:
        """As `Client.explain`."""
        steps = self._steps(name, about_texts(text, **options), explain=True)
        return read_explained(name, await self._drive(steps))

    async def ask(
        self, name: str, body: dict[str, Any] | str, *, version: str | None = None, explain: bool = False
    ) -> Any:
        """As `Client.ask`."""
        return await self._drive(self._steps(name, Question(body, version=version), explain=explain))

    async def _drive(self, steps: Steps) -> Any:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pausing):
                    await asyncio.sleep(step.seconds)
                    step = next(steps)
                    continue
                try:
                    response = await self._http().post(
                        step.path, content=step.body, headers=step.headers, timeout=step.timeout
                    )
                except httpx.HTTPError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(response)
        except StopIteration as done:
            return done.value

    async def close(self) -> None:
        """Close the connections of this event loop."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()
