"""A run with a million words that people wrote, for what is measured of large tables."""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as parquet
import torch

from lexport.data import load as data
from lexport.data.pretrained.glove import open_package
from lexport.handlers.text.encoder import TextEncoder, TextSpec
from lexport.models import recipes, run
from lexport.models.compose import build
from lexport.models.run import Run
from lexport.storage import atomic as files
from lexport.training.save import save
from lexport.training.train import train

DATA = "rotten-tomatoes"


def real_words(count: int) -> list[str]:
    """`count` tokens: GloVe's words, those of the imdb reviews, and the reviews' most frequent pairs, joined.

    No package has a million words by themselves. A joined pair ("ofthe") is as long as a longer word and is read as
    one token.
    """
    split = TextEncoder(TextSpec(words=2), []).tokens
    index = open_package().index  # type: ignore[attr-defined]
    listed = parquet.read_table(index, columns=["index"])["index"].to_pylist()
    words = dict.fromkeys(word for word in listed if split(word)[0] == [word])
    if len(words) < count:
        pairs: Counter[str] = Counter()
        for text in data.load("imdb").texts:
            tokens = split(text)[0]
            words |= dict.fromkeys(tokens)
            pairs.update(one + other for one, other in pairwise(tokens) if one.isalpha() and other.isalpha())
        frequent = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
        words |= dict.fromkeys(pair for pair, _ in frequent if split(pair)[0] == [pair])
    if len(words) < count:
        raise ValueError(f"There are {len(words):,} words to be had, {count:,} were asked for.")
    return list(words)[:count]


def small_run(folder: Path, *, dim: int, words: int | None = None, epochs: int | None = None) -> Run:
    """A bag without n-grams, trained: of so many words at most."""
    recipe = recipes.load("bag").changed("text", ngrams=1, buckets=0, max_vocabulary=words)
    recipe = recipe.changed("embedding", dim=dim).changed("training", ngram_dropout=0.0, epochs=epochs)
    return train(DATA, folder, recipe=recipe)


def grown_run(base: Run, folder: Path, words: list[str]) -> Run:
    """The run with further words, as many as `words` in all, whose rows are random: they are there to take room."""
    own = base.encoder.vocabulary
    every = list(dict.fromkeys([*own, *words]))[: len(words)]
    encoder = TextEncoder(dataclasses.replace(base.encoder.spec, words=2 + len(every)), every)
    model = build(base.recipe, encoder.spec, labels=len(base.labels)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        grown = dict(model.named_parameters())
        for name, value in base.model.named_parameters():
            if value.shape != grown[name].shape:
                grown[name].normal_(0, float(value[2:].std()), generator=generator)
            grown[name][: len(value)] = value
    parts = {part: base.held_out(part) for part in ("validation", "test")}
    with files.new_folder(folder) as target:
        save(target, folder.name, base.info, base.recipe, model, encoder, base.labels, parts)
    return run.open_run(folder)
