"""A corpus gives what the encoder gives for its texts, and training splits each text once."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.load import Columns
from lexport.handlers.text.encoder import TextEncoder, TextError, Tokens
from lexport.handlers.text.tokens import Ragged
from lexport.models import corpus, recipes
from lexport.models.corpus import Corpus, pieces
from lexport.models.recipes import TextOptions
from lexport.models.splitting import Splitter, split_texts
from lexport.training.train import train

from ..handlers.text.test_layouts import ENCODERS, LANGUAGES, batches


def values(tokens: Tokens) -> dict[str, object]:
    """Every field as plain lists."""

    def plain(value: object) -> object:
        if isinstance(value, Ragged):
            return value.values.tolist(), value.counts.tolist()
        return value.tolist() if isinstance(value, np.ndarray) else value

    return {field.name: plain(getattr(tokens, field.name)) for field in dataclasses.fields(tokens)}


@given(st.sampled_from(ENCODERS), batches, st.integers(1, 6))
def test_a_corpus_is_looked_up_as_its_texts_are(one: TextEncoder, batch: list[tuple[str, str]], size: int) -> None:
    texts = [text for text, _ in batch]
    languages = [language for _, language in batch] if one.languages else None
    whole = Corpus.of(texts, TextOptions(max_tokens=one.spec.max_tokens, normalization="none"), languages)
    assert len(whole) == len(texts)
    found = [values(tokens) for tokens in pieces(whole.looked_up(one), size)]
    parts = [slice(first, first + size) for first in range(0, len(texts), size)]
    assert found == [values(one.look_up(texts[part], languages and languages[part])) for part in parts]


@given(st.sampled_from(ENCODERS), batches, st.integers(0, 3), st.integers(0, 3))
def test_a_part_of_it_is_that_of_its_texts(
    one: TextEncoder, batch: list[tuple[str, str]], first: int, count: int
) -> None:
    texts = [text for text, _ in batch]
    languages = [language for _, language in batch] if one.languages else None
    found = Corpus.split_by(one, texts, languages).looked_up(one)
    last = min(first + count, len(texts))
    part, expected = found.part(first, last), one.look_up(texts[first:last], languages and languages[first:last])
    assert values(part.take(np.arange(len(part.lengths)))) == values(expected)
    assert part.unknown.tolist() == expected.unknown.tolist()
    assert found.unknown.tolist() == one.look_up(texts, languages).unknown.tolist()


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6).map(" ".join), max_size=5), st.integers(1, 4))
def test_words_are_counted_as_often_as_they_are_kept(texts: list[str], most: int) -> None:
    found = Corpus.of(texts, TextOptions(max_tokens=most))
    kept = Counter(word for text in texts for word in text.split()[:most])
    assert dict(zip(found.words, found.counts().tolist(), strict=True)) == kept
    assert found.truncated.tolist() == [len(text.split()) > most for text in texts]


def test_a_language_that_the_encoder_lacks_is_an_error() -> None:
    with pytest.raises(TextError, match="language 'fr' is not known"):
        Corpus.of(["goal", "die"], TextOptions(), ["en", "fr"]).looked_up(LANGUAGES)


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        ("bag", Columns()),
        ("hashed", Columns()),
        ("cnn", Columns()),
        ("vectors", Columns(label=None, pair="pair")),
        ("multilingual", Columns(language="lang")),
    ],
)
def test_training_splits_each_text_once(
    model: str, columns: Columns, tasks_jsonl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = Counter[str]()

    def counted(encoder: TextEncoder, texts: Sequence[str]) -> Splitter:
        split.update(texts)
        return split_texts(encoder, texts)

    def by_itself(*_: object) -> None:
        raise AssertionError("a text is split by itself")

    monkeypatch.setattr(corpus, "split_texts", counted)
    monkeypatch.setattr(TextEncoder, "tokens", by_itself)
    recipe = recipes.load(model).changed("training", epochs=1).changed("text", min_count=1)
    run = train(str(tasks_jsonl), tmp_path / "run", recipe=recipe, columns=columns)
    sizes = [run.info.data[part] for part in ("train", "validation", "test")]
    assert sum(split.values()) == sum(sizes) * (1 + (columns.pair is not None))
