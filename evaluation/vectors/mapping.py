"""A map of words: two dimensions in which words whose vectors are alike lie near to each other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import InputError, import_optional
from ...storage.progress import Say, silent
from .map_options import Colour, Method
from .nearest import Nearest
from .rows import FloatRows, Floats, Ints
from .table import WordTable

LEAST = 5
"""The fewest words of a map."""
_NEIGHBOURS, _CLUSTERS = 8, 12
# The perplexity of t-SNE and the neighbours of UMAP where there are words enough: the defaults of their authors.
_PERPLEXITY, _UMAP_NEIGHBOURS = 30, 15
_PURPOSE = "A map by {}"


@dataclass(frozen=True)
class WordMap:
    """A map of n words."""

    name: str
    """Of the table."""
    about: str
    """How it was made, in a sentence."""
    words: Sequence[str]
    points: Floats
    """Where each word is, float32 [n, 2], from 0 to 1."""
    neighbours: Sequence[Sequence[tuple[int, float]]]
    """The nearest words of each on the map by their vectors, with the cosine; positions among `words`."""
    colour: Colour
    kinds: Sequence[str]
    """The names of the kinds; none where the colour is the frequency."""
    kind: Sequence[int]
    """The kind of each word; where the colour is the frequency its row in the table."""


def chosen(table: WordTable, words: Sequence[str] | None, top: int) -> Ints:
    """Return the rows of a map's words: `words`, or the `top` first ones that have a direction.

    Raises InputError for an unknown word, or fewer than five.
    """
    if words is None:
        places = table.usable()[:top]
    else:
        places = np.array(list(dict.fromkeys(table.place_of(word) for word in words)), np.int64)
        table.direction_of(places)
    if len(places) < LEAST:
        raise InputError(
            f"{len(places)} words were to be drawn; a map needs {LEAST} or more. Name more words.",
            code="LX-VECTORS-108",
        )
    return places


def make_map(
    table: WordTable,
    places: Ints,
    *,
    method: Method = Method.TSNE,
    colour: Colour = Colour.FREQUENCY,
    labels: Callable[[Sequence[str]], Sequence[str]] | None = None,
    seed: int = 0,
    say: Say = silent,
) -> WordMap:
    """Return a map of some rows of a table, the same for the same seed and versions.

    `labels` returns the label of each word, for Colour.LABEL. Raises MissingExtra where a package is absent,
    InputError if labels are asked for and there are none.
    """
    words = [table.words[place] for place in places.tolist()]
    units = table.nearest.units(places)
    kinds: Sequence[str] = ()
    kind: Sequence[int] = places.tolist()
    if colour is Colour.LABEL:  # before the work: labels may be refused
        if labels is None:
            raise InputError(
                f"{table.name} gives no labels: vectors alone have none. Take a run or an archive of a classifier, "
                "or --colour frequency or cluster.",
                code="LX-VECTORS-109",
            )
        own = labels(words)
        kinds = sorted(set(own))
        kind = [kinds.index(one) for one in own]
    elif colour is Colour.CLUSTER:
        kind = _clusters(units, seed)
        kinds = [f"cluster {number + 1}" for number in range(max(kind) + 1)]
    say(f"{len(words):,} words of {table.rows.dim} dimensions, by {method}")
    points, about = _POINTS[method](units, seed)
    points = _scaled(points)
    say("the neighbours of each word")
    near = Nearest(FloatRows(units)).find(units, _NEIGHBOURS, [np.array([at]) for at in range(len(units))])
    neighbours = [list(zip(rows.tolist(), cosines.tolist(), strict=True)) for rows, cosines in near]
    return WordMap(table.name, about, words, points, neighbours, colour, kinds, kind)


def _scaled(points: Floats) -> Floats:
    """Return points in the middle of the square from 0 to 1, their shape kept."""
    least, most = points.min(axis=0), points.max(axis=0)
    side = float((most - least).max()) or 1.0
    found: Floats = ((points - (least + most) / 2) / side + 0.5).astype(np.float32).clip(0, 1)
    return found


def _tsne(units: Floats, seed: int) -> tuple[Floats, str]:
    manifold = import_optional("sklearn.manifold", _PURPOSE.format("t-SNE"))
    perplexity = min(_PERPLEXITY, (len(units) - 1) / 3)
    # From the principal components, which keeps what is far apart apart and draws nothing at random.
    start, _ = _principal(units)
    start = start / max(float(start[:, 0].std()), 1e-12) * 1e-4
    placing = manifold.TSNE(perplexity=perplexity, init=start, learning_rate="auto", random_state=seed)
    with _two_threads():
        made = placing.fit_transform(units)
    return made, f"t-SNE, perplexity {perplexity:g}, seed {seed}"


def _umap(units: Floats, seed: int) -> tuple[Floats, str]:
    neighbours = min(_UMAP_NEIGHBOURS, len(units) - 1)
    # Its spectral start needs more words than it has dimensions to find.
    start = "spectral" if len(units) > _UMAP_NEIGHBOURS else "random"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has no Tensorflow, and that a seed makes it use one thread
        umap = import_optional("umap", _PURPOSE.format("UMAP"))
        made = umap.UMAP(n_neighbors=neighbours, init=start, random_state=seed, n_jobs=1).fit_transform(units)
    return made, f"UMAP, {neighbours} neighbours, seed {seed}"


def _pca(units: Floats, seed: int) -> tuple[Floats, str]:
    del seed
    points, share = _principal(units)
    return points, f"PCA; the two directions have {share:.0%} of the variance"


def _principal(units: Floats) -> tuple[Floats, float]:
    """Return the first two principal components, float32 [n, 2], and their share of the variance, 0 to 1.

    Each has its largest number positive.
    """
    centred = units - units.mean(axis=0)
    _, variances, axes = np.linalg.svd(centred.T @ centred)
    made = np.zeros((len(units), 2), np.float32)
    projected = centred @ axes[:2].T
    largest = np.abs(projected).argmax(axis=0)
    made[:, : projected.shape[1]] = projected * np.sign(projected[largest, np.arange(projected.shape[1])])
    return made, float(variances[:2].sum() / max(float(variances.sum()), 1e-12))


def _two_threads() -> AbstractContextManager[object]:
    """Context manager: scikit-learn uses two threads at most.

    Their two sums make the same whichever comes first; of more threads the order would change the last bits, and with
    them the whole map.
    """
    limits: AbstractContextManager[object] = import_optional("threadpoolctl", "A map of words").threadpool_limits(2)
    return limits


_POINTS: dict[Method, Callable[[Floats, int], tuple[Floats, str]]] = {
    Method.TSNE: _tsne,
    Method.UMAP: _umap,
    Method.PCA: _pca,
}


def _clusters(units: Floats, seed: int) -> list[int]:
    """Return the cluster of each word, the largest being 0."""
    cluster = import_optional("sklearn.cluster", "A map coloured by cluster")
    count = max(2, min(_CLUSTERS, len(units) // 10))
    with _two_threads():
        found: npt.NDArray[np.int64] = cluster.KMeans(count, random_state=seed, n_init=4).fit_predict(units)
    order = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    ranks = np.empty(count, np.int64)
    ranks[order] = np.arange(count)
    return [int(one) for one in ranks[found]]
