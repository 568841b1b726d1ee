"""How many buckets there are when a recipe leaves it to the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexport.handlers.text.spec import Layout
from lexport.models import recipes
from lexport.models.corpus import Corpus
from lexport.models.embeddings.buckets import choose_buckets
from lexport.models.recipes import TextOptions
from lexport.models.run import open_run
from lexport.models.vocabulary import build_encoder
from lexport.training.train import train


def of_words(count: int) -> list[str]:
    return [f"word{number} word{number + 1}" for number in range(count - 1)]


def chosen(texts: list[str]) -> int:
    return choose_buckets(Corpus.of(texts, TextOptions()), TextOptions(ngrams=2))


@pytest.mark.parametrize(
    ("words", "buckets"), [(2, 1024), (127, 1024), (130, 2048), (5_000, 65_536), (40_000, 262_144), (66_000, 262_144)]
)
def test_there_are_more_than_four_for_each_word_and_pair_up_to_a_most(words: int, buckets: int) -> None:
    # Of n words in a row there are n - 1 pairs.
    assert chosen(of_words(words)) == buckets


def test_no_text_at_all_has_the_least() -> None:
    assert chosen([]) == chosen([""]) == 1024


def test_only_what_is_hashed_gets_buckets() -> None:
    texts = of_words(300)
    assert build_encoder(texts, TextOptions()).spec.buckets == 0
    assert build_encoder(texts, TextOptions(ngrams=2)).spec.buckets == 4096
    assert build_encoder(texts, TextOptions(ngrams=2, buckets=77)).spec.buckets == 77
    assert build_encoder(texts, TextOptions(ngrams=2), inputs=Layout.HASHES).spec.buckets == 0


@pytest.mark.parametrize("model", ["bag", "hashed", "cnn"])
def test_a_run_holds_the_number_and_trains_the_same_with_it(model: str, tiny_csv: Path, tmp_path: Path) -> None:
    recipe = recipes.load(model).changed("embedding", dim=4).changed("training", epochs=1)
    first = train(str(tiny_csv), tmp_path / "first", recipe=recipe)
    held = open_run(tmp_path / "first").recipe
    numbers = (held.text.buckets, getattr(held.embedding, "buckets", 0))
    assert numbers == {"bag": (8192, 0), "hashed": (0, 16384), "cnn": (0, 0)}[model]
    second = train(str(tiny_csv), tmp_path / "second", recipe=held)
    assert first.digest == second.digest
