"""Read an encoder from a run or archive folder: `text.json` and the files beside it."""

from __future__ import annotations

import json
from pathlib import Path

from .encoder import TextEncoder
from .spec import Layout, TextError, TextSpec
from .tokenized import TokenizedEncoder
from .tokenizer import FILE
from .vocabulary import INDEX, Mapped


def read_vocabulary(path: Path) -> list[str]:
    """Return the words of `vocabulary.txt`, one per line; tokens have no white space, so lines are safe."""
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def load_spec(folder: Path) -> TextSpec:
    """Return the spec of a run or archive folder, `text.json`. Raises TextError."""
    try:
        return TextSpec(**json.loads((folder / "text.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise TextError(f"text.json cannot be read: {error}") from None


def load_encoder(folder: Path, index: Path | None = None) -> TextEncoder:
    """Return the encoder of a run or archive folder, from the files that `TextEncoder.files` names. Raises TextError.

    `index` is the path of its `vocabulary.index`, None for the one in the folder; without an index all words are
    read. Raises ModuleNotFoundError for a spec that needs the package tokenizers, where it is not installed.
    """
    spec = load_spec(folder)
    if spec.tokenizer is not None:
        return TokenizedEncoder(spec, _read(folder / FILE))
    text, index = folder / "vocabulary.txt", index or folder / INDEX
    return TextEncoder(
        spec,
        Mapped(spec, text, index) if index.exists() else _read_lines(text),
        _read_lines(folder / "characters.txt") if spec.inputs is Layout.CHARACTERS else (),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TextError(f"{path.name} cannot be read: {error}") from None


def _read_lines(path: Path) -> list[str]:
    try:
        return read_vocabulary(path)
    except (OSError, ValueError) as error:
        raise TextError(f"{path.name} cannot be read: {error}") from None
