"""Pretrained vectors: frozen, frozen at first, or never."""

from __future__ import annotations

from collections.abc import Sequence

from lexport.reports.charts.axes import categories

from .claim import Claim, Figures, Shown, listed
from .fits import Comparison, Setting, compared, recipe_of
from .pictures import accuracies, estimates

_SET = "rotten-tomatoes"
_TAKEN = ((500, 5), (None, 3))  # training texts (None: all), seeds
_NEVER, _FIRST, _GENTLY, _ALWAYS = "never", "5 epochs", "5 epochs, then a tenth of the rate", "always"
_SHORT = ("never", "5", "5, then ÷10", "always")


def measure(quick: bool) -> Figures:
    """The recipe bag-glove on few and on many texts."""
    recipe = recipe_of("bag-glove", quick)
    settings = {
        _NEVER: recipe,
        _FIRST: recipe.changed("training", frozen_epochs=5),
        _GENTLY: recipe.changed("training", frozen_epochs=5, released_rate=0.1),
        _ALWAYS: recipe.changed("training", frozen_epochs=recipe.training.epochs),
    }
    found = []
    for take, seeds in _TAKEN[:1] if quick else _TAKEN:
        comparison = compared(_SET, settings, 2 if quick else seeds, _NEVER, take=take)
        found.append(comparison.to_json())
    return {"comparisons": found, "epochs": recipe.training.epochs}


def show(figures: Figures) -> Shown:
    """The verdict by the intervals of each way against never freezing."""
    found = [Comparison.restored(one) for one in figures["comparisons"]]
    sentences = [
        f"On {own.texts[0]:,} texts, against never freezing: "
        + ", ".join(f"{one.name} {one.points.points} points ({_word(one)})" for one in own.settings[1:])
        + "."
        for own in found
    ]
    first = [own.named(name) for own in found for name in (_FIRST, _GENTLY)]
    gain, harm = (any(one.points.side(0) == side for one in first) for side in (1, -1))
    said, word = {
        (True, False): ("helps in some case and harms in none", "Yes, in some case"),
        (False, True): ("harms in some case and helps in none", "No, it harms"),
        (True, True): ("helps in one case and harms in another", "It depends"),
        (False, False): ("makes no measurable difference", "Not found"),
    }[gain, harm]
    slow = [
        f"{one.name} on {own.texts[0]:,} texts"
        for own in found
        for one in own.settings
        if one.epochs > 0.95 * figures["epochs"]
    ]
    verdict = (
        f"{' '.join(sentences)} Freezing first and releasing later {said}"
        + (f"; not done learning after {figures['epochs']} epochs: {listed(slow)}" if slow else "")
        + ". lexport's recipe `bag-glove` does not freeze."
    )
    short = f"**{word}.** {'; '.join(_over(found, name) for name in (_FIRST, _GENTLY, _ALWAYS))}"
    how = (
        "Recipe `bag-glove` (GloVe 6B, 50 wide, words and pairs of words), its embedding held for no epochs, five, "
        "five with a tenth of the rate from then on, or all. With few texts every seed draws its own from the "
        "training part. Intervals: 95 %, seeds and texts drawn again."
    )
    tables = "\n".join(own.shown("embedding frozen") for own in found)
    names = [f"{own.texts[0]:,} texts" for own in found]
    x = categories("embedding frozen for so many epochs", _SHORT)
    levels, points = [], []
    for series, own in enumerate(found):
        for place, one in enumerate(own.settings):
            at = place + 0.14 * series - 0.07
            levels.append(estimates(series, [(at, one.percent)], one.name))
            if place:
                points.append(estimates(series, [(at, one.points)], one.name))
    drawn = accuracies("Pretrained vectors, frozen or not", names, x, levels, points, "never freezing")
    return Shown(short, verdict, how, tables, drawn, "Test accuracy by how long the pretrained vectors are frozen")


def _over(found: Sequence[Comparison], name: str) -> str:
    """A way of freezing over all sets: where it is better and where worse, if anywhere."""
    told = []
    for side, word in ((1, "better"), (-1, "worse")):
        on = [f"{own.texts[0]:,}" for own in found if own.named(name).points.side(0) == side]
        told += [f"{word} on {listed(on)} texts"] if on else []
    return f"{name}: {' and '.join(told) or 'level'}"


def _word(one: Setting) -> str:
    return {1: "better", -1: "worse", 0: "no measurable difference"}[one.points.side(0)]


CLAIM = Claim(
    "freezing",
    "Freezing pretrained vectors",
    "Freeze pretrained vectors at first, then release them with a smaller rate.",
    measure,
    show,
)
