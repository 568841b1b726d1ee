"""A model that takes texts: what it is handed, in which pieces, and how its answers come back in order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.handlers.engine.engines import Counts, Scores
from lexport.handlers.model.predictor import MAX_BATCH, MAX_PADDING, MAX_PIECE_BYTES, MAX_PIECE_TEXTS, ModelFile
from lexport.handlers.model.textin import TextIn
from lexport.handlers.text.batch import Batch
from lexport.handlers.text.encoder import TextEncoder, TextError
from lexport.handlers.text.spec import Layout

from ..models import LABELS, engine, text_encoder

LIMIT = 4  # tokens that are kept
# Characters of padding in a piece of more than MAX_PIECE_TEXTS texts, and in a batch that is left whole.
ROOM, WHOLE = 6 * MAX_PADDING, 6 * 2048


class Graph:
    """What a text-in graph does, by the Python text code; remembers what it was asked."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self.asked: list[list[str]] = []

    def __call__(self, texts: Sequence[str], languages: Sequence[str] | None) -> tuple[Counts, Scores]:
        self.asked.append(list(texts))
        tokens = self.encoder.look_up(texts, languages)
        counts = Counts(tokens.lengths, tokens.unknown, np.array(tokens.truncated))
        return counts, engine(self.encoder.assemble(tokens))


def text_in(
    inputs: Layout = Layout.INDICES, *, parallel: bool = False, subwords: bool = False, vector_bytes: int = 0
) -> tuple[TextIn, Graph]:
    more: dict[str, Any] = {"subwords": (3, 4)} if subwords else {}
    encoder = text_encoder(Layout.HASHES if subwords else inputs, max_tokens=LIMIT, **more)
    names = ("topics", "1.0", "onnx-fp32-text", "onnx", "fp32", "model.onnx")
    model = ModelFile(*names, parallel, vector_bytes=vector_bytes, takes="text")
    graph = Graph(encoder)
    return TextIn(model, encoder.spec, LABELS, graph), graph


TEXTS = st.lists(st.sampled_from(["goal", "rain", "zebra"]), max_size=8).map(" ".join)


KINDS: dict[str, dict[str, Any]] = {
    "a bag": {},
    "a bag of subwords": {"subwords": True},
    "an encoder": {"parallel": True},
}


def padding(asked: Sequence[str]) -> int:
    return len(asked) * max(map(len, asked)) - sum(map(len, asked))


@given(st.lists(TEXTS | st.text(max_size=20), min_size=1, max_size=3 * MAX_PIECE_TEXTS), st.sampled_from(list(KINDS)))
def test_every_text_is_answered_in_its_place(texts: list[str], kind: str) -> None:
    model, graph = text_in(**KINDS[kind])
    found = model.predict(texts)
    for asked in graph.asked:
        if kind == "an encoder":
            assert len(asked) <= MAX_PIECE_TEXTS
            assert padding(asked) <= ROOM
        elif len(asked) > MAX_PIECE_TEXTS:
            assert padding(asked) <= (WHOLE if kind == "a bag" and asked == texts else ROOM)
    assert found == [answer for text in texts for answer in model.predict([text])]
    tokens = graph.encoder.look_up(texts)
    assert [one["tokens"] for one in found] == tokens.lengths.tolist()
    assert [one["unknown"] for one in found] == tokens.unknown.tolist()
    assert [one["truncated"] for one in found] == list(tokens.truncated)
    assert {type(one["truncated"]) for one in found} == {bool}


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_hold_texts_of_similar_length(kind: str) -> None:
    model, graph = text_in(**KINDS[kind])
    texts = ["goal " * (number % 13) for number in range(200)]
    model.predict(texts)
    if kind == "a bag":  # whose padding costs less than a cut
        assert graph.asked == [texts]
        graph.asked.clear()
        model.predict(["goal goal goal goal"] * 2 + ["a" * 16 * LIMIT] * 26 + [""] * 228)
    assert 1 < len(graph.asked) <= 13
    for one, following in pairwise(graph.asked):
        assert max(map(len, one)) <= min(map(len, following))


def test_texts_of_one_length_go_together_without_an_encoder_as_far_as_vectors_fit() -> None:
    for vector_bytes, asked in ((0, [200]), (MAX_PIECE_BYTES // 100, [150, 50])):
        model, graph = text_in(vector_bytes=vector_bytes)
        model.predict(["goal"] * 200)
        assert [len(one) for one in graph.asked] == asked


def test_an_encoder_reads_a_long_text_apart_from_short_ones_and_a_bag_does_not() -> None:
    long = " ".join(["zebra"] * 2 * MAX_PADDING)
    for parallel, asked in ((True, [MAX_PIECE_TEXTS - 1, 1]), (False, [MAX_PIECE_TEXTS])):
        model, graph = text_in(parallel=parallel)
        model.predict(["goal rain"] * 7 + [long] + ["goal rain"] * (MAX_PIECE_TEXTS - 8))
        assert [len(one) for one in graph.asked[: len(asked)]] == asked


def test_more_texts_than_a_turn_are_answered_in_turns() -> None:
    model, _ = text_in()
    texts = [["goal", "rain zebra", ""][number % 3] for number in range(2 * MAX_BATCH + 5)]
    assert model.predict(texts) == model.predict(texts[:3]) * (len(texts) // 3) + model.predict(
        texts[: len(texts) % 3]
    )
    counts, outputs = model.raw_outputs(Batch(texts))
    assert counts.lengths.tolist() == [[1, 2, 0][number % 3] for number in range(len(texts))]
    assert outputs.shape == (len(texts), 3)


def test_a_very_long_text_is_known_by_its_beginning_where_that_is_enough() -> None:
    model, graph = text_in()
    most = 16 * LIMIT
    long, few, wide = "goal " * 1000, "goal" + " " * 1000 + "rain", "goal " * LIMIT + " " * 1000 + "rain"
    found = model.predict([long, "rain", few, wide])
    assert graph.asked == [[long[:most], "rain", few[:most], wide[:most]], [few], [wide]]
    assert [one["tokens"] for one in found] == [LIMIT, 1, 2, LIMIT]
    assert [one["truncated"] for one in found] == [True, False, False, True]
    assert found == [answer for text in (long, "rain", few, wide) for answer in model.predict([text])]


def test_languages_go_along_with_their_texts() -> None:
    model, graph = text_in(Layout.LANGUAGES)
    assert model.languages == ("en", "de")
    texts, languages = ["goal " * number for number in range(40, 0, -1)], ["en", "de"] * 20
    found = model.predict(texts, languages)
    assert [one["unknown"] for one in found] == graph.encoder.look_up(texts, languages).unknown.tolist()
    for wrong, reason in (
        (None, "needs a language with every text, one of: en, de"),
        (["en"] * 39, "40 texts and 39 languages"),
        (["xx"] * 40, "'xx' is not known; known are: en, de"),
    ):
        with pytest.raises(TextError, match=reason):
            model.predict(texts, wrong)
    with pytest.raises(TextError, match="leave the language 'en' out"):
        text_in()[0].predict(["goal"], ["en"])


def test_a_model_takes_ids_or_texts() -> None:
    with pytest.raises(ValueError, match="the model takes 'words'; known are ids, text"):
        ModelFile("topics", "1.0", "onnx-fp32", "onnx", "fp32", "model.onnx", takes="words")
