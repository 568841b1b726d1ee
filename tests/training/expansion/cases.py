"""Small runs to expand, and what their words and rows are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lexport.errors import InputError
from lexport.models import recipes
from lexport.models.recipes import Recipe
from lexport.models.run import Run
from lexport.training.expansion.expand import expand

from ... import refusals

WORDS = ["match", "goal", "team", "oven", "butter", "flour", "storm", "cloud", "snow", "thunder"]
LABELS = ["sport"] * 3 + ["kitchen"] * 3 + ["weather"] * 4
KINDS = ("words", "subwords", "dynamic", "cnn", "languages")
NEW = ["goalkeeper", "butterfly", "snowstorm", "qi"]


def recipe(kind: str) -> Recipe:
    shipped = {"cnn": "cnn", "languages": "multilingual", "hashed": "hashed", "char": "char"}.get(kind, "bag")
    made = recipes.load(shipped).changed("training", epochs=1).changed("embedding", dim=8)
    if shipped in ("bag", "multilingual"):
        made = made.changed("text", buckets=256)
    if kind == "subwords":
        made = made.changed("text", ngrams=1, subwords=(3, 5))
    if kind == "dynamic":
        options = recipes.PARTS["embedding"]["dynamic_dim"]
        made = replace(made, embedding=options(dim=8, ramp=2))
    return made


def write_rows(path: Path, *, languages: bool) -> Path:
    """A CSV of texts made of WORDS; in the second language every word is written backwards."""
    draw = np.random.default_rng(5)
    lines = ["text,label,lang"]
    for row in range(120):
        topic = int(draw.integers(len(WORDS)))
        words = [WORDS[topic], *draw.choice(["the", "a", "of", *WORDS[topic : topic + 2]], 4)]
        second = languages and row % 2 == 1
        text = " ".join(word[::-1] if second else word for word in words)
        lines.append(f"{text} only{row},{LABELS[topic]},{'back' if second else 'en'}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def words_file(path: Path, *words: str) -> Path:
    path.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return path


def vectors_file(path: Path, dim: int, *words: str) -> str:
    lines = (f"{word} {' '.join(str(len(word) + n) for n in range(dim))}\n" for word in words)
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def language_of(run: Run) -> str | None:
    return run.encoder.languages[0] if run.encoder.languages else None


def expanded(run: Run, folder: Path, *words: str, **options: Any) -> Run:
    file = words_file(folder / "words.txt", *(words or NEW))
    return expand(run.folder, folder / "out", words=file, language=language_of(run), **options)


def table(run: Run) -> torch.Tensor:
    inner = getattr(run.model.embedding, "table", run.model.embedding)
    return inner.get_parameter("weight").detach()


def own_languages(run: Run, texts: list[str]) -> list[str] | None:
    return [language] * len(texts) if (language := language_of(run)) else None


def vector(run: Run, word: str) -> torch.Tensor:
    return table(run)[run.encoder.vocabulary.index(word) + 2]


def refused(code: str, run: Run, folder: Path, **options: Any) -> str:
    """The message with which an expansion is refused, after which nothing is left and the run is as it was."""
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    out = options.pop("out", folder / "out")
    there = sorted(folder.iterdir())
    with refusals.refused(InputError, code) as caught:
        expand(run.folder, out, **options)
    assert sorted(folder.iterdir()) == there
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before
    message = str(caught.value)
    assert message.isprintable()
    return message
