"""Recipes trained on real texts and compared on the same test texts, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np

from lexport.benchmarks.figures import Values, crossed_interval, say, table
from lexport.data import load as data
from lexport.data.splits import Splits, split
from lexport.handlers.text.encoder import TextEncoder
from lexport.models import recipes
from lexport.models.compose import TextModel
from lexport.models.predict import text_outputs
from lexport.models.recipes import Recipe, TextOptions
from lexport.models.vocabulary import build_encoder
from lexport.training.device import Device
from lexport.training.fit import fit

from .claim import Estimate, Figures

_DIM = {"bag": 16, "bag-glove": 50, "cnn": 64}


@dataclass(frozen=True)
class Fitted:
    """A trained model. right: 1.0 where a test text is judged right, else 0.0. epochs: which one was kept."""

    model: TextModel
    encoder: TextEncoder
    right: Values
    seconds: float
    epochs: int


@dataclass(frozen=True)
class Setting:
    """What came of a recipe. accuracy: on the test, a seed each. rows: of its table, n-grams too.

    seconds, epochs: of a fit, on average. points: accuracy less the reference's, with seeds and texts drawn again.
    """

    name: str
    accuracy: list[float]
    rows: int
    seconds: float
    epochs: float
    points: Estimate

    @property
    def mean(self) -> float:
        """The mean accuracy."""
        return float(np.mean(self.accuracy))

    @property
    def percent(self) -> Estimate:
        """The mean accuracy in percent, from the lowest to the highest of the seeds."""
        return Estimate(100 * self.mean, 100 * min(self.accuracy), 100 * max(self.accuracy))


@dataclass(frozen=True)
class Comparison:
    """Settings of one recipe on one set of data. texts: to train on, choose by and report on."""

    data: str
    texts: list[int]
    seeds: int
    reference: str
    settings: list[Setting]

    @classmethod
    def restored(cls, figures: Figures) -> Comparison:
        """From JSON."""
        settings = [Setting(**{**one, "points": Estimate(**one["points"])}) for one in figures["settings"]]
        return cls(**{**figures, "settings": settings})

    def to_json(self) -> Figures:
        """What `restored` takes."""
        return asdict(self)

    def named(self, name: str) -> Setting:
        """The setting of that name."""
        return next(setting for setting in self.settings if setting.name == name)

    @property
    def best(self) -> Setting:
        """The setting with the highest accuracy."""
        return max(self.settings, key=lambda one: one.mean)

    def shown(self, what: str, *, rows: bool = False) -> str:
        """A Markdown table, its first column called `what`."""
        columns = [what, *(["rows of the table"] if rows else []), "test accuracy", "over seeds"]
        columns += [f"points from {self.reference}", "epoch kept", "seconds a fit"]
        lines = []
        for one in self.settings:
            spread = f"{min(one.accuracy):.2%} … {max(one.accuracy):.2%}"
            lines.append([one.name, *([f"{one.rows:,}"] if rows else []), f"**{one.mean:.2%}**", spread])
            lines[-1] += ["" if one.name == self.reference else one.points.points]
            lines[-1] += [f"{one.epochs:.1f}", f"{one.seconds:.1f}"]
        train, _, test = self.texts
        seeds = f"{self.seeds} seeds" if self.seeds > 1 else "one seed"
        return f"{self.data}: {train:,} texts to train on, {test:,} to test; {seeds}.\n\n" + table(columns, lines)


@cache
def parts_of(name: str) -> Splits:
    """A sample set, divided."""
    return split(data.load(name))


def words_alone(quick: bool = False) -> Recipe:
    """The recipe `bag` without n-grams, so that the table's rows are words and nothing else."""
    recipe = recipe_of("bag", quick).changed("text", ngrams=1, buckets=0)
    return recipe.changed("training", ngram_dropout=0.0)


def recipe_of(name: str, quick: bool = False) -> Recipe:
    """A shipped recipe with the width that it has by default on these data; with one epoch where it must be quick."""
    recipe = recipes.load(name).changed("embedding", dim=_DIM.get(name))
    return recipe.changed("training", epochs=1) if quick else recipe


@cache
def encoder_of(name: str, options: TextOptions) -> TextEncoder:
    """The encoder of a sample set's training texts."""
    return build_encoder(parts_of(name).train.texts, options)


def fitted(name: str, recipe: Recipe, seed: int, *, take: int | None = None) -> Fitted:
    """Train on a sample set, or on `take` of its training texts, which the seed draws."""
    parts = parts_of(name)
    labels = parts.train.classes
    encoder = encoder_of(name, recipe.text)
    if take is not None:
        drawn = np.random.default_rng(seed).permutation(len(parts.train))[:take]
        train = parts.train.take([int(row) for row in drawn], "train")
        parts = Splits(train, parts.validation, parts.test)
        encoder = build_encoder(train.texts, recipe.text)
    found = fit(recipe, parts, labels, encoder, seed=seed, device=Device(threads=1))
    right = judged(found.model, encoder, name)
    return Fitted(found.model, encoder, right, found.seconds, found.best_epoch)


def judged(model: TextModel, encoder: TextEncoder, name: str) -> Values:
    """1.0 where a test text of a sample set is judged right, else 0.0: [texts]."""
    parts = parts_of(name)
    labels = parts.train.classes
    found = text_outputs(model, encoder, parts.test.texts).argmax(axis=1)
    return np.array([labels[top] == own for top, own in zip(found, parts.test.labels, strict=True)], np.float64)


def compared(
    name: str, settings: Mapping[str, Recipe], seeds: int, reference: str, *, take: int | None = None
) -> Comparison:
    """Every setting fitted with every seed."""
    fits: dict[str, list[Fitted]] = {setting: [] for setting in settings}
    for seed in range(seeds):
        for setting, recipe in settings.items():
            fits[setting].append(fitted(name, recipe, seed, take=take))
            last = fits[setting][-1]
            say(f"{name}, {setting}, seed {seed}: test {last.right.mean():.2%}, {last.seconds:.0f} s")
    return summed_up(name, fits, reference, take=take)


def summed_up(
    name: str, fits: Mapping[str, Sequence[Fitted]], reference: str, *, take: int | None = None
) -> Comparison:
    """What a comparison keeps of fits that were made with the same seeds."""
    right = {setting: np.stack([one.right for one in every]) for setting, every in fits.items()}
    found = [
        Setting(
            setting,
            [float(one.right.mean()) for one in every],
            every[0].encoder.spec.rows,
            float(np.mean([one.seconds for one in every])),
            float(np.mean([one.epochs for one in every])),
            points_between(right[setting], right[reference]),
        )
        for setting, every in fits.items()
    ]
    parts = parts_of(name)
    texts = [take or len(parts.train), len(parts.validation), len(parts.test)]
    return Comparison(name, texts, len(right[reference]), reference, found)


def points_between(ours: Values, theirs: Values) -> Estimate:
    """The mean difference of two [seeds, texts] in points, seeds and texts drawn again."""
    difference = 100 * (ours - theirs)
    return Estimate(float(difference.mean()), *crossed_interval(difference))
