"""A text classifier as torch's examples have it, its vocabulary and labels, in every form that can be brought in."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORDS = [
    "<unk>",
    "<pad>",
    "the",
    "a",
    "film",
    "is",
    "good",
    "bad",
    "dull",
    "warm",
    ".",
    ",",
    "!",
    "'",
    "s",
    "été",
    "好",
]
LABELS = ["bad", "good", "neither"]


class Classifier(nn.Module):
    """EmbeddingBag and Linear, called with the rows of words and their offsets."""

    def __init__(self, mode: str = "mean", *, softmax: bool = False) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(len(WORDS), 8, mode=mode)
        self.fc = nn.Linear(8, len(LABELS))
        self.softmax = softmax

    def forward(self, text: Tensor, offsets: Tensor) -> Tensor:
        found: Tensor = self.fc(self.embedding(text, offsets))
        return F.softmax(found, dim=1) if self.softmax else found


class Rows(nn.Module):
    """The same called with the rows of words alone, [texts, words]."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(len(WORDS), 8)
        self.out = nn.Linear(8, len(LABELS))

    def forward(self, ids: Tensor) -> Tensor:
        return F.log_softmax(self.out(self.table(ids).mean(dim=1)), dim=1)


class Squared(Classifier):
    """With the weights of an embedding bag, and more than that done with them."""

    def forward(self, text: Tensor, offsets: Tensor) -> Tensor:
        found = self.embedding(text, offsets)
        squared: Tensor = self.fc(found * found)
        return squared


class Writing(Classifier):
    """A program that writes a file."""

    def forward(self, text: Tensor, offsets: Tensor) -> Tensor:
        torch.save(text, "written")
        found: Tensor = self.fc(self.embedding(text, offsets))
        return found


class Deep(Classifier):
    """With a second layer."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(8, 8)


def spread(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with weights far enough from one another that labels differ, in evaluation mode."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return module.eval()


def script(module: nn.Module, path: Path) -> Path:
    """A TorchScript file of the module."""
    torch.jit.save(torch.jit.script(module), str(path))
    return path


def texts(count: int = 60, seed: int = 0) -> list[str]:
    """Different texts of known and unknown words."""
    draw = random.Random(seed)
    words = [*WORDS[2:], "Film", "GOOD", "unknown", "film.", "(dull)", "it's", '"warm"', "bad;good"]
    return sorted({" ".join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(count)})


def write_texts(path: Path, rows: Sequence[str]) -> str:
    """A data file of texts, as a command line names it."""
    path.write_text("".join(json.dumps({"text": one}) + "\n" for one in rows), encoding="utf-8")
    return str(path)


def archive(path: Path, members: dict[str, bytes], serialized: str = "model.pt") -> Path:
    """An archive as torch-model-archiver packs it."""
    manifest = {
        "createdOn": "01/01/2024 00:00:00",
        "runtime": "python",
        "model": {
            "modelName": "old",
            "serializedFile": serialized,
            "handler": "text_classifier",
            "modelVersion": "1.0",
        },
        "archiverVersion": "0.12.0",
    }
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        for name, content in members.items():
            packed.writestr(name, content)
    return path


def names() -> bytes:
    """TorchServe's index_to_name.json."""
    return json.dumps({str(number): label for number, label in enumerate(LABELS)}).encode()


def rows() -> dict[str, int]:
    """The row of each word."""
    return {word: row for row, word in enumerate(WORDS)}
