"""What is a proof: all goldens answered, within 1e-5 or, of lower precision, 2e-2."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lexport.export.archive.format.reader import extracted
from lexport.export.exits.evidence import judged
from lexport.export.exits.packed import Packed, read_packed

ArchiveOf = Callable[[str], Path]


@pytest.fixture(params=["onnx-fp32", "onnx-int8"])
def packed(request: pytest.FixtureRequest, archive_of: ArchiveOf) -> Packed:
    with extracted(archive_of(request.param)) as folder:
        return read_packed(folder)


def answers_of(packed: Packed) -> list[dict[str, Any]]:
    return [copy.deepcopy(golden.variant) for golden in packed.goldens]


def test_the_archives_own_answers_are_a_proof(packed: Packed) -> None:
    found = judged("it", packed, packed.goldens, answers_of(packed))
    assert (found.proven, found.problems, found.largest_difference) == (True, (), 0.0)
    assert found.asked == len(packed.goldens)


@pytest.mark.parametrize("factor", [0.5, 2.0, math.nan])
def test_a_score_may_differ_by_so_much(packed: Packed, factor: float) -> None:
    answers = answers_of(packed)
    allowed = 1e-5 if packed.model.precision == "fp32" else 2e-2
    scores = answers[3]["scores"]
    scores[next(iter(scores))] += factor * allowed
    found = judged("it", packed, packed.goldens, answers)
    assert found.proven == (factor == 0.5)
    assert all(problem.startswith("golden 4: ") for problem in found.problems)


@pytest.mark.parametrize("key", ["label", "tokens", "truncated", "scores"])
def test_everything_else_must_be_the_same(packed: Packed, key: str) -> None:
    answers = answers_of(packed)
    sure = max(range(len(answers)), key=lambda place: answers[place]["score"])
    answers[sure][key] = {"label": "another", "tokens": -1, "truncated": 2, "scores": {}}[key]
    assert not judged("it", packed, packed.goldens, answers).proven


def test_an_answer_too_few_is_none(packed: Packed) -> None:
    assert not judged("it", packed, packed.goldens, answers_of(packed)[1:]).proven
