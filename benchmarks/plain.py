"""A text classifier as tutorials show it, served by TorchServe with every default of its own.

The model is that of PyTorch's text classification tutorial, an EmbeddingBag of 64 numbers a word and one linear
layer, in TorchScript; the handler subclasses TorchServe's BaseHandler, as its documentation on custom handlers does:
it reads each request's text, splits it into words, looks them up, and answers a dictionary. Its weights are random,
which changes no timing. It stands for what somebody has without lexport, so it is kept simple, not slow: one call of
the model for a batch, though TorchServe's default batch is one request.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor, nn

from lexport.export.formats.torchscript_onnx import write_torchscript
from lexport.loadtest.locust_process import Target
from lexport.serving.settings.addresses import addresses
from lexport.serving.settings.files import read_settings
from lexport.serving.settings.ports import pick_free
from lexport.serving.torchserve import http as api
from lexport.serving.torchserve.java import find_java

NAME = "plain"
_WORDS, _DIM, _PATIENCE = 25_000, 64, 120

_HANDLER = """\
import json
import os
import re

import torch
from ts.torch_handler.base_handler import BaseHandler


class PlainHandler(BaseHandler):
    def initialize(self, context):
        super().initialize(context)
        folder = context.system_properties["model_dir"]
        with open(os.path.join(folder, "vocabulary.json")) as file:
            self.vocabulary = json.load(file)
        with open(os.path.join(folder, "names.json")) as file:
            self.names = json.load(file)

    def preprocess(self, requests):
        ids, offsets = [], []
        for request in requests:
            text = request.get("data") or request.get("body")
            if isinstance(text, (bytes, bytearray)):
                text = text.decode("utf-8")
            if isinstance(text, dict):
                text = text["text"]
            offsets.append(len(ids))
            ids += [self.vocabulary.get(word, 0) for word in re.findall(r"\\w+|[^\\w\\s]", text.lower())]
        return torch.tensor(ids), torch.tensor(offsets)

    def inference(self, inputs):
        with torch.inference_mode():
            return torch.softmax(self.model(*inputs), dim=1)

    def postprocess(self, outputs):
        answers = []
        for row in outputs.tolist():
            score = max(row)
            label = self.names[row.index(score)]
            answers.append({"label": label, "score": score, "scores": dict(zip(self.names, row))})
        return answers
"""


class Classifier(nn.Module):
    """Words [count] (int64) and where each text begins [texts] (int64) → logits [texts, labels]."""

    def __init__(self, words: int, labels: int) -> None:
        """With random weights."""
        super().__init__()
        self.embedding = nn.EmbeddingBag(words, _DIM)
        self.linear = nn.Linear(_DIM, labels)

    def forward(self, ids: Tensor, offsets: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.linear(self.embedding(ids, offsets))
        return logits


def pack(texts: Sequence[str], labels: Sequence[str], target: Path) -> Path:
    """Write the archive that torch-model-archiver would: `target`, with the most frequent words of `texts`."""
    counted = Counter(word for text in texts for word in text.lower().split())
    vocabulary = {"<unk>": 0} | {word: place for place, (word, _) in enumerate(counted.most_common(_WORDS), 1)}
    model = target.with_suffix(".pt")
    write_torchscript(Classifier(len(vocabulary), len(labels)), model)
    manifest = {
        "runtime": "python",
        "archiverVersion": "0.12.0",
        "model": {"modelName": NAME, "modelVersion": "1.0", "handler": "handler.py", "serializedFile": model.name},
    }
    with zipfile.ZipFile(target, "w") as packed:
        packed.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        packed.writestr("handler.py", _HANDLER)
        packed.writestr("vocabulary.json", json.dumps(vocabulary))
        packed.writestr("names.json", json.dumps(list(labels)))
        packed.write(model, model.name)
    return target


@contextlib.contextmanager
def served(archive: Path, folder: Path) -> Iterator[Target]:
    """The archive behind `torchserve --start`, told nothing but its ports; stopped at the end.

    `folder` is scratch space. Raises TimeoutError if it does not come up in two minutes.
    """
    endpoints = pick_free(addresses(read_settings(), 0))
    lines = [f"{purpose}_address={endpoints[purpose].url}" for purpose in ("inference", "management", "metrics")]
    lines += ["grpc_inference_port=0", "grpc_management_port=0"]
    (folder / "ports.properties").write_text("\n".join(lines))
    (folder / "tmp").mkdir()
    environment = os.environ | dict.fromkeys(("TEMP", "TMPDIR"), str(folder / "tmp"))
    environment |= {"JAVA_HOME": str(find_java().path.parents[1])}
    command = [sys.executable, "-m", "ts.model_server"]
    start = ["--start", "--foreground", "--ts-config", "ports.properties"]
    start += ["--model-store", str(archive.parent), "--models", f"{NAME}={archive.name}"]
    nowhere = subprocess.DEVNULL
    with subprocess.Popen([*command, *start], cwd=folder, env=environment, stdout=nowhere, stderr=nowhere) as child:
        try:
            yield _ready(endpoints["inference"].url, folder / "key_file.json")
        finally:
            end = [*command, "--stop"]
            subprocess.run(end, cwd=folder, env=environment, stdout=nowhere, stderr=nowhere, check=False)
            child.wait(60)


def _ready(url: str, keys: Path) -> Target:
    deadline, answer = time.monotonic() + _PATIENCE, None
    while time.monotonic() < deadline:
        time.sleep(0.5)
        # The key file appears while TorchServe starts, the answer when its workers have loaded.
        with contextlib.suppress(OSError, ValueError, KeyError):
            token = str(json.loads(keys.read_text())["inference"]["key"])
            status, answer = api.request("POST", url, f"/predictions/{NAME}", token=token, body=b'{"text": "a"}')
            if status == 200:
                return Target(url, NAME, token)
    raise TimeoutError(f"The plain handler did not answer within {_PATIENCE} s; the last answer: {answer}")
