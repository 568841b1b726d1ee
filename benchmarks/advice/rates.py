"""Whether an embedding wants a learning rate of its own."""

from __future__ import annotations

from lexport.loadtest.plots import number

from .claim import Claim, Figures, Shown, listed
from .fits import Comparison, compared, recipe_of, words_alone
from .pictures import Panel, around, estimates, picture, steps

_SET = "rotten-tomatoes"
_RATES = (0.1, 0.3, 1.0, 3.0, 10.0)
_SEEDS = 3


def measure(quick: bool) -> Figures:
    """Two recipes at several rates of the embedding."""
    found = []
    for name, recipe in (("bag of words", words_alone(quick)), ("cnn", recipe_of("cnn", quick))):
        rates = (1.0, 10.0) if quick else _RATES
        settings = {number(rate): recipe.changed("training", embedding_rate=rate) for rate in rates}
        comparison = compared(_SET, settings, 2 if quick else _SEEDS, "1")
        training = recipe.training
        means = {"optimizer": training.optimizer, "rate": training.learning_rate}
        found.append({"recipe": name, **means, "comparison": comparison.to_json()})
    return {"recipes": found}


def show(figures: Figures) -> Shown:
    """The verdict by which rates are measurably better or worse than the common one."""
    recipes = {one["recipe"]: Comparison.restored(one["comparison"]) for one in figures["recipes"]}
    sentences, better = [], []
    for name, own in recipes.items():
        up = [one for one in own.settings if one.points.side(0) > 0]
        down = [one for one in own.settings if one.points.side(0) < 0]
        better += [(name, one) for one in up]
        sentence = f"For the {name} "
        sentence += (
            f"{listed([f'{one.name} times the rate ({one.points.points} points)' for one in up])} is measurably better"
            if up
            else f"no multiple of the rate is measurably better than the common one (the best mean is at {own.best.name}, "
            f"{own.best.points.points} points)"
            if own.best.name != own.reference
            else "the common rate has the best mean"
        )
        sentence += (
            f", and {listed([f'{one.name} times ({one.points.points})' for one in down])} measurably worse."
            if down
            else ", and none is measurably worse."
        )
        sentences.append(sentence)
    slow = [
        f"{name}: epoch {own.settings[0].epochs:.0f} at {own.settings[0].name}, {own.settings[-1].epochs:.0f} at "
        f"{own.settings[-1].name}"
        for name, own in recipes.items()
    ]
    verdict = (
        f"{' '.join(sentences)} What the multiple changes surely is when training is done ({'; '.join(slow)}). Optimizers "
        "that divide each step by the size of past gradients, as these do, have given rare rows their larger steps "
        "already; plain SGD, which has not, was not measured here."
    )
    gains = [f"{one.name} for the {name}" for name, one in better]
    short = f"**In part.** Better at {listed(gains)}" if better else "**Not found.** No multiple is measurably better"
    optimizers = [f"{one['recipe']}: {one['optimizer']}, {one['rate']:g}" for one in figures["recipes"]]
    how = (
        f"The embedding's rate as a multiple of everybody else's (`embedding_rate`; {'; '.join(optimizers)}), all else as "
        "the recipe has it, trained until the validation loss no longer falls. Intervals: 95 %, seeds and texts drawn "
        "anew."
    )
    tables = "\n".join(f"Recipe {name}. {own.shown('× the rate')}" for name, own in recipes.items())
    names = list(recipes)
    x = [float(one.name) for one in recipes[names[0]].settings]
    points = [
        estimates(place, [(float(one.name), one.points) for one in own.settings if one.name != own.reference], name)
        for place, (name, own) in enumerate(recipes.items())
    ]
    levels = [
        estimates(place, [(float(one.name), one.percent) for one in own.settings], name)
        for place, (name, own) in enumerate(recipes.items())
    ]
    every = [y for line in levels for span in line.spans for y in span]
    reach = [y for line in points for span in line.spans for y in span]
    axis = steps("embedding's rate, as a multiple", x, [number(one) for one in x])
    drawn = picture(
        "A learning rate of the embedding's own",
        names,
        [
            Panel("Test accuracy, lowest to highest seed", axis, around("%", every), levels),
            Panel(
                "Points from the common rate, 95 %", axis, around("points", [0, *reach]), points, (0.0, "common rate")
            ),
        ],
    )
    return Shown(short, verdict, how, tables, drawn, "Test accuracy by the embedding's rate")


CLAIM = Claim(
    "embedding-rate",
    "A learning rate of its own",
    "Embeddings need a larger learning rate than the rest of the model (others say: a smaller one).",
    measure,
    show,
)
