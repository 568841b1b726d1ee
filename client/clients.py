"""The two clients: `Client` blocks, `AsyncClient` awaits; their requests and answers are the same."""

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

# Clients that get new connections in a forked process, and the parent's pools, which must not be closed there: a pool
# that a thread of the parent had locked would block forever.
_clients: weakref.WeakSet[_Base] = weakref.WeakSet()
_of_the_parent: list[Any] = []


class _Base:
    """The server's address, token and connections; nothing is sent before the first request."""

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
        """Connect to HOST:PORT, the inference address; without `host` to the server of the state folder.

        `token` is used as it is; a key file is read, and read again when it changes. With neither, the state folder's
        key file is used if its server is the one at `host`. `timeout`, in seconds, includes all retries, of which
        there are at most `retries`. Raises InputError for a bad host, SystemProblem where no server runs.
        """
        url, keys = find(host, token, _path(token_file), _path(state_dir))
        self._exchange = Exchange(url, keys, retries=retries, timeout=timeout)
        self._connect()
        _clients.add(self)

    def _connect(self) -> None:
        """Make a new connection pool; that of a parent process is not used."""
        raise NotImplementedError

    def _abandon(self) -> Any:
        """Return the current connection pool."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The inference address."""
        return self._exchange.url

    def _steps(self, name: str, question: Question, *, explain: bool = False) -> Steps:
        endpoint = "explanations" if explain else "predictions"
        return self._exchange.ask(name, question.path(name, endpoint), question.body)


def _renew() -> None:
    """Replace the pools in a forked process: two processes on one connection would read each other's answers."""
    for client in list(_clients):
        _of_the_parent.append(client._abandon())
        client._connect()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_renew)


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


class Client(_Base):
    """Ask a served model and wait for the answer. Connections stay open; several threads may share one client.

    A process that is forked later, for example by gunicorn or Celery, opens its own connections.

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
        """Return the answer to one text, or the answers to several in their order. Raises a ClientError."""
        question = about_texts(texts, **options)
        return read(name, question, self._drive(self._steps(name, question)))

    @overload
    def predict_images(self, name: str, images: Image, *, version: str | None = None) -> Answer: ...

    @overload
    def predict_images(self, name: str, images: Sequence[Image], *, version: str | None = None) -> list[Answer]: ...

    def predict_images(
        self, name: str, images: Image | Sequence[Image], *, version: str | None = None
    ) -> Answer | list[Answer]:
        """Return a joint model's answer to one image, a flat list of numbers, or to several. Raises a ClientError."""
        question = about_images(images, version)
        return read(name, question, self._drive(self._steps(name, question)))

    def explain(self, name: str, text: str, **options: Unpack[Options]) -> Explanation:
        """Return what each token of a text contributes; docs/http.md explains the answer. Raises a ClientError."""
        steps = self._steps(name, about_texts(text, **options), explain=True)
        return read_explained(name, self._drive(steps))

    def ask(self, name: str, body: dict[str, Any] | str, *, version: str | None = None, explain: bool = False) -> Any:
        """Return the answer of any model as the server sent it: the JSON value, or the text if it is not JSON.

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
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()


class AsyncClient(_Base):
    """Ask a served model and await the answers. One event loop may have many requests in flight.

    Each event loop has its own connections, so several event loops may use one client.

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
        """Do the same as `Client.predict`."""
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
        """Do the same as `Client.predict_images`."""
        question = about_images(images, version)
        return read(name, question, await self._drive(self._steps(name, question)))

    async def explain(self, name: str, text: str, **options: Unpack[Options]) -> Explanation:
        """Do the same as `Client.explain`."""
        steps = self._steps(name, about_texts(text, **options), explain=True)
        return read_explained(name, await self._drive(steps))

    async def ask(
        self, name: str, body: dict[str, Any] | str, *, version: str | None = None, explain: bool = False
    ) -> Any:
        """Do the same as `Client.ask`."""
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
        """Return the client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()
