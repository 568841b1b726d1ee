"""Dropout: what becomes of a dropped word in each layout, and which n-grams are left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lexport.handlers.text.encoder import PAD, UNK, TextEncoder, TextSpec
from lexport.handlers.text.spec import Layout
from lexport.training.word_dropout import drop_ngrams, drop_words

TEXT = "a b a b " * 200


def encoder(**options: Any) -> TextEncoder:
    return TextEncoder(TextSpec(**({"words": 4, "buckets": 64, "ngrams": 2} | options)), ["a", "b"])


PLAIN = encoder()
SUBWORDS = encoder(ngrams=1, subwords=(3, 5))
HASHES = TextEncoder(TextSpec(2, ngrams=2, inputs=Layout.HASHES, subwords=(2, 3)), [])
CHARACTERS = TextEncoder(TextSpec(2, inputs=Layout.CHARACTERS, word_length=8, characters=6), [], list("goal"))
LANGUAGES = encoder(words=5, inputs=Layout.LANGUAGES, languages={"de": 2, "en": 2})
ENCODERS = [PLAIN, SUBWORDS, HASHES, CHARACTERS, LANGUAGES]


def test_dropped_words_become_unknown_ones_with_hashes_of_their_own() -> None:
    tokens = PLAIN.look_up([TEXT])
    dropped = drop_words(tokens, 0.25, np.random.default_rng(0))
    replaced = dropped.indices == UNK
    assert 0.18 < replaced.mean() < 0.32
    assert np.array_equal(dropped.hashes[~replaced], tokens.hashes[~replaced])
    assert len(set(dropped.hashes[replaced].tolist())) == replaced.sum()
    assert np.array_equal(tokens.indices, PLAIN.look_up([TEXT]).indices)


@pytest.mark.parametrize("one", ENCODERS)
def test_the_generator_decides_and_nothing_else(one: TextEncoder) -> None:
    tokens = one.look_up([TEXT + "goal"], ["en"] if one.languages else None)
    before = one.assemble(tokens)
    first, second, other = (one.assemble(drop_words(tokens, 0.3, np.random.default_rng(seed))) for seed in (1, 1, 2))
    assert first.tolist() == second.tolist() != other.tolist()
    assert one.assemble(tokens).tolist() == before.tolist()
    assert one.assemble(drop_words(tokens, 0.0, np.random.default_rng(1))).tolist() == before.tolist()
    assert first.shape == before.shape
    assert ((first == 0) == (before == 0)).all()


@pytest.mark.parametrize("one", ENCODERS)
def test_no_texts_and_empty_texts_stay_what_they_are(one: TextEncoder) -> None:
    for texts in ([], [""]):
        tokens = one.look_up(texts, ["de" for _ in texts] if one.languages else None)
        assert not one.assemble(drop_words(tokens, 0.5, np.random.default_rng(0))).any()


def test_the_subwords_of_a_dropped_word_are_random_and_those_of_others_stay() -> None:
    tokens = SUBWORDS.look_up([TEXT])
    dropped = drop_words(tokens, 0.25, np.random.default_rng(0))
    assert tokens.subwords is not None
    assert dropped.subwords is not None
    assert dropped.subwords.counts.tolist() == tokens.subwords.counts.tolist()
    gone = np.repeat(dropped.indices == UNK, tokens.subwords.counts)
    assert np.array_equal(dropped.subwords.values != tokens.subwords.values, gone)
    assert len(set(dropped.subwords.values[gone].tolist())) == gone.sum()
    assert SUBWORDS.assemble(dropped).max() < SUBWORDS.spec.rows


def test_a_dropped_hash_is_another_one_and_takes_its_ngrams_along() -> None:
    tokens = HASHES.look_up([TEXT])
    ids, dropped = HASHES.assemble(tokens), HASHES.assemble(drop_words(tokens, 0.25, np.random.default_rng(0)))
    changed = (ids != dropped)[0]
    words = len(tokens.indices)
    assert 0.18 < changed[:words].mean() < 0.32
    assert np.array_equal(changed[words : 2 * words - 1], changed[: words - 1] | changed[1:words])
    assert dropped.max() <= 2**32


def test_half_of_the_dropped_words_lose_every_character_and_others_some() -> None:
    tokens = CHARACTERS.look_up(["goal " * 1000])
    dropped = drop_words(tokens, 0.4, np.random.default_rng(0))
    assert dropped.characters is not None
    lost = dropped.characters.values.reshape(1000, 4) == UNK
    assert 0.16 < lost.all(axis=1).mean() < 0.24
    assert 0.16 < lost[~lost.all(axis=1)].mean() < 0.24
    assert np.array_equal(dropped.unknown, [lost.all(axis=1).sum()])
    assert set(dropped.characters.values.tolist()) == {UNK, 2, 3, 4, 5}


def test_a_dropped_word_is_an_unknown_one_of_its_language() -> None:
    tokens = LANGUAGES.look_up(["a " * 500, "b " * 500], ["de", "en"])
    ids = LANGUAGES.assemble(drop_words(tokens, 0.25, np.random.default_rng(0)))
    for number, row in enumerate(ids[:, :500]):
        assert set(row[:, 1].tolist()) == {number}
        assert 0.18 < (row[:, 0] == UNK).mean() < 0.32


@pytest.mark.parametrize("encoder", [PLAIN, SUBWORDS, HASHES, LANGUAGES], ids=lambda encoder: encoder.spec.inputs)
def test_ngrams_are_left_out_and_words_are_kept(encoder: TextEncoder) -> None:
    languages = None if encoder is not LANGUAGES else [encoder.languages[0]] * 60
    tokens = encoder.look_up(["goal team goal team"] * 60, languages)
    before = encoder.assemble(tokens)
    after = drop_ngrams(before.copy(), tokens.lengths, 0.25, np.random.default_rng(0))
    first = before.reshape(*before.shape[:2], -1)[..., 0]
    gone = (after != before).reshape(*before.shape[:2], -1).any(axis=2)
    assert not gone[:, :4].any()
    assert (after[gone] == PAD).all()
    present = (first != PAD)[:, 4:].sum()
    assert present, "there are n-grams to leave out"
    assert 0.1 < gone.sum() / present < 0.4
    assert (drop_ngrams(before.copy(), tokens.lengths, 0.0, np.random.default_rng(0)) == before).all()
