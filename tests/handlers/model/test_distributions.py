"""What is counted of texts, whatever batches they come in, and nothing of what they say."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lexport.handlers.engine.engines import Counts
from lexport.handlers.model import distributions
from lexport.handlers.model.decoders import DECODERS
from lexport.handlers.model.distributions import CONFIDENCES, LENGTHS, NO_LABEL, Distributions, quoted

LABELS = ["pos", "neg", "it, is: #1|"]
scores = st.lists(st.integers(0, 100), min_size=3, max_size=3).map(lambda row: [value / 100 for value in row])
texts = st.tuples(st.integers(0, 1024), st.integers(0, 5), st.booleans(), scores)


def counted(batches: list[list[tuple[int, int, bool, list[float]]]], task: str) -> Distributions:
    found = Distributions(DECODERS[task], LABELS, 0.5)
    for batch in batches:
        lengths, unknown, truncated, outputs = zip(*batch, strict=True)
        found.add(Counts(np.array(lengths), np.array(unknown), np.array(truncated)), np.array(outputs, np.float32))
    return found


@given(st.lists(st.lists(texts, min_size=1, max_size=5), max_size=5))
def test_sums_are_those_of_each_text_by_itself(batches: list[list[tuple[int, int, bool, list[float]]]]) -> None:
    found = counted(batches, "classify").to_json()
    every = [text for batch in batches for text in batch]
    assert found["texts"] == len(every)
    assert found["tokens"] == sum(length for length, *_ in every)
    assert found["unknown_tokens"] == sum(unknown for _, unknown, *_ in every)
    assert found["unknown_texts"] == sum(unknown > 0 for _, unknown, *_ in every)
    assert found["truncated_texts"] == sum(truncated for *_, truncated, _ in every)
    lengths = Counter(bisect_left(LENGTHS, length) for length, *_ in every)
    assert found["lengths"] == [lengths[bucket] for bucket in range(len(LENGTHS) + 1)]
    highest = Counter(bisect_left(CONFIDENCES, float(np.float32(max(row)))) for *_, row in every)
    assert found["confidence"] == [highest[bucket] for bucket in range(len(CONFIDENCES) + 1)]
    labels = Counter(quoted(LABELS[np.argmax(np.array(row, np.float32))]) for *_, row in every)
    assert found["labels"] == dict(labels)


@given(st.lists(texts, min_size=1, max_size=8))
def test_a_text_with_several_labels_counts_for_each_and_one_without_for_none(
    batch: list[tuple[int, int, bool, list[float]]],
) -> None:
    found = counted([batch], "multilabel").to_json()["labels"]
    rows = [np.array(row, np.float32) >= 0.5 for *_, row in batch]
    assert found.get(NO_LABEL, 0) == sum(not row.any() for row in rows)
    assert [found.get(quoted(label), 0) for label in LABELS] == np.sum(rows, axis=0).tolist()


def test_a_model_of_vectors_has_lengths_alone() -> None:
    found = counted([[(3, 1, False, [0.1, 0.2, 0.3])]], "vector").to_json()
    assert {"labels", "confidence"} & found.keys() == set()
    assert (found["texts"], sum(found["lengths"])) == (1, 1)


def test_outputs_do_not_pile_up_until_somebody_asks() -> None:
    found = Distributions(DECODERS["classify"], LABELS, 0.5)
    one = Counts(np.array([1]), np.array([0]), np.array([False]))
    most = 0
    for _ in range(distributions._WAITING):
        found.add(one, np.zeros((1, 3), np.float32))
        most = max(most, len(found._waiting))
    assert most <= distributions._WAITING // 3 + 1
    assert found.to_json()["texts"] == distributions._WAITING


def test_labels_keep_apart_in_the_letters_of_every_format() -> None:
    labels = ["a b", "a_b", "a,b", "a%20b", "好", '"', "\\", "", "(none)", "a|b", "a#b", "a:b", "a\nb"]
    names = [*map(quoted, labels), NO_LABEL]
    assert len(set(names)) == len(names)
    assert all(set(name) & set(' ,:#|"\\\n\t{}') == set() and name.isascii() for name in names)
