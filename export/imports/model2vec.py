"""Folders of model2vec as models of text vectors: the mean of a text's token vectors, of length 1.

Such a folder has `model.safetensors` with a vector for each token, `tokenizer.json`, which reads the texts, and
`config.json`. A model of fewer vectors than tokens also has the vector of each token (`mapping`) and its weight.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ...data.pretrained.base import LARGEST
from ...errors import InputError
from ...evaluation.metrics import Outputs
from ...handlers.text.encoder import FIRST_WORD
from ...handlers.text.tokenizer import FILE, no_panic
from ...messages.extras import is_installed
from ...models.compose import build
from ...models.embeddings import TableOptions
from ...models.encoders.bag import BagOptions
from ...models.heads.vector import VectorOptions
from ...models.recipes import Recipe, TextOptions, TrainingOptions
from ...storage.atomic import sha256_file
from ...storage.compression import shown
from .kind import MAX_TOKENS, Before, Imported, ImportOptions, Kind
from .tokenizer_file import TokenizerFile, read_tokenizer
from .unread import is_transformer

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_NESTED = "0_StaticEmbedding"
_HEADS = ("head.safetensors", "pipeline.skops")
# Tokens of a text that model2vec's `encode` reads where config.json says nothing.
_MOST_TOKENS = 512
_LARGEST_LENGTH = 1 << 20
# What config.json may say: how the vectors were made, which changes nothing any more, and how they are used.
_MADE = {
    *("architectures", "model_type", "tokenizer_name", "apply_pca", "apply_zipf", "sif_coefficient", "hidden_dim"),
    *("seq_length", "pooling", "embedding_dtype", "vocabulary_quantization"),
}
_TENSORS = ("embeddings", "weights", "mapping")
_DTYPES = ("float16", "float32", "float64", "int8")

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Folder:
    """What a folder of model2vec holds."""

    embeddings: Array
    """[vectors, dim], as it is stored."""
    weights: Array | None
    """What the vector of each token is multiplied by, [tokens]."""
    mapping: Array | None
    """The vector of each token, integers [tokens]; None where token i has vector i."""
    tokenizer: TokenizerFile
    normalizes: bool
    """Whether model2vec makes the length of a text's vector 1."""
    max_length: int | None
    """Tokens of a text that model2vec reads, unknown ones included; None for all."""

    @property
    def characters(self) -> int | None:
        """Characters of a text that model2vec reads: for each token as many as half of its tokens have at most."""
        if self.max_length is None:
            return None
        return max(self.max_length * int(np.median([len(token) for token in self.tokenizer.tokens])), 1)

    def rows(self) -> Array:
        """Return the vector of each token, float32 [tokens, dim]."""
        rows = self.embeddings if self.mapping is None else self.embeddings[self.mapping]
        with np.errstate(over="ignore", invalid="ignore"):
            if self.weights is None:
                return np.asarray(rows, np.float32)
            return np.multiply(rows, self.weights[:, None], dtype=np.float32, casting="same_kind")


class Model2Vec(Kind):
    """A folder that `StaticModel.save_pretrained` of model2vec wrote."""

    NAME = "a folder of model2vec (model.safetensors, tokenizer.json, config.json)"

    def recognise(self, path: Path) -> bool:
        """Return whether the folder, or one in it, has vectors and a tokenizer, and is no transformer's."""
        places = (path, path / _NESTED)
        complete = any(all((one / name).is_file() for name in (FILE, WEIGHTS)) for one in places)
        return complete and not is_transformer(path)

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the model that answers the mean of a text's token vectors. Raises InputError.

        Raises ModuleNotFoundError without the package tokenizers.
        """
        found = _read(path)
        rows, tokenizer = found.rows(), found.tokenizer
        odd = np.flatnonzero(~(np.abs(rows) <= LARGEST).all(axis=1))
        if len(odd):
            token = tokenizer.tokens[odd[0]]
            raise InputError(
                f"{shown(path)} cannot be brought in: the vector of {shown(repr(token))} has numbers that are not "
                "finite. Distil the model again.",
                code="LX-IMPORT-306",
            )
        most = found.max_length or MAX_TOKENS
        skips = tokenizer.unknown is not None
        encoder = tokenizer.encoder(most, special=False, skips_unknown=skips, characters=found.characters)
        recipe = Recipe(
            name="model2vec",
            when="Vectors of tokens that model2vec distilled, averaged.",
            text=TextOptions(buckets=0, min_count=1, max_tokens=most, normalization="none"),
            embedding=TableOptions(dim=rows.shape[1]),
            encoder=BagOptions(),
            head=VectorOptions(objective="pooled"),
            training=TrainingOptions(),
        )
        model = build(recipe, encoder.spec)
        weight = model.embedding.weight
        assert isinstance(weight, torch.nn.Parameter)
        with torch.no_grad():
            weight.zero_()
            weight[FIRST_WORD:] = torch.from_numpy(rows)
            if tokenizer.unknown is not None:
                weight[FIRST_WORD + tokenizer.unknown] = 0
        asked = is_installed("model2vec")
        by = f"model2vec {version('model2vec')}" if asked else "the numbers in its files"
        notes = [
            f"texts are read by {FILE} ({tokenizer.kind}, {len(tokenizer.tokens):,} tokens), without special tokens, "
            f"up to {most:,} tokens" + (f" and {found.characters:,} characters" if found.characters else ""),
            f"what it answers before is computed by {by}",
            *tokenizer.notes,
        ]
        if not found.normalizes:
            notes.append("model2vec leaves the length of a vector as it is; those of the run have length 1")
        if found.mapping is not None:
            notes.append(
                f"its {len(found.embeddings):,} vectors are shared by tokens; in the run each token has one, "
                f"{rows.nbytes / 1e6:,.1f} MB"
            )
        return Imported(
            recipe=recipe,
            model=model,
            encoder=encoder,
            labels=[],
            before=partial(_ask, path) if asked else _averaging(found),
            notes=notes,
            facts={
                "model_digest": sha256_file(path / WEIGHTS),
                "tokenizer_digest": sha256_file(path / FILE),
                "tokenizer": tokenizer.kind,
                "tokens": len(tokenizer.tokens),
                "vectors": len(found.embeddings),
                "dim": int(rows.shape[1]),
                "dtype": str(found.embeddings.dtype),
                "normalizes": found.normalizes,
                "asked": by,
            },
        )


def _read(path: Path) -> _Folder:
    """Return what the folder holds. Raises InputError for what is damaged or no such model."""
    for head in _HEADS:
        if (path / head).exists():
            raise InputError(
                f"{path} has a classifier behind its vectors, {head}, and only vectors of model2vec can come in. For "
                f"these copy the folder without {head}, and without head_config in {CONFIG}; for labels train a "
                "model of lexport's on the answers of this one.",
                code="LX-IMPORT-307",
            )
    if not (path / WEIGHTS).is_file() or not (path / CONFIG).is_file():
        raise InputError(
            f"{path} lies as sentence-transformers writes such models, without {CONFIG}. Write it as model2vec does: "
            f'StaticModel.from_pretrained("{path}").save_pretrained(FOLDER)',
            code="LX-IMPORT-303",
        )
    normalizes, most = _read_config(path / CONFIG)
    try:
        tensors = load_file(path / WEIGHTS)
    except (OSError, SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path / WEIGHTS} cannot be read ({shown(error)}). Save the model again.", code="LX-IMPORT-304"
        ) from None
    tokenizer = read_tokenizer(_tokenizer(path), f"{FILE} of {path.name}")
    embeddings = tensors.pop("embeddings", np.zeros(0))
    weights, mapping = tensors.pop("weights", None), tensors.pop("mapping", None)
    folder = _Folder(embeddings, weights, mapping, tokenizer, normalizes, most)
    problem = (
        f"the tensors {', '.join(sorted(tensors)[:5])} besides {', '.join(_TENSORS)}" if tensors else _misfit(folder)
    )
    if problem is not None:
        raise InputError(
            f"{path / WEIGHTS} has {shown(problem)}; expected vectors of model2vec for the {len(tokenizer.tokens):,} "
            "tokens of tokenizer.json. Of a transformer, distil a model with model2vec first.",
            code="LX-IMPORT-305",
        )
    return folder


def _tokenizer(path: Path) -> bytes:
    try:
        return (path / FILE).read_bytes()
    except OSError as error:
        raise InputError(
            f"{path / FILE} cannot be read ({error.strerror}). Copy the folder whole.", code="LX-IMPORT-905"
        ) from None


def _read_config(file: Path) -> tuple[bool, int | None]:
    """Return whether the vectors of texts are made length 1, and the most tokens of a text.

    Raises InputError for settings that are not known.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        problem = "" if isinstance(values, dict) else "it is no JSON object"
    except (OSError, ValueError, RecursionError) as error:
        values, problem = {}, str(error)
    normalizes, most = (
        (False, None) if problem else (values.get("normalize", False), values.get("max_length", _MOST_TOKENS))
    )
    unknown = sorted(set(values) - _MADE - {"normalize", "max_length"}) if not problem else []
    if unknown:
        problem = f"it has the settings {', '.join(unknown[:5])}, which this version does not know"
    elif not isinstance(normalizes, bool | None):
        problem = f"its normalize is {normalizes!r}, neither true nor false"
    elif most is not None and (type(most) is not int or not 1 <= most <= _LARGEST_LENGTH):
        problem = f"its max_length is {most!r}, neither null nor a number of tokens up to {_LARGEST_LENGTH:,}"
    if problem:
        raise InputError(
            f"{file} is not one of model2vec: {shown(problem)}. Name a folder that StaticModel.save_pretrained "
            "wrote; a setting that does not change what encode answers can be taken out of the file.",
            code="LX-IMPORT-308",
        )
    return bool(normalizes), most


def _misfit(folder: _Folder) -> str | None:
    """Return what does not fit the tokens, or None."""
    tokens, embeddings, mapping = len(folder.tokenizer.tokens), folder.embeddings, folder.mapping
    if embeddings.ndim != 2 or not embeddings.size or embeddings.dtype.name not in _DTYPES:
        shape, known = list(embeddings.shape), ", ".join(_DTYPES)
        return f"embeddings of {embeddings.dtype.name} {shape}, not of {known} [vectors, dim]"
    if folder.weights is not None and (folder.weights.shape != (tokens,) or folder.weights.dtype.kind != "f"):
        return f"weights of {folder.weights.dtype.name} {list(folder.weights.shape)}"
    if mapping is None:
        return None if len(embeddings) == tokens else f"{len(embeddings):,} vectors and no mapping"
    if mapping.shape != (tokens,) or mapping.dtype.kind not in "iu":
        return f"a mapping of {mapping.dtype.name} {list(mapping.shape)}"
    if not 0 <= int(mapping.min()) <= int(mapping.max()) < len(embeddings):
        return f"a mapping to vector {int(mapping.max()):,} of {len(embeddings):,}"
    return None


def _ask(path: Path, texts: Sequence[str]) -> Outputs:
    """Return what model2vec itself answers, vectors made length 1, float32 [texts, dim]."""
    from model2vec import StaticModel

    # One by one: where a file fills texts up, versions before 0.10 make answers depend on their neighbours.
    found = StaticModel.from_pretrained(path).encode(list(texts), batch_size=1, use_multiprocessing=False)
    return _unit(np.asarray(found, np.float64))


def _averaging(folder: _Folder) -> Before:
    """Return what the files say that model2vec answers: the mean of a text's vectors, of length 1."""
    # Read and opened by itself: what serves the run opens it again.
    from tokenizers import Tokenizer

    opened = Tokenizer.from_str(folder.tokenizer.content.decode())
    opened.no_padding()
    if folder.max_length is None:
        opened.no_truncation()
    else:
        opened.enable_truncation(folder.max_length)
    dim = folder.embeddings.shape[1]

    def answer(texts: Sequence[str]) -> Outputs:
        found = np.zeros((len(texts), dim))
        for number, text in enumerate(texts):
            with no_panic():
                ids = opened.encode(text[: folder.characters], add_special_tokens=False).ids
            own = [one for one in ids if one != folder.tokenizer.unknown]
            if own:
                vectors = folder.embeddings[own if folder.mapping is None else folder.mapping[own]].astype(np.float64)
                scaled = vectors if folder.weights is None else vectors * folder.weights[own][:, None]
                found[number] = scaled.mean(axis=0)
        return _unit(found)

    return answer


def _unit(vectors: npt.NDArray[np.float64]) -> Outputs:
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    found: Outputs = (vectors / lengths).astype(np.float32)
    return found
