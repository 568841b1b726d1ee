"""The programs that http_servers.py runs: each server with the same handler.

`MODE` in their environment is `at once`, or `by turns`: then the requests of one turn of the loop are answered
together, as a model's batch would be.
"""

from __future__ import annotations

from dataclasses import dataclass

ARCHIVED = "a model"
"""Our server with the archive `ARCHIVE` behind it; `MODE` is `in the loop` or `in a thread`."""

_HANDLER = """
import asyncio, os, sys

MODE, ANSWER = os.environ["MODE"], b'{"label": "positive"}'.ljust(200)
JSON = "application/json"
waiting = []


def turn():
    answered, waiting[:] = waiting[:], []
    for future in answered:
        future.done() or future.set_result(ANSWER)


def submit():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    waiting.append(future)
    if len(waiting) == 1:
        loop.call_soon(turn)
    return future
"""

_OURS = (
    _HANDLER
    + '''
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lexport.export.archive.inprocess import load_archive
from lexport.serving.embedded.batching import Batcher
from lexport.serving.embedded.http import Response, Server, new_event_loop

RESPONSE = Response(200, ANSWER)


class Threaded:
    """What waits while the thread works is its next batch."""

    def __init__(self, engine):
        self.engine, self.pool, self.waiting, self.busy = engine, ThreadPoolExecutor(1), [], False

    def submit(self, body):
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((body, future))
        if not self.busy:
            self.busy = True
            self.task = asyncio.ensure_future(self.work())
        return future

    async def work(self):
        while self.waiting:
            batch, self.waiting = self.waiting[:64], self.waiting[64:]
            bodies = [body for body, _ in batch]
            answers = await asyncio.get_running_loop().run_in_executor(self.pool, self.engine, bodies)
            for (_, future), answer in zip(batch, answers):
                future.done() or future.set_result(answer)
        self.busy = False


async def main():
    if MODE == "at once":
        handle = lambda request: RESPONSE
    elif MODE == "by turns":
        batcher = Batcher(lambda bodies: [RESPONSE] * len(bodies))
        handle = lambda request: batcher.submit(request.body)
    else:
        loaded = load_archive(Path(os.environ["ARCHIVE"])).__enter__()

        def engine(bodies):
            return [Response(*found) for found in loaded.request([(body, JSON) for body in bodies])]

        batcher = Threaded(engine) if MODE == "in a thread" else Batcher(engine)
        handle = lambda request: batcher.submit(request.body)
    server = Server(handle)
    await server.start("127.0.0.1", int(sys.argv[1]))
    await asyncio.Event().wait()


asyncio.Runner(loop_factory=new_event_loop).run(main())
'''
)

_RSGI = (
    _HANDLER
    + """

async def app(scope, protocol):
    await protocol()
    protocol.response_bytes(200, [("content-type", JSON)], ANSWER if MODE == "at once" else await submit())
"""
)

_ASGI = (
    _HANDLER
    + """
HEADERS = [(b"content-type", JSON.encode()), (b"content-length", b"200")]


async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    answer = ANSWER if MODE == "at once" else await submit()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": answer})
"""
)

_AIOHTTP = (
    _HANDLER
    + """
import uvloop
from aiohttp import web


async def handle(request):
    await request.read()
    return web.Response(body=ANSWER if MODE == "at once" else await submit(), content_type=JSON)


app = web.Application()
app.router.add_post("/predictions/reviews", handle)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=uvloop.new_event_loop())
"""
)


@dataclass(frozen=True)
class Program:
    """A server's program, which is written to `program.py`, and how it is run."""

    source: str
    command: str
    """Arguments of Python, with `{port}`."""

    def arguments(self, port: int) -> list[str]:
        """Return the arguments of Python that have it listen at `port` of 127.0.0.1."""
        return self.command.format(port=port).split()


PROGRAMS = {
    "ours": Program(_OURS, "program.py {port}"),
    "granian (RSGI)": Program(
        _RSGI,
        "-m granian --interface rsgi --host 127.0.0.1 --port {port} --workers 1 --loop uvloop --log-level error "
        "program:app",
    ),
    "uvicorn (httptools)": Program(
        _ASGI,
        "-m uvicorn --http httptools --loop uvloop --lifespan off --no-access-log --log-level error "
        "--host 127.0.0.1 --port {port} program:app",
    ),
    "aiohttp": Program(_AIOHTTP, "program.py {port}"),
    "hypercorn": Program(
        _ASGI + "\nkeep_alive_max_requests = 10**9\n",  # read as its settings
        "-m hypercorn --config python:program --workers 1 --worker-class uvloop --bind 127.0.0.1:{port} program:app",
    ),
}
