"""The programs of rivals.py: other servers with a lexport archive's predictor, each in its best known form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rival:
    """Another server."""

    packages: tuple[str, ...]
    """What pip installs beside lexport[serve]."""
    source: str
    """`program.py`; it reads ARCHIVE and PORT from its environment."""
    command: tuple[str, ...]
    """Arguments of Python; PORT stands for the port."""
    path: str = "/predict"
    """Where it is asked."""

    def arguments(self, port: int) -> list[str]:
        """The arguments with a port."""
        return [str(port) if one == "PORT" else one for one in self.command]


_MODEL = """
import json, os
from pathlib import Path

from lexport.export.archive.inprocess import load_archive

JSON = "application/json"
_opened = load_archive(Path(os.environ["ARCHIVE"]))
loaded = _opened.__enter__()


def answer(bodies):
    return [body for _, body in loaded.request([(body, JSON) for body in bodies])]
"""

# Requests that arrive in one turn of the loop are a batch: the form that is fastest in an event loop.
_TURNS = (
    _MODEL
    + """
import asyncio

waiting = []


def turn():
    batch, waiting[:] = waiting[:64], waiting[64:]
    if waiting:
        asyncio.get_running_loop().call_soon(turn)
    for (_, future), body in zip(batch, answer([body for body, _ in batch])):
        future.done() or future.set_result(body)


def submit(body):
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    waiting.append((body, future))
    if len(waiting) == 1:
        loop.call_soon(turn)
    return future
"""
)

RIVALS = {
    "granian": Rival(
        ("granian[uvloop]",),
        _TURNS
        + """
async def app(scope, protocol):
    protocol.response_bytes(200, [("content-type", JSON)], await submit(await protocol()))
""",
        (
            *("-m", "granian", "--interface", "rsgi", "--loop", "uvloop", "--host", "127.0.0.1", "--port", "PORT"),
            *("--no-ws", "--log-level", "warning", "program:app"),
        ),
    ),
    "fastapi": Rival(
        ("fastapi", "uvicorn[standard]"),
        _MODEL
        + """
from fastapi import FastAPI, Request, Response

app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> Response:
    return Response(answer([await request.body()])[0], media_type=JSON)
""",
        (
            *("-m", "uvicorn", "program:app", "--host", "127.0.0.1", "--port", "PORT", "--no-access-log"),
            *("--log-level", "warning"),
        ),
    ),
    "mosec": Rival(
        ("mosec",),
        """
from mosec import Server, Worker


class Model(Worker):
    def __init__(self):
        global answer
        from model import answer  # in the process that computes

    def deserialize(self, data):
        return data

    def serialize(self, data):
        return data

    def forward(self, bodies):
        return answer(bodies)


if __name__ == "__main__":
    from pathlib import Path

    Path("model.py").write_text(MODEL)
    server = Server()
    server.append_worker(Model, num=1, max_batch_size=64, max_wait_time=1)
    server.run()
""".replace("MODEL", repr(_MODEL)),
        ("program.py", "--port", "PORT", "--address", "127.0.0.1", "--log-level", "warning"),
        "/inference",
    ),
    "litserve": Rival(
        ("litserve",),
        _MODEL
        + """
import litserve
from fastapi import Request, Response


class Model(litserve.LitAPI):
    def setup(self, device):
        pass

    async def decode_request(self, request: Request):
        return await request.body()

    def batch(self, inputs):
        return inputs

    def predict(self, bodies):
        return answer(bodies)

    def unbatch(self, outputs):
        return outputs

    def encode_response(self, body):
        return Response(body, media_type=JSON)


if __name__ == "__main__":
    api = Model(max_batch_size=64, batch_timeout=0.001)
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", generate_client_file=False
    )
""",
        ("program.py",),
    ),
}
