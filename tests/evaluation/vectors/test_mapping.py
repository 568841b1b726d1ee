"""Maps of words: what is near by its vectors is near on the map, and the same seed makes the same map."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lexport.errors import InputError, MissingExtra
from lexport.evaluation.vectors.map_options import Colour, Method
from lexport.evaluation.vectors.mapping import chosen, make_map
from lexport.evaluation.vectors.rows import FloatRows
from lexport.evaluation.vectors.table import WordTable

from ...refusals import refused

GROUPS, EACH = 3, 12
# umap compiles itself, for most of a minute.
METHODS = [pytest.param(one, marks=[pytest.mark.long] if one is Method.UMAP else []) for one in Method]


def table() -> WordTable:
    """Three groups of words, far from each other."""
    draw = np.random.default_rng(0)
    centres = np.eye(GROUPS, 8, dtype=np.float32)
    rows = np.repeat(centres, EACH, axis=0) + 0.05 * draw.standard_normal((GROUPS * EACH, 8), dtype=np.float32)
    words = [f"{'abc'[at // EACH]}{at % EACH}" for at in range(GROUPS * EACH)]
    return WordTable("groups", words, FloatRows(rows))


@pytest.mark.parametrize("method", METHODS)
def test_groups_stay_together_and_the_same_seed_makes_the_same_map(method: Method) -> None:
    own = table()
    places = chosen(own, None, 1000)
    first, second = (make_map(own, places, method=method, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.points, second.points)
    assert first.points.min() >= 0
    assert first.points.max() <= 1
    groups = places // EACH
    apart = np.linalg.norm(first.points[:, None] - first.points[None], axis=2)
    same = groups[:, None] == groups[None]
    assert apart[same].mean() < 0.5 * apart[~same].mean()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [5, 6, 17])
def test_few_words_have_a_map_too(method: Method, count: int) -> None:
    own = table()
    made = make_map(own, chosen(own, None, count), method=method)
    assert made.points.shape == (count, 2)
    assert np.isfinite(made.points).all()
    assert all(len(near) == min(8, count - 1) for near in made.neighbours)


def test_equal_vectors_have_a_map_too() -> None:
    own = WordTable("equal", [f"w{at}" for at in range(8)], FloatRows(np.ones((8, 4), np.float32)))
    assert np.isfinite(make_map(own, chosen(own, None, 8), method=Method.PCA).points).all()


def test_the_perplexity_fits_the_number_of_words() -> None:
    own = table()
    assert "perplexity 3" in make_map(own, chosen(own, None, 10)).about
    assert "perplexity 11.6667" in make_map(own, chosen(own, None, 36)).about


def test_neighbours_are_those_by_all_dimensions() -> None:
    own = table()
    made = make_map(own, chosen(own, None, 36), method=Method.PCA)
    for at, near in enumerate(made.neighbours):
        assert at not in [other for other, _ in near]
        assert {other // EACH for other, _ in near} == {at // EACH}
        assert [cosine for _, cosine in near] == sorted((cosine for _, cosine in near), reverse=True)


def test_colours_are_the_row_the_label_or_the_cluster() -> None:
    own = table()
    places = chosen(own, ["c1", "a0", "b3", "a0", "c2", "a5", "b1"], 3)
    assert [own.words[place] for place in places] == ["c1", "a0", "b3", "c2", "a5", "b1"]
    plain = make_map(own, places, method=Method.PCA)
    assert (plain.kinds, plain.kind) == ((), places.tolist())

    def labels(words: Sequence[str]) -> list[str]:
        return [word[0].upper() for word in words]

    named = make_map(own, places, method=Method.PCA, colour=Colour.LABEL, labels=labels)
    assert (list(named.kinds), list(named.kind)) == (["A", "B", "C"], [2, 0, 1, 2, 0, 1])
    grouped = make_map(own, chosen(own, None, 36), method=Method.PCA, colour=Colour.CLUSTER)
    assert len(grouped.kinds) == 3
    for first in range(0, 36, EACH):
        assert len(set(grouped.kind[first : first + EACH])) == 1


def test_what_cannot_be_drawn_is_refused() -> None:
    own = table()
    with refused(InputError, "LX-VECTORS-108", "4 words", "5"):
        chosen(own, None, 4)
    with refused(InputError, "LX-VECTORS-102", "absent"):
        chosen(own, ["absent"], 4)
    with refused(InputError, "LX-VECTORS-109", "groups"):
        make_map(own, chosen(own, None, 9), method=Method.PCA, colour=Colour.LABEL)


def test_a_package_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("sklearn"):
            raise ModuleNotFoundError(f"No module named '{name}'", name="sklearn")
        return real(name, *rest)

    monkeypatch.setattr("importlib.import_module", lambda name: without(name))
    own = table()
    with refused(MissingExtra, "LX-INSTALL-002", "t-SNE", "scikit-learn", "lexport[vectors]"):
        make_map(own, chosen(own, None, 9))
