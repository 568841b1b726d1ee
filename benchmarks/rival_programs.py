"""The programs of rivals.py: other servers with a lexport archive's predictor, each in its best known form."""

from __future__ import annotations

from dataclasses import dataclass

BODY = '{"text": TEXT}'


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
    body: str = BODY
    """What it is sent: TEXT stands for the text as JSON."""
    after: tuple[str, ...] = ()
    """What pip installs over that, whatever lexport asks for."""

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

_MLSERVER = (
    _MODEL
    + """
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse


class Model(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        answers = [json.dumps(one) for one in loaded.predict(StringCodec.decode_input(payload.inputs[0]))]
        return InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("answer", answers)])
"""
)

_PYTHON_BACKEND = (
    _MODEL
    + """
import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        texts = [pb.get_input_tensor_by_name(one, "text").as_numpy().item().decode() for one in requests]
        answers = [np.array([[json.dumps(one).encode()]], object) for one in loaded.predict(texts)]
        return [pb.InferenceResponse([pb.Tensor("answer", one)]) for one in answers]
"""
)

# The real server of the wheel with its own Python backend, which is a process less than pytriton's way of calling it.
_TRITON = """
import os, shutil, sys, sysconfig
from pathlib import Path

import pytriton

here = Path.cwd()
version = here / "models" / "m" / "1"
version.mkdir(parents=True)
(version / "model.py").write_text(BACKEND)
(version.parent / "config.pbtxt").write_text(
    'name: "m" backend: "python" max_batch_size: 64 dynamic_batching { max_queue_delay_microseconds: 0 } '
    'input [{ name: "text" data_type: TYPE_STRING dims: [1] }] '
    'output [{ name: "answer" data_type: TYPE_STRING dims: [1] }] '
    'instance_group [{ kind: KIND_CPU count: 1 }]'
)
wheel = Path(pytriton.__file__).parent / "tritonserver"
shutil.copytree(wheel, here / "server", symlinks=True)
stub = wheel / "python_backend_stubs" / f"3.{sys.version_info.minor}" / "triton_python_backend_stub"
shutil.copy(stub, here / "server" / "backends" / "python")
libraries = (sysconfig.get_config_var("LIBDIR"), str(wheel.parents[1] / "nvidia_pytriton.libs"))
os.environ["LD_LIBRARY_PATH"] = ":".join(libraries)
options = {"model-repository": here / "models", "backend-directory": here / "server" / "backends"}
options |= {"http-address": "127.0.0.1", "http-port": os.environ["PORT"], "allow-grpc": "false"}
options |= {"allow-metrics": "false", "log-info": "false"}
command = str(here / "server" / "bin" / "tritonserver")
os.execv(command, [command, *(f"--{name}={value}" for name, value in options.items())])
""".replace("BACKEND", repr(_PYTHON_BACKEND))

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
    "bentoml": Rival(
        ("bentoml",),
        _MODEL
        + """
import bentoml


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Model:
    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10000, route="/predict")
    async def predict(self, texts: list[str]) -> list[dict]:
        return loaded.predict(texts)
""",
        ("-m", "bentoml", "serve", "program:Model", "--host", "127.0.0.1", "--port", "PORT"),
        body='{"texts": [TEXT]}',
    ),
    "ray": Rival(
        ("ray[serve]",),
        """
import os
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(num_replicas=1, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 1})
class Model:
    def __init__(self):
        from model import answer  # in the process that computes

        self.answer = answer

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0)
    async def many(self, bodies):
        return self.answer(bodies)

    async def __call__(self, request: Request) -> Response:
        return Response(await self.many(await request.body()), media_type="application/json")


if __name__ == "__main__":
    Path("model.py").write_text(MODEL)
    here = os.getcwd()
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": here}},
        _node_ip_address="127.0.0.1",
        _temp_dir=here,
    )
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(Model.bind(), route_prefix="/predict", blocking=True)
""".replace("MODEL", repr(_MODEL)),
        ("program.py",),
    ),
    "mlserver": Rival(
        ("mlserver",),
        """
import json, os, sys
from pathlib import Path

port = int(os.environ["PORT"])
ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
Path("model.py").write_text(MODEL)
Path("settings.json").write_text(json.dumps({"host": "127.0.0.1", "parallel_workers": 0, "debug": False, **ports}))
model = {"name": "m", "implementation": "model.Model", "max_batch_size": 64, "max_batch_time": 0.001}
Path("model-settings.json").write_text(json.dumps(model))
command = str(Path(sys.executable).with_name("mlserver"))
os.execv(command, [command, "start", "."])
""".replace("MODEL", repr(_MLSERVER)),
        ("program.py",),
        "/v2/models/m/infer",
        '{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [TEXT]}]}',
    ),
    "triton": Rival(
        ("nvidia-pytriton",),
        _TRITON,
        ("program.py",),
        "/v2/models/m/infer",
        '{"inputs": [{"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [TEXT]}]}',
        after=("numpy<2",),  # this Triton reads the arrays of numpy 1
    ),
}
