"""Explanations: offsets, exactness where a model adds up, and sampled values that add up by construction."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.export.archive.inprocess import load_archive
from lexport.handlers.request import explain as explaining
from lexport.handlers.request.explain import ADDS_UP, MAX_EXPLAINED_TEXTS, check_explainable, explain
from lexport.handlers.request.protocol import Request
from lexport.handlers.request.refusals import Refusal
from lexport.handlers.text.batch import Batch
from lexport.handlers.text.normalization import lower
from lexport.handlers.text.offsets import find_tokens
from lexport.models.encoders.bag import BagOptions
from lexport.models.heads.classifier import Classifier
from lexport.models.run import Run, open_run

from ...refusals import refused
from ..models import predictor, text_encoder

ENCODER = text_encoder(max_tokens=20)


def adds_up(found: dict[str, Any], within: float = ADDS_UP) -> None:
    for label, logit in found["logits"].items():
        told = found["bias"][label] + sum(token["contributions"][label] for token in found["tokens"])
        assert told == pytest.approx(logit, abs=within)


@given(
    text=st.text(
        st.sampled_from("aZ 9.-'\u00e9\u0130\u03a3\u1e9e很は👩\u200d\u0301\u00a0\0\n\u2028\U0010fffd"), max_size=60
    )
)
def test_tokens_with_offsets_are_those_the_model_reads(text: str) -> None:
    found = find_tokens(ENCODER.spec, text)
    assert [one.token for one in found] == ENCODER.tokens(text)[0]
    assert [lower(text[one.start : one.end]) for one in found] == [one.token for one in found]


def test_no_character_changes_its_length_in_lower_case() -> None:
    assigned = [
        chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in ("Cn", "Cs")
    ]
    assert len(assigned) > 250_000
    assert len(lower("".join(assigned))) == len(assigned)
    assert not [one for one in assigned if len(lower(one)) != 1]


@pytest.mark.parametrize("variant", ["onnx-fp32", "onnx-int8", "torchscript-int8", "torchscript-int4", "pt2-fp32"])
def test_a_bag_is_explained_exactly(archive_of: Callable[[str], Path], trained_run: Run, variant: str) -> None:
    texts = ["", "The MATCH", *trained_run.held_out("test").texts[:20], "goal rain " * 700]
    with load_archive(archive_of(variant)) as archived:
        explained, answers = archived.explain(texts), archived.predict(texts)
    for found, answer in zip(explained, answers, strict=True):
        assert found["method"] == "additive"
        largest = max(map(abs, found["logits"].values()))
        assert list(found["logits"]) == list(answer["scores"])
        assert (len(found["tokens"]), found["truncated"]) == (answer["tokens"], answer["truncated"])
        adds_up(found, ADDS_UP if answer["tokens"] < 100 else ADDS_UP * largest)
        # Softmax of what was explained is what is served.
        powers = np.exp(list(found["logits"].values()))
        assert powers / powers.sum() == pytest.approx(list(answer["scores"].values()), abs=1e-5)


def test_contributions_are_those_of_the_trained_layer(archive_of: Callable[[str], Path], trained_run: Run) -> None:
    """Computed from the weights: W v / √n of each cell, an n-gram's in halves to its two words."""
    assert isinstance(trained_run.recipe.encoder, BagOptions)
    assert trained_run.recipe.encoder.mode == "sqrtn"
    text, model = "the match and rain", trained_run.model
    tokens = trained_run.encoder.look_up([text])
    ids = torch.from_numpy(trained_run.encoder.assemble(tokens))
    with torch.inference_mode():
        vectors = model.embedding.vectors(ids)[0]
        assert isinstance(model.head, Classifier)
        linear = model.head.linear
        cells = (vectors @ linear.weight.T / len(vectors) ** 0.5).numpy()
        bias = linear.bias.numpy()
    assert len(cells) == 7
    expected = np.zeros((4, len(bias)))
    expected += cells[:4]
    for first, gram in enumerate(cells[4:]):
        expected[first] += gram / 2
        expected[first + 1] += gram / 2
    with load_archive(archive_of("onnx-fp32")) as archived:
        [found] = archived.explain([text])
    told = np.array([list(token["contributions"].values()) for token in found["tokens"]])
    assert told == pytest.approx(expected - expected.mean(axis=1, keepdims=True), abs=1e-4)
    assert list(found["bias"].values()) == pytest.approx(bias - bias.mean(), abs=1e-4)


@pytest.mark.parametrize("name", ["multilabel", "languages"])
def test_other_tasks_and_layouts_are_explained(task_archive: Callable[[str], Path], task_run: Any, name: str) -> None:
    texts = open_run(task_run(name)).held_out("test").texts[:5]
    with load_archive(task_archive(name)) as archived:
        for found in archived.explain(texts, "en" if name == "languages" else None):
            assert found["method"] == "additive"
            assert ("labels" in found) == (name == "multilabel")
            adds_up(found)


def test_a_text_in_model_is_asked_again_with_tokens_left_out(archive_of: Callable[[str], Path]) -> None:
    text = "The MATCH 很 , rain"
    with load_archive(archive_of("onnx-int8-text")) as archived, load_archive(archive_of("onnx-int8")) as other:
        [found], [exact] = archived.explain([text]), other.explain([text])
    assert (found["method"], exact["method"]) == ("shapley", "additive")
    adds_up(found, 1e-9)
    places = [(token["token"], token["start"], token["end"]) for token in found["tokens"]]
    assert places == [("the", 0, 3), ("match", 4, 9), ("很", 10, 11), (",", 12, 13), ("rain", 14, 18)]
    assert places == [(token["token"], token["start"], token["end"]) for token in exact["tokens"]]
    strongest = [
        max(one["tokens"], key=lambda token: token["contributions"]["sport"])["token"] for one in (found, exact)
    ]
    assert strongest == ["match", "match"]


def asked(*texts: str, **options: Any) -> Request:
    return Request(list(texts), len(texts) > 1, **options)


def test_sampled_values_add_up_and_come_near_all_orders() -> None:
    """The stand-in engine is not linear; of five tokens all 120 orders can be walked."""
    model = predictor("multilabel")
    words = ["goal", "zz", "rain", "goal", "rain"]
    [found] = explain(model, asked(" ".join(words)))
    assert found["method"] == "shapley"
    assert found["orders"] == 2 * explaining.PAIRS
    adds_up(found, 1e-9)
    assert explain(model, asked(" ".join(words))) == [found]

    def logits(kept: Sequence[int]) -> Any:
        scores = model.raw_outputs(Batch([" ".join(words[place] for place in sorted(kept))]))[1][0].astype(np.float64)
        scores = scores.clip(np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg)
        return np.log(scores) - np.log1p(-scores)

    exact = np.zeros((5, 3))
    orders = list(permutations(range(5)))
    for order in orders:
        for place, token in enumerate(order):
            exact[token] += (logits(order[: place + 1]) - logits(order[:place])) / len(orders)
    told = np.array([list(token["contributions"].values()) for token in found["tokens"]])
    assert np.abs(told - exact).max() <= 4 * found["standard_error"]
    assert 0 < found["standard_error"] < 6


def test_a_long_text_is_explained_in_runs_and_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = predictor("classify")
    raw_outputs, asked_for = model.raw_outputs, []

    def slowly(batch: Batch) -> Any:
        asked_for.append(len(batch))
        time.sleep(0.02)
        return raw_outputs(batch)

    monkeypatch.setattr(model, "raw_outputs", slowly)
    monkeypatch.setattr(explaining, "SECONDS", 0.1)
    began = time.monotonic()
    [found] = explain(model, asked("goal rain zz " * 200))
    assert time.monotonic() - began < 5
    assert 2 <= found["orders"] < 2 * explaining.PAIRS
    assert max(asked_for) == explaining.PLAYERS - 1
    assert len(found["tokens"]) == 600
    adds_up(found, 1e-6)


def test_top_k_keeps_the_best_labels() -> None:
    [found] = explain(predictor("classify"), asked("goal rain rain", top_k=1))
    [label] = found["logits"]
    assert list(found["bias"]) == [label]
    assert all(list(token["contributions"]) == [label] for token in found["tokens"])


def test_a_threshold_holds_for_the_labels_of_an_explanation() -> None:
    model = predictor("multilabel")
    [every], [none] = (explain(model, asked("goal rain", threshold=threshold)) for threshold in (0.0, 1.0))
    assert len(every["labels"]) == 3
    assert none["labels"] == []


@pytest.mark.parametrize(
    ("task", "request_", "error"),
    [
        ("vector", asked("goal"), ("LX-HTTP-061", "vectors")),
        ("joint", asked("goal"), ("LX-HTTP-061", "vectors")),
        ("classify", asked("goal", v2=True), ("LX-HTTP-062", "Open Inference Protocol v2")),
        ("classify", asked(*["goal"] * (MAX_EXPLAINED_TEXTS + 1)), ("LX-HTTP-063", "`texts`", "17", "16")),
    ],
)
def test_what_has_no_explanation_is_refused(task: str, request_: Request, error: tuple[str, ...]) -> None:
    with refused(Refusal, *error) as caught:
        check_explainable(request_, predictor(task, labels=() if task in ("vector", "joint") else ("a", "b", "c")))
    assert caught.value.status == 400


def test_the_archive_says_why_it_gives_none(task_archive: Callable[[str], Path]) -> None:
    with (
        load_archive(task_archive("vector")) as archived,
        refused(InputError, "LX-ARCHIVE-008", "vectors", "/predictions/NAME"),
    ):
        archived.explain(["goal"])
