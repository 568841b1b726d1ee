"""Whether an embedding wants a learning rate of its own."""

from __future__ import annotations

from lexport.reports.charts.axes import steps
from lexport.reports.numbers import number

from .claim import Claim, Figures, Shown, listed
from .fits import Comparison, Setting, compared, recipe_of, words_alone
from .pictures import accuracies, estimates

_SET = "rotten-tomatoes"
_RATES = {"bag of words": (0.1, 0.3, 1.0, 3.0, 10.0), "cnn": (0.1, 1.0, 10.0)}
_SEEDS = 3


def measure(quick: bool) -> Figures:
    """Two recipes at several rates of the embedding."""
    found = []
    recipes = {"bag of words": words_alone(quick), "cnn": recipe_of("cnn", quick)}
    for name, recipe in list(recipes.items())[:1] if quick else recipes.items():
        rates = (1.0, 10.0) if quick else _RATES[name]
        settings = {number(rate): recipe.changed("training", embedding_rate=rate) for rate in rates}
        comparison = compared(_SET, settings, 2 if quick else _SEEDS, "1")
        training = recipe.training
        means = {"optimizer": training.optimizer, "rate": training.learning_rate}
        found.append({"recipe": name, **means, "comparison": comparison.to_json()})
    return {"recipes": found}


def show(figures: Figures) -> Shown:
    """The verdict by which rates are measurably better or worse than the common one."""
    recipes = {one["recipe"]: Comparison.restored(one["comparison"]) for one in figures["recipes"]}
    better = [f"{one.name} for the {name}" for name, own in recipes.items() for one in _clearly(own, 1)]
    epochs = [
        f"{name} {listed([f'{one.epochs:.0f} at {one.name}' for one in own.settings])}"
        for name, own in recipes.items()
    ]
    verdict = (
        f"{' '.join(_judged(name, own) for name, own in recipes.items())} What the multiple surely changes is how "
        f"long training goes (epoch kept: {'; '.join(epochs)}). Both optimizers divide a step by the size of past "
        "gradients, so that rare rows have their larger steps already; plain SGD does not, and was not measured."
    )
    short = (
        f"**In part.** Better at {listed(better)}" if better else "**Not found.** No multiple is measurably better"
    )
    optimizers = [f"{one['recipe']}: {one['optimizer']}, {one['rate']}" for one in figures["recipes"]]
    how = (
        f"The embedding's rate as a multiple of the others' (`embedding_rate`; {'; '.join(optimizers)}), all "
        "else as the recipe has it, trained until the validation loss no longer falls. Intervals: 95 %, seeds and "
        "texts drawn again."
    )
    tables = "\n".join(f"Recipe {name}. {own.shown('× the rate')}" for name, own in recipes.items())
    names = list(recipes)
    x = [float(one.name) for one in recipes[names[0]].settings]
    levels = [
        estimates(series, [(_at(one, series), one.percent) for one in own.settings], name)
        for series, (name, own) in enumerate(recipes.items())
    ]
    points = [
        estimates(series, [(_at(one, series), one.points) for one in own.settings], name)
        for series, (name, own) in enumerate(recipes.items())
    ]
    axis = steps("embedding's rate, as a multiple", x)
    drawn = accuracies("A learning rate of the embedding's own", names, axis, levels, points, "the common rate")
    return Shown(short, verdict, how, tables, drawn, "Test accuracy by the embedding's rate")


def _at(one: Setting, series: int) -> float:
    """The place of a rate, those of another series beside it, so that intervals can be told."""
    return float(one.name) * 1.06**series


def _clearly(own: Comparison, side: int) -> list[Setting]:
    """The settings measurably above (1) or below (-1) the common rate."""
    return [one for one in own.settings if one.points.side(0) == side]


def _judged(name: str, own: Comparison) -> str:
    """A sentence on a recipe."""
    up, down = ([f"{one.name} times ({one.points.points})" for one in _clearly(own, side)] for side in (1, -1))
    best = own.best
    return (
        f"For the {name} "
        + (f"{listed(up)} is measurably better than the common rate" if up else "no multiple is measurably better")
        + (f" and {listed(down)} measurably worse" if down else " and none worse")
        + f"; the best mean is at {best.name}, {best.points.value:+.1f} points."
    )


CLAIM = Claim(
    "embedding-rate",
    "A learning rate of its own",
    "Embeddings need a larger learning rate than the rest of the model (others say: a smaller one).",
    measure,
    show,
)
