"""Metrics: accuracy, F1, the confusion matrix, retrieval ranks, and the Wilson interval of a share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..storage.compression import listed

_Z95 = NormalDist().inv_cdf(0.975)  # 1.96: the normal quantile of a two-sided 95 % interval
_BLOCK = 1 << 24  # dot products held at a time: 64 MiB of float32
AT = (1, 5, 10)  # recall is reported for this many nearest targets
_ROUNDING = 1e-6  # of the product of two lengths: what float32 may be off by

Counts = npt.NDArray[np.int64]
Outputs = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


def score(truth: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Compare `predicted` with `truth`, both over the model's `labels`.

    Returns what JSON can hold, all shares from 0 to 1: `accuracy`; `macro_f1`, the mean F1 of the labels that occur
    in `truth` or in `predicted`, as scikit-learn computes it; `absent_labels`, the number of the others;
    `per_class` {label: {precision, recall, f1, support}}, 0.0 where a denominator is 0; `confusion`, a list of rows:
    rows are the truth, columns the predictions, in the order of `labels`; `count`.
    Raises InputError if `truth` has a label that the model does not know, ValueError if there are no
    texts, the lengths differ or a prediction is not one of `labels`.
    """
    index_of = label_indices(labels, [(label,) for label in truth])
    if not index_of.keys() >= set(predicted):
        raise ValueError("a prediction is not one of the labels")
    confusion: Counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    pairs = np.array([(index_of[t], index_of[p]) for t, p in zip(truth, predicted, strict=True)])
    np.add.at(confusion, (pairs[:, 0], pairs[:, 1]), 1)
    hits = confusion.diagonal()
    support, answers = confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        "accuracy": float(hits.sum() / len(truth)),
        "macro_f1": float(macro_f1(hits, support + answers)),
        "absent_labels": int((support + answers == 0).sum()),
        "per_class": _per_class(labels, hits, answers, support),
        "confusion": confusion.tolist(),
        "count": len(truth),
    }


def score_multilabel(
    truth: Sequence[tuple[str, ...]], scores: npt.NDArray[np.float32], labels: Sequence[str], threshold: float = 0.5
) -> dict[str, Any]:
    """Compare the `labels` whose `scores` (float32 [texts, labels]) reach `threshold` with the sets in `truth`.

    Returns what JSON can hold, all shares from 0 to 1: `accuracy`, the share of texts with exactly the correct set;
    `micro_f1` over all decisions; `macro_f1`, `absent_labels` and `per_class` as in `score`; `threshold`; `count`.
    0.0 where a denominator is 0. Raises InputError if `truth` has a label that the model does not know,
    ValueError if there are no texts, the shapes differ or a score is not a number.
    """
    present = label_matrix(truth, labels)
    if scores.shape != (len(truth), len(labels)) or np.isnan(scores).any():
        raise ValueError(f"scores {scores.shape} without NaN for {len(truth)} texts, {len(labels)} labels expected")
    predicted = scores >= threshold
    hits: Counts = (predicted & present).sum(axis=0)
    answers: Counts = predicted.sum(axis=0)
    support: Counts = present.sum(axis=0)
    decisions = int(support.sum() + answers.sum())
    return {
        "accuracy": float((predicted == present).all(axis=1).mean()),
        "micro_f1": float(2 * hits.sum() / decisions) if decisions else 0.0,
        "macro_f1": float(macro_f1(hits, support + answers)),
        "absent_labels": int((support + answers == 0).sum()),
        "per_class": _per_class(labels, hits, answers, support),
        "threshold": threshold,
        "count": len(truth),
    }


def f1(hits: npt.NDArray[Any], sums: npt.NDArray[Any]) -> Values:
    """Return 2 * `hits` / `sums`, with sums = predictions + support; 0.0 where sums is 0."""
    return _shares(2 * hits, sums)


def macro_f1(hits: npt.NDArray[Any], sums: npt.NDArray[Any]) -> Values:
    """Return the mean F1 of the labels (last axis) that occur, whose `sums` are above 0; 0.0 without any."""
    occurring, total = (sums > 0).sum(axis=-1), f1(hits, sums).sum(axis=-1)
    return _shares(total, occurring)


def label_indices(labels: Sequence[str], truth: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """Return the index of each label. Raises InputError if `truth` has others, ValueError without texts or labels."""
    index_of = {label: index for index, label in enumerate(labels)}
    if not truth or not labels or len(index_of) != len(labels):
        raise ValueError("at least one text and distinct labels are needed")
    if not index_of.keys() >= set(chain.from_iterable(truth)):
        unknown = [{name for name in names if name not in index_of} for names in truth]
        raise InputError(
            f"{sum(map(bool, unknown)):,} of {len(truth):,} texts have a label that the model does not know: "
            f"{listed(sorted(set().union(*unknown)))}. Its labels are: {listed(labels)}. "
            "Rename or remove these rows.",
            code="LX-EVAL-001",
        )
    return index_of


def label_matrix(truth: Sequence[tuple[str, ...]], labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which of `labels` each text has, bool [texts, labels]. Raises as `label_indices` does."""
    index_of = label_indices(labels, truth)
    found = np.zeros((len(truth), len(labels)), dtype=bool)
    for row, names in enumerate(truth):
        found[row, [index_of[name] for name in names]] = True
    return found


def _per_class(labels: Sequence[str], hits: Counts, answers: Counts, support: Counts) -> dict[str, dict[str, Any]]:
    columns = {
        "precision": _shares(hits, answers).tolist(),
        "recall": _shares(hits, support).tolist(),
        "f1": f1(hits, support + answers).tolist(),
        "support": support.tolist(),
    }
    return {
        label: dict(zip(columns, values, strict=True))
        for label, *values in zip(labels, *columns.values(), strict=True)
    }


def _shares(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Values:
    """Return `part / whole`, 0.0 where whole is 0."""
    found: Values = np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)
    return found


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval (low, high) of a share, for example an accuracy of `successes` of `n` texts.

    It is valid near 0 and 1 and for few texts, unlike the usual mean ± 1.96 standard errors. E. B. Wilson
    (1927), Probable inference, the law of succession, and statistical inference, Journal of the American
    Statistical Association 22(158), 209–212. Raises ValueError unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n}: 0 <= successes <= n and n > 0 were expected")
    share, square = successes / n, _Z95**2
    centre = share + square / (2 * n)
    reach = _Z95 * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    scale = 1 + square / n
    low = 0.0 if successes == 0 else (centre - reach) / scale
    high = 1.0 if successes == n else (centre + reach) / scale
    return low, high


def retrieval(
    queries: npt.NDArray[np.float32],
    targets: npt.NDArray[np.float32],
    query_groups: npt.ArrayLike,
    target_groups: npt.ArrayLike,
    at: Sequence[int] = AT,
) -> dict[str, Any]:
    """Return how well `queries` (float32 [n, d]) find their relevant `targets` (float32 [m, d]) by dot product.

    A target is relevant to the queries of its own group: `query_groups` [n] and `target_groups` [m] are compared.
    Returns what JSON can hold: for each k of `at` `recall_at_k`, the share of queries with a relevant target among
    the k nearest, and `chance_at_k`, the exact expectation for a random order; the
    `mean_reciprocal_rank` of the first relevant target; `targets` (m) and `count` (n). A query without a relevant
    target counts as one that did not find it. Raises ValueError as `ranks` does, and for a k below 1.
    """
    if not at or min(at) < 1:
        raise ValueError(f"at={tuple(at)}: counts of nearest targets from 1 on were expected")
    first = ranks(queries, targets, query_groups, target_groups)
    n, m = len(queries), len(targets)
    result: dict[str, Any] = {f"recall_at_{k}": float((first <= k).mean()) for k in at}
    result["mean_reciprocal_rank"] = float((1 / first).mean())
    relevant = Counter(np.asarray(target_groups).tolist())
    counts = Counter(relevant[group] for group in np.asarray(query_groups).tolist())
    for k in at:
        result[f"chance_at_{k}"] = sum(times * _chance(m, some, k) for some, times in counts.items()) / n
    return result | {"targets": m, "count": n}


def ranks(
    queries: npt.NDArray[np.float32],
    targets: npt.NDArray[np.float32],
    query_groups: npt.ArrayLike,
    target_groups: npt.ArrayLike,
) -> npt.NDArray[np.float64]:
    """Return the rank, from 1, of each query's first relevant target, float64 [queries]; infinite without one.

    The arguments are those of `retrieval`. If products are equal within float32 rounding, the irrelevant target comes
    first, so that a model with the same vector for everything scores nothing. Raises ValueError for shapes that do
    not match, an empty search, or values that are not finite.
    """
    n, m = len(queries), len(targets)
    mine, theirs = np.asarray(query_groups), np.asarray(target_groups)
    same_width = queries.ndim == 2 and queries.shape[1:] == targets.shape[1:]
    if not n or not m or not same_width or (mine.shape, theirs.shape) != ((n,), (m,)):
        raise ValueError(
            f"queries {queries.shape} in groups {mine.shape} and targets {targets.shape} in groups {theirs.shape} "
            "do not fit together"
        )
    lengths, longest = np.linalg.norm(queries, axis=1), np.linalg.norm(targets, axis=1).max()
    if not np.isfinite(lengths).all() or not np.isfinite(longest):
        raise ValueError("queries and targets must be finite")
    found: npt.NDArray[np.float64] = np.empty(n)
    block = max(1, _BLOCK // m)
    for start in range(0, n, block):
        rows = slice(start, start + block)
        fits = mine[rows, None] == theirs[None]
        products = queries[rows] @ targets.T
        best = np.where(fits, products, -np.inf).max(axis=1) - _ROUNDING * lengths[rows] * longest
        ahead = ((products >= best[:, None]) & ~fits).sum(axis=1)
        found[rows] = np.where(fits.any(axis=1), ahead + 1.0, np.inf)
    return found


def _chance(targets: int, relevant: int, k: int) -> float:
    """Return the probability that k random targets include a relevant one: 1 - the hypergeometric one of none."""
    drawn = min(k, targets)
    every = math.comb(targets, drawn)
    return (every - math.comb(targets - relevant, drawn)) / every
