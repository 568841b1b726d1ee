"""The benchmarks of widths and of the joint recipe: parts with a known answer, and a run of each on tiny settings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA

from lexport.benchmarks import dimension, joint
from lexport.benchmarks.figures import Values

Models = Callable[[Values, Values], Iterator[joint.Linear]]

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *options: str) -> str:
    command = [sys.executable, str(BENCHMARKS / script), "--quick", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def two_views(rows: int, *, noise: float) -> tuple[Values, Values]:
    """Two linear views of the same three hidden numbers, the second with three louder columns of `noise` beside."""
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=(rows, 3))
    mixed = np.random.default_rng(1).normal(size=(3, 5))
    return hidden @ mixed, np.hstack([hidden, noise * generator.normal(size=(rows, 3))])


def own_found_first(model: joint.Linear, texts: Values, images: Values) -> float:
    each = np.arange(len(texts))
    return float(joint.hits(*model.vectors(texts, images), each, each)[0].mean())


@pytest.mark.parametrize("models", [joint.ridges, joint.correlations])
def test_both_baselines_find_the_pairs_of_a_linear_relation_on_rows_they_have_not_seen(models: Models) -> None:
    texts, images = two_views(400, noise=0.0)
    found = [own_found_first(model, texts[300:], images[300:]) for model in models(texts[:300], images[:300])]
    assert max(found) == 1.0
    assert min(found) > 1 / 100  # chance


def test_canonical_correlation_leaves_out_what_only_one_side_has_and_ridge_regression_cannot() -> None:
    texts, images = two_views(400, noise=5.0)
    by_correlation, by_ridge = (
        max(own_found_first(model, texts[300:], images[300:]) for model in models(texts[:300], images[:300]))
        for models in (joint.correlations, joint.ridges)
    )
    assert by_correlation > 0.9 > 0.3 > by_ridge


def test_with_hardly_any_ridge_the_directions_are_those_of_ordinary_canonical_correlation() -> None:
    generator = np.random.default_rng(2)
    texts = generator.normal(size=(500, 4))
    images = texts @ generator.normal(size=(4, 4)) + generator.normal(size=(500, 4))
    ours = next(joint.correlations(texts, images))
    left, right = (texts - ours.word_means) @ ours.words, (images - ours.pixel_means) @ ours.pixels
    theirs = CCA(n_components=4).fit(texts, images).transform(texts, images)
    for direction in range(4):
        mine = np.corrcoef(left[:, direction], right[:, direction])[0, 1]
        assert mine == pytest.approx(np.corrcoef(theirs[0][:, direction], theirs[1][:, direction])[0, 1], abs=1e-3)


def test_a_text_without_any_known_word_has_a_finite_vector() -> None:
    texts, images = two_views(50, noise=1.0)
    for models in (joint.ridges, joint.correlations):
        model = next(models(texts, images))
        vectors, _ = model.vectors(np.stack([np.zeros(5), texts.mean(axis=0)]), images[:1])
        assert np.isfinite(vectors).all()


def test_hits_count_any_target_of_the_group_among_the_nearest() -> None:
    targets = np.eye(12, dtype=np.float32)
    query = np.linspace(1, 0.1, 12, dtype=np.float32)[None]  # the targets in their order
    groups = np.array([1] * 3 + [2] * 4 + [3] * 4 + [4])
    for group, expected in ((1, [1, 1, 1]), (2, [0, 1, 1]), (3, [0, 0, 1]), (4, [0, 0, 0])):
        assert joint.hits(query, targets, np.array([group]), groups)[:, 0].tolist() == expected


def test_every_caption_is_known_by_its_language() -> None:
    captions = ["the digit two", "die Ziffer Zwei", "la cifra dos", "数字二"]
    assert joint.languages_of(captions) == ["en", "de", "es", "zh"]


def test_of_widths_that_differ_by_noise_the_smallest_is_taken() -> None:
    generator = np.random.default_rng(0)
    common = generator.normal(1.0, 0.5, (3, 400))
    losses = {dim: common + generator.normal(0.0, 0.1, (3, 400)) for dim in (8, 16, 32)}
    assert dimension.smallest_fit(losses) == 8
    assert dimension.smallest_fit({4: common + 0.1, **losses}) == 8


def test_of_widths_that_differ_clearly_the_best_is_taken() -> None:
    common = np.random.default_rng(0).normal(1.0, 0.5, (2, 300))
    assert dimension.smallest_fit({8: common + 0.2, 16: common + 0.1, 32: common, 64: common + 0.1}) == 32


@pytest.mark.long
def test_joint() -> None:
    printed = run("joint.py", "--seeds", "2")
    assert "| **mean of 2 seeds** |" in printed
    assert "| ridge (α=" in printed
    assert "| canonical correlation (ridges " in printed
    assert "| chance | 10.4% |" in printed
    assert [line[2:4] for line in printed.splitlines() if line[2:4] in joint.LANGUAGES] == list(joint.LANGUAGES)


@pytest.mark.long
def test_dimension(tiny_csv: Path) -> None:
    printed = run("dimension.py", "--data", str(tiny_csv), "--dims", "8,4", "--seeds", "2")
    rows = [line.split(" | ")[0] for line in printed.splitlines() if line.startswith("| ")]
    assert [row.strip("|* ") for row in rows] == ["dim", "--", "4", "8"]
    assert "Smallest width not measurably worse than the best on validation: " in printed
