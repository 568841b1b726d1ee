"""A process that answers: it listens at the inference address and has every model open.

Its supervisor starts it with two descriptors, the channel's and the listening socket's, and tells it by the channel
what to load. It ends when it is told to, or when the channel closes because the supervisor has gone.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....export.archive.inprocess import Context, LoadedArchive, open_worker
from ....handlers.model.loading import reopen
from ....handlers.runtime.threads import THREADS
from ...canary.rule import Rule
from ...tokens import Accepted
from ..access_log import AccessLog
from ..addresses.answers import Failure
from ..addresses.inference import Inference
from ..addresses.outcomes import Outcomes
from ..addresses.tokens import Bearer
from ..batching import Turns
from ..http import Limits, Server, new_event_loop
from ..model import Model
from ..models import Models
from .channel import Channel
from .orders import ENDPOINTS
from .sockets import room_for_connections

if TYPE_CHECKING:
    from ..grpc.server import Server as GrpcServer
    from ..tracing import Tracing


def main() -> int:
    """Serve until told to end."""
    channel, listening = (socket.socket(fileno=int(number)) for number in sys.argv[3:5])
    # The supervisor decides: Ctrl-C in a terminal reaches this process too.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(channel, listening))
    sys.stdout.flush()
    sys.stderr.flush()
    # What native libraries do at the end of a process takes a while, and may crash.
    os._exit(0)


async def _serve(channel: socket.socket, listening: socket.socket) -> None:
    worker = _Worker(listening)
    asked = await Channel.over(channel, worker.answer)
    await asyncio.wait(
        [asyncio.ensure_future(asked.run()), asyncio.ensure_future(worker.ended.wait())],
        return_when=asyncio.FIRST_COMPLETED,
    )
    worker.close()


class _Worker:
    """The state of the process; `answer` does what its supervisor asks for."""

    def __init__(self, listening: socket.socket) -> None:
        self.ended = asyncio.Event()
        self._listening = listening
        self._models = Models()
        self._turns = Turns()
        self._bearer = Bearer(None)
        self._server: Server | None = None
        self._outcomes = Outcomes()
        self._tracing: Tracing | None = None
        self._grpc: GrpcServer | None = None
        self._grpc_address: tuple[str, int] | None = None
        self._log: AccessLog | None = None
        self._gpu: int | None = None
        # One thread: models are opened one after the other, while requests are answered.
        self._loader = ThreadPoolExecutor(1, "lexport-loader")
        self._questions: Mapping[str, Callable[..., Any]] = {
            "begin": self._begin,
            "tokens": self._take_tokens,
            "load": self._load,
            "suspend": self._suspend,
            "unload": self._unload,
            "default": self._default,
            "canary": self._begin_canary,
            "end_canary": self._end_canary,
            "listen": self._listen,
            "threads": self._use_threads,
            "count": self._count,
            "describe": self._describe,
            "drain": self._drain,
        }

    async def answer(self, question: str, facts: Mapping[str, Any]) -> Any:
        """Do what a question of the supervisor asks for."""
        return await self._questions[question](**facts)

    def close(self) -> None:
        """Cut what is open."""
        if self._server is not None:
            self._server.close()
        if self._log is not None:
            self._log.close()
        if self._tracing is not None:
            self._tracing.close()

    async def _begin(
        self,
        tokens: Mapping[str, Any] | None,
        limits: Mapping[str, Any],
        threads: int,
        gpu: int | None,
        log: str,
        grpc: tuple[str, int] | None,
    ) -> None:
        os.environ[THREADS] = str(threads)
        if tokens is not None:
            await self._take_tokens(tokens)
        self._gpu = gpu
        self._log = AccessLog(Path(log))
        if any(name in os.environ for name in ENDPOINTS):
            from ..tracing import Tracing

            self._tracing = Tracing()
        refused = None if self._tracing is None else self._tracing.note_refused
        self._outcomes = Outcomes(self._log.note_other, refused)
        inference = Inference(self._models, self._bearer, self._outcomes, traced=self._tracing is not None)
        connections, over_grpc = room_for_connections(grpc=grpc is not None)
        own = Limits(**{"connections": connections, **limits})
        self._server = Server(inference.handle, own, admit=inference.admit, refuse=self._outcomes.refuse)
        if grpc is not None:
            from ..grpc.inference import add_to
            from ..grpc.server import Server as GrpcServer

            self._grpc_address = grpc
            server = self._server
            self._grpc = GrpcServer(
                self._bearer,
                self._outcomes.called,
                largest=own.body,
                connections=over_grpc,
                room=server.room,
                unread=server.unread,
            )
            add_to(self._grpc, inference, self._models)

    async def _take_tokens(self, tokens: Mapping[str, Any]) -> None:
        self._bearer.change(Accepted.parse(tokens))

    async def _load(self, folder: str, file: str, name: str, largest: int, queue: int, seconds: float) -> None:
        def open_archive() -> LoadedArchive:
            context = Context(Path(folder), self._gpu)
            return LoadedArchive(open_worker(Path(file), context), context, Path(file))

        loaded = await asyncio.get_running_loop().run_in_executor(self._loader, open_archive)
        assert self._log is not None
        limits: dict[str, Any] = {"largest": largest, "queue": queue, "seconds": seconds, "turns": self._turns}
        model = Model(loaded, name, **limits, log=self._log.note, tracing=self._tracing)
        self._models.add(model)

    async def _suspend(self, name: str, version: str) -> None:
        self._models.suspend(name, version)

    async def _unload(self, name: str, version: str) -> None:
        with suppress(Failure):  # this process could not open it
            self._models.remove(name, version)

    async def _default(self, name: str, version: str) -> None:
        self._models.make_default(name, version)

    async def _begin_canary(self, identity: str, **rule: Any) -> None:
        self._models.begin_canary(identity, Rule(**rule))

    async def _end_canary(self, name: str) -> None:
        self._models.canaries.pop(name, None)

    async def _listen(self) -> None:
        assert self._server is not None
        # What has been loaded stays, and the garbage collector need not look at it again.
        gc.collect()
        gc.freeze()
        await self._server.start(listening=self._listening)
        if self._grpc is not None and self._grpc_address is not None:
            await self._grpc.start(*self._grpc_address)

    async def _use_threads(self, threads: int, queues: Mapping[str, int]) -> None:
        """Let models that gain by several threads use so many, and bound the queues anew."""
        device = "cpu" if self._gpu is None else f"cuda:{self._gpu}"
        changed = os.environ[THREADS] != str(threads)
        os.environ[THREADS] = str(threads)
        for model in self._models.answering:
            model.queue.most = queues.get(f"{model.name} {model.version}", model.queue.most)
            predictor = model.loaded.worker.predictor
            if changed and predictor.model.parallel and device == "cpu":
                await asyncio.get_running_loop().run_in_executor(
                    self._loader, partial(_reopen, model, threads, device)
                )

    async def _count(self) -> dict[str, Any]:
        assert self._server is not None
        server, outcomes = self._server.counts, self._outcomes
        return {
            "models": {f"{model.name} {model.version}": model.count() for model in self._models.answering},
            "statuses": {str(status): count for status, count in (outcomes.statuses + server.statuses).items()},
            "refused": dict(outcomes.refused + server.refused),
            "connections": self._server.connections,
            "canaries": {one.identity: one.tally.to_json() for one in self._models.canaries.values()},
        }

    async def _describe(self, name: str, version: str) -> Any:
        return self._models.ask(name, version).describe()

    async def _drain(self, seconds: float) -> dict[str, Any]:
        over_grpc = asyncio.ensure_future(self._grpc.drain(seconds)) if self._grpc is not None else None
        cut = 0 if self._server is None else await self._server.drain(seconds)
        if over_grpc is not None:
            await over_grpc
        asyncio.get_running_loop().call_later(0.05, self.ended.set)  # once this is answered
        return {"cut": cut, "counts": None if self._server is None else await self._count()}


def _reopen(model: Model, threads: int, device: str) -> None:
    reopen(model.loaded.worker.predictor, model.loaded.folder, threads=threads, device=device)
