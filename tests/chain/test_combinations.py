"""Every embedding with every encoder under every head, exported to every variant: the same answers everywhere.

docs/combinations.md is written from what is found here and compared with it. To write it anew (some ten minutes):

    WRITE_COMBINATIONS=1 python -m pytest tests/chain/test_combinations.py

`make test` asks a part, and the full product is marked long. TorchScript in fp32, exported in tenths of a second,
takes each pair of embedding and encoder. ONNX, exported in seconds, takes pairs in which every embedding and every
encoder stands once, and each head behind a bag; so does TorchScript in int8, and each head behind a convolution too.
Lower precisions of ONNX, which differ in the embedding's table alone, take each embedding before the bag. Where a
combination turns out to fail, it belongs among the quick ones, so that both find what the page says.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.export.formats.variants import IDS_IN
from lexport.handlers.engine.engines import Engine, open_engine
from lexport.handlers.text.encoder import Ids

from .combination_cases import (
    BOUND,
    EMBEDDINGS,
    ENCODERS,
    HEADS,
    WORDS,
    Combination,
    assembled,
    eager,
    made,
    outcome,
    written,
)

PAGE = Path(__file__).parents[2] / "docs" / "combinations.md"
COMMAND = "WRITE_COMBINATIONS=1 python -m pytest tests/chain/test_combinations.py"

PAIRS = [Combination(embedding, encoder) for embedding, encoder in product(EMBEDDINGS, ENCODERS)]
GRAMS = [Combination(embedding, "bag", grams=True) for embedding in EMBEDDINGS if embedding != "char_cnn"]
REFUSED = [
    Combination(embedding, encoder, grams=True)
    for embedding, encoder in product(EMBEDDINGS, ENCODERS)
    if encoder != "bag" or embedding == "char_cnn"
]
# Each embedding and each encoder at least once.
_DIAGONAL = [Combination(one, ENCODERS[number % len(ENCODERS)]) for number, one in enumerate(EMBEDDINGS)]
# Each embedding before the bag, each encoder behind the table.
_PLAIN = [one for one in PAIRS if one.embedding == "table" or one.encoder == "bag"]
# The head `linear` takes the sum of a bag, whose width is the number of labels.
_HEADS = {encoder: [task for task in HEADS if task != "linear" or encoder == "bag"] for encoder in ENCODERS}
_HEADED = [Combination(*parts, task) for parts in (("hashed", "bag"), ("table", "cnn")) for task in _HEADS[parts[1]]]
_BAGS = [one for one in PAIRS if one.encoder == "bag"]
_SCRIPTED = ("torchscript-fp32", "torchscript-int8")
_LOW_ONNX = [name for name, variant in IDS_IN.items() if variant.engine == "onnx" and name != "onnx-fp32"]
_OTHERS = [name for name in IDS_IN if name not in (*_SCRIPTED, "onnx-fp32", *_LOW_ONNX)]

FULL = list(
    product(
        [
            Combination(one.embedding, one.encoder, task, one.grams)
            for one in PAIRS + GRAMS
            for task in _HEADS[one.encoder]
        ],
        IDS_IN,
    )
)
QUICK = set(product(PAIRS + GRAMS + _HEADED, ["torchscript-fp32"])) | set(product(_HEADED, ["torchscript-int8"]))
QUICK |= set(product(_DIAGONAL, [*_SCRIPTED, "onnx-fp32", *_OTHERS])) | set(product(_BAGS, _LOW_ONNX))
QUICK |= {(one, "onnx-fp32") for one in _HEADED if one.encoder == "bag"}


@pytest.mark.parametrize(
    ("combination", "variant"),
    [pytest.param(*one, marks=[] if one in QUICK else [pytest.mark.long], id=f"{one[0]}-{one[1]}") for one in FULL],
)
def test_it_runs_and_answers_as_the_trained_model(combination: Combination, variant: str) -> None:
    assert outcome(combination, variant) == ""


def test_the_quick_ones_are_of_the_product_and_leave_out_no_part() -> None:
    assert set(FULL) >= QUICK
    heads = sum(len(_HEADS[one.encoder]) for one in PAIRS + GRAMS)
    assert len(FULL) == heads * len(IDS_IN)
    for name in IDS_IN:
        quick = [one for one, variant in QUICK if variant == name]
        assert {one.embedding for one in quick} == set(EMBEDDINGS)
        assert name in _LOW_ONNX or {one.encoder for one in quick} == set(ENCODERS)


@pytest.mark.parametrize("combination", REFUSED, ids=str)
def test_ngrams_before_an_encoder_or_embedding_that_cannot_read_them_are_a_recipe_error(
    combination: Combination,
) -> None:
    with pytest.raises(ValueError, match=r"cannot use n-grams and subwords|has no vectors for n-grams"):
        combination.recipe()


def padded(ids: Ids, columns: int, characters: int) -> Ids:
    """PAD on the right; of words by character, at the end of each word too."""
    more = [(0, 0), (0, columns)] + [(0, characters)] * (ids.ndim == 3)
    return np.pad(ids, more)


@cache
def engines(combination: Combination) -> list[Engine]:
    """What serves a combination in fp32: TorchScript, and where one of its parts is the plain one ONNX as well."""
    names = ("torchscript-fp32", "onnx-fp32") if combination in _PLAIN else ("torchscript-fp32",)
    return [
        open_engine(IDS_IN[name].engine, written(combination, name) / IDS_IN[name].file, threads=1, device="cpu")
        for name in names
    ]


@pytest.mark.parametrize(
    "combination",
    [pytest.param(one, marks=[] if one in _DIAGONAL else [pytest.mark.long], id=str(one)) for one in PAIRS + GRAMS],
)
@settings(max_examples=20)
@given(
    texts=st.lists(
        st.lists(st.sampled_from([*WORDS, "qxzvkj", "汉"]), max_size=9).map(" ".join), min_size=1, max_size=4
    ),
    columns=st.integers(0, 12),
    characters=st.integers(0, 3),
)
def test_an_answer_does_not_depend_on_padding_or_on_the_rest_of_its_batch(
    combination: Combination,
    texts: list[str],
    columns: int,
    characters: int,
) -> None:
    multilingual = combination.embedding == "multilingual"
    together = assembled(combination, texts)
    wider = padded(together, columns, 0 if multilingual else characters)
    trained: Engine = partial(eager, combination)
    for run in (trained, *engines(combination)):
        expected = run(together)
        np.testing.assert_allclose(run(wider), expected, rtol=0, atol=BOUND["fp32"])
        np.testing.assert_allclose(run(wider[::-1].copy())[::-1], expected, rtol=0, atol=BOUND["fp32"])
        for row in range(len(texts)):
            used = together[row].reshape(together.shape[1], -1).any(axis=1)
            alone = together[row : row + 1, : max(int(used.sum()), 1)]
            np.testing.assert_allclose(run(alone.copy()), expected[row : row + 1], rtol=0, atol=BOUND["fp32"])


HEAD_LINES = {
    "classify": "a score for each label, together one (softmax)",
    "multilabel": "a score for each label, each its own (sigmoid)",
    "linear": "as `classify` and `multilabel`, for the encoder `bag`: its sum and a bias are the logits",
    "vector": "a unit vector, zeros where no token is known",
    "joint": "a unit vector of a text, and from a second file, fp32 in every variant, one of an image",
}


def page(tried: Sequence[tuple[Combination, str]]) -> str:
    """docs/combinations.md, from the outcomes of what was tried and of what recipes refuse."""
    found = {one: outcome(*one) for one in (*tried, *product(REFUSED, list(IDS_IN)[:1]))}
    notes: list[str] = []

    def cell(**parts: object) -> str:
        mine = {
            one: reason
            for one, reason in found.items()
            if all(getattr(one[0], part) == value for part, value in parts.items())
        }
        reasons = list(dict.fromkeys(reason for reason in mine.values() if reason))
        notes.extend(reason for reason in reasons if reason not in notes)
        marks = " ".join(f"[{notes.index(reason) + 1}]" for reason in reasons)
        failing = {variant for (_, variant), reason in mine.items() if reason}
        if mine.keys() <= set(product(REFUSED, IDS_IN)):
            return f"refused {marks}"
        running = ", ".join(name for name in IDS_IN if name not in failing)
        return f"{running or 'none'} {marks}" if failing else "all"

    def table(*, grams: bool) -> str:
        lines = [f"| embedding | {' | '.join(ENCODERS)} |", f"|--|{'--|' * len(ENCODERS)}"]
        for embedding in EMBEDDINGS:
            cells = [cell(embedding=embedding, encoder=encoder, grams=grams) for encoder in ENCODERS]
            lines.append(f"| `{embedding}` | {' | '.join(cells)} |")
        return "\n".join(lines)

    by_words, by_grams = table(grams=False), table(grams=True)
    tasks = "\n".join(f"| `{task}` | {HEAD_LINES[task]} | {_ran(found, task)} |" for task in HEADS)
    return f"""\
# Combinations

Which embedding runs before which encoder, under which head, in which variant; all are
{", ".join(f"`{name}`" for name in IDS_IN)}.

This page is written by `tests/chain/test_combinations.py`, which builds, exports and asks every combination;
`make test` asks a part of them and fails where this page says otherwise, `make test-full` asks them all. To write it
again:

    {COMMAND}

That a combination runs in a variant means: it was exported, opened as a worker opens it, and asked for a single
text, a text of one token, empty texts, unknown words alone, texts of unequal length and texts longer than are kept.
Every answer was then near the eager model's, for a score as for a component of a unit vector, in models of random
weights: in fp32 within {BOUND["fp32"]:.0e}, in fp16 within {BOUND["fp16"]:g}, in int8 within {BOUND["int8"]:g},
in int4 within {BOUND["int4"]:g}. Every ONNX file was then given its text code (text-in) and asked for the texts
themselves: it answered the same. In ONNX files and programs of torch.export the numbers of texts and tokens (and of
characters, where words are read by character) are symbolic. In fp16, int8 and int4 the embedding's table alone is
stored so; the encoder and the head stay fp32.

## Words alone

{by_words}

## With n-grams or subwords

{by_grams}

{_numbered(notes)}

## Heads

| head | answer | runs in |
|--|--|--|
{tasks}
"""


def _ran(found: dict[tuple[Combination, str], str], task: str) -> str:
    failing = {
        variant for (one, variant), reason in found.items() if one.task == task and reason and one not in REFUSED
    }
    return ", ".join(name for name in IDS_IN if name not in failing) if failing else "all"


def _numbered(notes: Sequence[str]) -> str:
    return "\n\n".join(f"[{number}] {note}" for number, note in enumerate(notes, 1))


@pytest.mark.parametrize(
    "tried", [pytest.param(sorted(QUICK, key=str), id="quick"), pytest.param(FULL, id="full", marks=pytest.mark.long)]
)
def test_the_page_says_what_was_found(tried: list[tuple[Combination, str]]) -> None:
    written = page(tried)
    if os.environ.get("WRITE_COMBINATIONS"):
        PAGE.write_text(written, encoding="utf-8")
    committed = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    assert committed == written, f"docs/combinations.md says otherwise. Write it anew with: {COMMAND}"


@pytest.mark.parametrize("encoder", ["bag", "cnn"])
@pytest.mark.parametrize("variant", IDS_IN)
def test_an_index_that_the_table_lacks_is_refused(encoder: str, variant: str) -> None:
    """Engines count indices below 0 from the end of a table, or drop what 32 bits do not hold, if they are let."""
    combination = Combination("table", encoder)
    one = IDS_IN[variant]
    run = open_engine(one.engine, written(combination, variant) / one.file, threads=1, device="cpu")
    ids = assembled(combination, ["film good"])
    rows = made(combination)[1].spec.rows
    assert run(ids).shape[0] == 1
    for wrong in (-1, -rows, rows, 2**31, 2**32 + 2, -(2**32) + 2, 2**63 - 1, -(2**63)):
        ids[0, -1] = wrong
        with pytest.raises(Exception, match=r"(?i)ind|range|bound|embedding"):
            run(ids)
