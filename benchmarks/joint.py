"""How well the joint recipe finds images by captions and captions by images, beside linear baselines.

    python benchmarks/joint.py [--recipe joint] [--seeds 5] [--quick]

The sample digit-captions: the captions of the test come from templates that no training text has. Everything is
judged on the test, which nothing was chosen on.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from lexport.benchmarks.figures import Values, crossed_interval, paired_interval, say
from lexport.benchmarks.report import Report, add_options
from lexport.data.digits import caption
from lexport.data.load import Dataset
from lexport.data.splits import Splits
from lexport.evaluation.metrics import retrieval
from lexport.evaluation.tasks import UNLABELLED, Joint
from lexport.models import recipes
from lexport.models.predict import outputs
from lexport.models.run import Run
from lexport.training.prepare import prepare
from lexport.training.save import unknown_share
from lexport.training.train import train

DATA = "digit-captions"
LANGUAGES = ("en", "de", "es", "zh")  # in the order in which the captions' choices go round
AT = (1, 5, 10)
WAYS = ("text → image", "image → text")

RIDGE_STRENGTHS = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)
# Of canonical correlations, relative to the mean variance; kept directions; power of the correlations they weigh.
TEXT_STRENGTHS = IMAGE_STRENGTHS = (0.0001, 0.001, 0.01, 0.1, 1.0)
SIZES = (9, 16, 32, 64)
POWERS = (0, 1, 4)

Floats = npt.NDArray[np.float32]
Groups = npt.NDArray[np.int64]
Pair = tuple[Floats, Floats]  # vectors of texts, vectors of images


@dataclass(frozen=True)
class Linear:
    """Two linear maps into one space: words [words, size], pixels [values, size], of what lies off the means.

    settings: how strongly it was held back, in words.
    """

    settings: str
    word_means: Values = field(repr=False)
    pixel_means: Values = field(repr=False)
    words: Values = field(repr=False)
    pixels: Values = field(repr=False)

    def vectors(self, texts: Values, images: Values) -> Pair:
        """Unit vectors of TF-IDF rows [texts, words] and of images [images, values]."""
        return _units((texts - self.word_means) @ self.words), _units((images - self.pixel_means) @ self.pixels)


def _units(rows: Values) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def ridges(texts: Values, images: Values) -> Iterator[Linear]:
    """Ridge regression from TF-IDF rows to pixels, at each strength; an image stands for itself."""
    for strength in RIDGE_STRENGTHS:
        coefficients = Ridge(alpha=strength).fit(texts, images).coef_.T
        yield Linear(
            f"α={strength:g}", texts.mean(axis=0), images.mean(axis=0), coefficients, np.eye(images.shape[1])
        )


def correlations(texts: Values, images: Values) -> Iterator[Linear]:
    """Canonical correlation analysis of TF-IDF rows and pixels with a ridge on both, at each setting.

    H. D. Vinod (1976), Canonical ridge and econometrics of joint production, Journal of Econometrics 4(2), 147–166.
    Directions may count by a power of their correlation: Gong, Ke, Isard, Lazebnik: A Multi-View Embedding Space
    for Modeling Internet Images, Tags, and their Semantics, 2012, arXiv:1212.4522.
    """
    word_means, pixel_means = texts.mean(axis=0), images.mean(axis=0)
    x, y = texts - word_means, images - pixel_means
    between = x.T @ y / len(x)
    whitened = [(strength, _whitener(x, strength)) for strength in TEXT_STRENGTHS]
    for (held_words, by_words), held_pixels in itertools.product(whitened, IMAGE_STRENGTHS):
        by_pixels = _whitener(y, held_pixels)
        left, values, right = np.linalg.svd(by_words @ between @ by_pixels, full_matrices=False)
        for size, power in itertools.product(SIZES, POWERS):
            weights = values[:size] ** power
            yield Linear(
                f"ridges {held_words:g} and {held_pixels:g}, {len(weights)} directions, power {power}",
                word_means,
                pixel_means,
                by_words @ left[:, :size] * weights,
                by_pixels @ right.T[:, :size] * weights,
            )


def _whitener(rows: Values, strength: float) -> Values:
    """The inverse square root of the covariance with `strength` times the mean variance on its diagonal."""
    covariance = rows.T @ rows / len(rows)
    values, vectors = np.linalg.eigh(covariance + strength * covariance.diagonal().mean() * np.eye(len(covariance)))
    whitener: Values = (vectors / np.sqrt(values)) @ vectors.T
    return whitener


def hits(queries: Floats, targets: Floats, query_groups: Groups, target_groups: Groups) -> Values:
    """1.0 where a query finds a target of its group among the k nearest, else 0.0: [len(AT), queries]."""
    found = [
        retrieval(queries[row : row + 1], targets, query_groups[row : row + 1], target_groups, AT)
        for row in range(len(queries))
    ]
    return np.array([[one[f"recall_at_{k}"] for one in found] for k in AT])


def languages_of(texts: Sequence[str]) -> list[str]:
    """The language of each caption of the sample."""
    # More choices than there are templates: they go round.
    known = {caption(digit, choice)[0]: LANGUAGES[choice % 4] for digit in range(10) for choice in range(400)}
    return [known[text] for text in texts]


def main() -> int:
    """Measure and print Markdown tables."""
    options = _options()
    report = Report(options)
    torch.set_num_threads(1)
    recipe = recipes.load(options.recipe)
    if recipe.task != "joint":
        raise SystemExit(f"The recipe {recipe.name} learns no images; take joint.")
    if options.quick:
        recipe = recipe.changed("training", epochs=2)
    parts = prepare(DATA, recipe, UNLABELLED).parts
    with tempfile.TemporaryDirectory(prefix="lexport-joint-") as folder:
        runs = [
            train(DATA, Path(folder) / str(seed), recipe=recipe, seed=seed, say=say) for seed in range(options.seeds)
        ]
    test = parts.test
    groups = Joint().groups(test)
    found = [outputs(run.model, run.encoder, test) for run in runs]
    ours = [(both[: len(test)], both[len(test) :]) for both in found]
    baselines = _baselines(parts, runs[0].encoder.tokens, settings=2 if options.quick else None)
    _report_recalls(runs, parts, groups, ours, baselines, report)
    _report_languages(runs, test, groups, ours, baselines, report)
    return report.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--recipe", default="joint", help="a recipe with the head joint")
    add("--seeds", type=int, default=5, help="how many; at least 2")
    add("--quick", action="store_true", help="two epochs, two settings: does it run at all?")
    add_options(parser)
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error(f"--seeds {options.seeds} gives no interval; at least 2 are needed")
    return options


def _baselines(
    parts: Splits, tokens: Callable[[str], tuple[list[str], object]], *, settings: int | None
) -> dict[str, Pair]:
    """The test's vectors by each baseline, of the first `settings` at those best on validation; the better one first.

    Words are those that our model reads.
    """
    tf_idf = TfidfVectorizer(tokenizer=lambda text: tokens(text)[0], token_pattern=None, lowercase=False)
    tf_idf.fit(parts.train.texts)

    def both(part: Dataset) -> tuple[Values, Values]:
        assert part.images is not None
        return tf_idf.transform(part.texts).toarray(), part.images.astype(np.float64)

    held = both(parts.validation)
    groups = Joint().groups(parts.validation)

    def goodness(model: Linear) -> float:
        texts, images = model.vectors(*held)
        ways = ((texts, images), (images, texts))
        return float(np.mean([retrieval(*way, groups, groups)["mean_reciprocal_rank"] for way in ways]))

    found = []
    for name, models in (("ridge", ridges), ("canonical correlation", correlations)):
        best = max(itertools.islice(models(*both(parts.train)), settings), key=goodness)
        say(f"{name}: {best.settings}; mean reciprocal rank on validation {goodness(best):.4f}")
        found.append((goodness(best), f"{name} ({best.settings})", best.vectors(*both(parts.test))))
    return {name: vectors for _, name, vectors in sorted(found, key=lambda one: -one[0])}


def _both_ways(texts: Floats, images: Floats, groups: Groups) -> Values:
    """Hits of texts among images, then of images among texts: [2 * len(AT), rows]."""
    return np.concatenate([hits(texts, images, groups, groups), hits(images, texts, groups, groups)])


def _report_recalls(
    runs: Sequence[Run],
    parts: Splits,
    groups: Groups,
    ours: Sequence[Pair],
    baselines: Mapping[str, Pair],
    report: Report,
) -> None:
    found = np.stack([_both_ways(texts, images, groups) for texts, images in ours])  # [seeds, 6, rows]
    theirs = {name: _both_ways(*vectors, groups) for name, vectors in baselines.items()}
    chance = retrieval(*ours[0], groups, groups, AT)
    rows = [[f"seed {run.info.seed}", *_shares(one)] for run, one in zip(runs, found, strict=True)]
    rows.append([f"**mean of {len(runs)} seeds**", *(f"**{share}**" for share in _shares(found.mean(axis=0)))])
    rows += [[name, *_shares(one)] for name, one in theirs.items()]
    rows.append(["chance", *[f"{chance[f'chance_at_{k}']:.1%}" for k in AT] * 2])
    report.part(f"Recipe `{runs[0].recipe.name}` on {DATA}")
    counts = ", ".join(f"{len(part):,}" for part in (parts.train, parts.validation, parts.test))
    different = len(set(parts.test.texts))
    report.text(f"{counts} images to train on, choose by and report on; {different} different captions in the test")
    measures = [f"{way}, recall@{k}" for way in WAYS for k in AT]
    report.table(["", *measures], rows)
    rows = []
    for place, measure in enumerate(measures):
        cells = [_difference(found[:, place] - one[place]) for one in theirs.values()]
        rows.append([measure, *itertools.chain.from_iterable(cells)])
    heads = [[f"points above {name.split(' (')[0]}", "95 %, seeds", "95 %, seeds and queries"] for name in theirs]
    report.table(["difference on the test", *itertools.chain.from_iterable(heads)], rows)


def _report_languages(
    runs: Sequence[Run],
    test: Dataset,
    groups: Groups,
    ours: Sequence[Pair],
    baselines: Mapping[str, Pair],
    report: Report,
) -> None:
    languages = np.array(languages_of(test.texts))
    rows = []
    for language in LANGUAGES:
        own = np.flatnonzero(languages == language)
        judged = partial(_in_language, own=own, groups=groups)
        found = np.stack([judged(*vectors) for vectors in ours])  # [seeds, 2]
        theirs = [judged(*vectors) for vectors in baselines.values()]
        texts = test.take(list(own), language).texts
        row = [language, str(len(own)), f"{unknown_share(runs[0].encoder.look_up(texts)):.0%}"]
        for way in range(len(WAYS)):
            difference = 100 * (found[:, way] - theirs[0][way])
            row += [f"**{found[:, way].mean():.1%}**", *(f"{one[way]:.1%}" for one in theirs)]
            row.append(f"{_signed(difference.mean())} [{_between(paired_interval(difference))}]")
        rows.append(row)
    names = [name.split(" (")[0] for name in baselines]
    columns = [
        column for way in WAYS for column in (f"{way}: joint", *names, f"points above {names[0]}, 95 % over seeds")
    ]
    report.part("By language of the caption, recall@1")
    report.table(["", "captions", "unknown tokens", *columns], rows)


def _in_language(texts: Floats, images: Floats, own: Groups, groups: Groups) -> Values:
    """Recall@1 of one language's captions among all images, and of all images among its captions: [2].

    Images of digits that the language has no caption for in this part are not asked for.
    """
    asked = np.flatnonzero(np.isin(groups, groups[own]))
    by_text = hits(texts[own], images, groups[own], groups)
    by_image = hits(images[asked], texts[own], groups[asked], groups[own])
    return np.array([by_text[0].mean(), by_image[0].mean()])


def _shares(found: Values) -> list[str]:
    return [f"{share:.1%}" for share in found.mean(axis=1)]


def _difference(values: Values) -> tuple[str, str, str]:
    """The mean in points, and its intervals over seeds and over seeds and queries; values: [seeds, queries]."""
    points = 100 * values
    return (
        f"**{_signed(points.mean())}**",
        _between(paired_interval(points.mean(axis=1))),
        _between(crossed_interval(points)),
    )


def _signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−")


def _between(ends: tuple[float, float]) -> str:
    return " … ".join(map(_signed, ends))


if __name__ == "__main__":
    raise SystemExit(main())
