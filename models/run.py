"""A run: one trained model on disk. Reading its files runs no code.

run.json               recipe, seed, data, sizes, versions, date
weights.safetensors    the parameters
text.json, vocabulary.txt, labels.json; tokenizer.json in the place of vocabulary.txt where it reads the texts
metrics.json           validation and test metrics of the trained model
validation.jsonl.gz, test.jsonl.gz   the held-out texts; exports are measured on them
parts.safetensors      the parts of the texts, where the default split does not say them
README.md              model card
export/VARIANT/        what `lexport export` adds, with evidence.json beside it
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file as load_weights

from ..data.load import Dataset
from ..data.part_record import PartRecord
from ..data.splits import parts_of
from ..errors import InputError
from ..handlers.text.encoder import TextEncoder
from ..handlers.text.files import load_encoder
from ..handlers.text.tokenizer import FILE as TOKENIZER
from ..storage.atomic import json_bytes, sha256_file
from ..storage.validation import build as build_checked
from . import recipes
from .compose import TextModel, build
from .tensor_file import write_tensors

_MEMBERS = ("run.json", "weights.safetensors", "text.json", "vocabulary.txt", "labels.json", "metrics.json")
_PARTS = "parts.safetensors"
_TOGETHER = 1024  # held-out texts written at a time
# The columns of held-out texts beside text and label: their key in a line, and what Dataset calls them.
_FURTHER = {"lang": "languages", "pair": "pairs", "image": "images"}


@dataclass(frozen=True)
class RunInfo:
    """The content of `run.json`."""

    recipe: dict[str, Any]
    """The recipe, see `Recipe.to_json`."""
    seed: int
    """Seed of the training."""
    data: dict[str, Any]
    """Name and digest of the data, rows dropped, and the sizes of the splits."""
    parameters: int
    """Number of parameters."""
    training: dict[str, Any]
    """Epochs, validation losses and duration."""
    versions: dict[str, str]
    """Versions of the packages that trained."""
    created: int
    """Seconds since 1970."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """The runs that this one was made from by `expand` or further training, by the digest of their weights."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    """The warnings of the training: code, message, details, and the options that follow the advice."""
    leaderboard: list[dict[str, Any]] = field(default_factory=list)
    """The recipes that `--model auto` tried, the best first: metrics and loss on the validation texts, seconds."""
    cross_validation: dict[str, Any] = field(default_factory=dict)
    """With `--cv`: folds, texts, and each metric's values on the tested texts of the folds, mean and deviation."""
    imported: dict[str, Any] = field(default_factory=dict)
    """Of a model that another program trained: its kind and file, facts of it, and how its answers were compared."""
    schema: int = 1


@dataclass(frozen=True)
class Run:
    """An opened run."""

    folder: Path
    """The run folder."""
    info: RunInfo
    """The content of `run.json`."""
    recipe: recipes.Recipe
    """The recipe."""
    model: TextModel
    """The model, in evaluation mode."""
    encoder: TextEncoder
    """How text becomes ids."""
    labels: list[str]
    """Labels in the order of the model's outputs."""
    metrics: dict[str, Any]
    """Validation and test metrics; of the model before, if this one was fitted on all texts at the end."""
    parts: PartRecord | None = None
    """The parts of the texts; None if all follow the default split."""

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the weights."""
        return sha256_file(self.folder / "weights.safetensors")

    @property
    def own_metrics(self) -> dict[str, Any]:
        """The metrics of this very model, though it may have been fitted on the held-out texts too."""
        found: dict[str, Any] = self.metrics.get("final", self.metrics)
        return found

    @property
    def threshold(self) -> float:
        """A multi-label model predicts a label if its score reaches this."""
        return float(getattr(self.recipe.head, "threshold", 0.5))

    def parts_of(self, dataset: Dataset) -> list[str]:
        """Return the part of each text of `dataset` in this run's split; "" for one that the run does not know."""
        return parts_of(dataset) if self.parts is None else self.parts.parts_of(dataset)

    def held_out(self, part: str) -> Dataset:
        """Return the "validation" or "test" texts of the run."""
        path = self.folder / f"{part}.jsonl.gz"
        try:
            with gzip.open(path, "rt", encoding="utf-8", newline="\n") as handle:
                rows = [json.loads(line) for line in handle]
            further: dict[str, Any] = {
                name: [row[key] for row in rows] for key, name in _FURTHER.items() if key in rows[0]
            }
            if "images" in further:
                further["images"] = np.array(further["images"], np.float32)
            return Dataset(
                [row["text"] for row in rows],
                [row["label"] for row in rows],
                part,
                str(self.info.data["digest"]),
                {},
                **further,
            )
        except (OSError, ValueError, EOFError, KeyError, IndexError, TypeError, zlib.error) as error:
            raise InputError(f"{path} cannot be read ({error}); train the run again.", code="LX-MODEL-002") from None


def write(
    folder: Path,
    info: RunInfo,
    model: TextModel,
    encoder: TextEncoder,
    labels: list[str],
    metrics: dict[str, Any],
    held_out: dict[str, Dataset],
    card: str,
    parts: PartRecord | None = None,
) -> None:
    """Write a run's files to an empty folder."""
    (folder / "run.json").write_bytes(json_bytes(asdict(info)))
    with (folder / "weights.safetensors").open("wb") as handle:
        write_tensors(handle, model.state_dict())
    for name, content in encoder.files().items():
        (folder / name).write_bytes(content)
    (folder / "labels.json").write_bytes(json_bytes(labels))
    (folder / "metrics.json").write_bytes(json_bytes(metrics))
    (folder / "README.md").write_bytes(card.encode())
    for part, dataset in held_out.items():
        _write_rows(folder / f"{part}.jsonl.gz", dataset)
    if parts is not None:
        with (folder / _PARTS).open("wb") as handle:
            write_tensors(handle, {name: torch.from_numpy(array) for name, array in parts.arrays().items()})


def _write_rows(path: Path, dataset: Dataset) -> None:
    lines = map(json.JSONEncoder(ensure_ascii=False).encode, _rows(dataset))
    # mtime 0: the same texts make the same bytes. Level 4: a third of the time of 9, and 5 % more bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 4, raw, mtime=0) as packed:
        while block := "".join(f"{line}\n" for line in islice(lines, _TOGETHER)):
            packed.write(block.encode())


def _rows(dataset: Dataset) -> Iterator[dict[str, Any]]:
    further = {key: getattr(dataset, name) for key, name in _FURTHER.items() if getattr(dataset, name) is not None}
    if "image" in further:
        further["image"] = further["image"].tolist()
    for number, (text, label) in enumerate(zip(dataset.texts, dataset.labels, strict=True)):
        yield {"text": text, "label": label, **{key: values[number] for key, values in further.items()}}


def open_run(folder: Path) -> Run:
    """Open a run folder. Raises InputError that names what is missing or damaged."""
    missing = [name for name in _MEMBERS if not (folder / name).is_file()]
    if missing == ["vocabulary.txt"] and (folder / TOKENIZER).is_file():
        missing = []
    if missing:
        what = "is not a folder" if not folder.is_dir() else f"has no {', '.join(missing)}"
        raise InputError(
            f"{folder} is not a run: it {what}. `lexport train DATA --out RUN` makes one.", code="LX-MODEL-003"
        )
    try:
        values = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if values.get("schema") != 1:
            raise InputError(
                f"{folder} has schema {values.get('schema')}, this version reads schema 1; update lexport.",
                code="LX-MODEL-004",
            )
        info = build_checked(RunInfo, values)
        recipe = recipes.restore(info.recipe)
        labels = list(json.loads((folder / "labels.json").read_text(encoding="utf-8")))
        metrics = dict(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))
        encoder = load_encoder(folder)
        values = int(info.data.get("image_values", 0))
        model = build(recipe, encoder.spec, labels=len(labels), image_values=values)
        model.load_state_dict(load_weights(folder / "weights.safetensors"))
        recorded = (folder / _PARTS).is_file()
        parts = PartRecord.read(load_arrays(folder / _PARTS)) if recorded else None
    except InputError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise InputError(
            f"The run {folder} is damaged: {first}. Train it again or restore it.", code="LX-MODEL-005"
        ) from None
    model.eval()
    return Run(folder, info, recipe, model, encoder, labels, metrics, parts)


def require_known(run: Run, dataset: Dataset) -> None:
    """Raise InputError unless the data have what the run's model needs: its languages, images of its size."""
    known = run.encoder.languages
    if dataset.languages is None and known:
        raise InputError(
            f"{dataset.name} has no languages; the model knows: {', '.join(known)}. Name --language-column.",
            code="LX-MODEL-006",
        )
    if dataset.languages is not None and not known:
        raise InputError(
            f"{dataset.name} has languages, but the model does not. Leave out --language-column.", code="LX-MODEL-007"
        )
    foreign = sorted(set(dataset.languages or []) - set(known))
    if foreign:
        raise InputError(
            f"{dataset.name} has languages that the model does not know: {', '.join(foreign[:5])}; it knows: "
            f"{', '.join(known)}.",
            code="LX-MODEL-008",
        )
    values = run.info.data["image_values"]
    if dataset.images is not None and dataset.images.shape[1] != values:
        raise InputError(
            f"{dataset.name} has images of {dataset.images.shape[1]:,} values, the model takes {values:,}. Scale "
            "them to that size.",
            code="LX-MODEL-009",
        )


def versions() -> dict[str, str]:
    """Return the versions a run or an export depends on."""
    import platform
    from importlib.metadata import version

    from ..version import __version__

    named = {name: version(name) for name in ("mmh3", "numpy", "onnx", "onnxruntime", "regex")}
    return {
        "lexport": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
        **named,
    }
