"""How wide vectors should be: rules of thumb beside what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lexport.benchmarks.figures import table
from lexport.reports.charts.axes import steps
from lexport.reports.charts.lines import Line

from .claim import Claim, Figures, Shown, listed, signed
from .fits import Comparison, Setting, compared, words_alone
from .pictures import accuracies, estimates

_SETS = {"rotten-tomatoes": 3, "bbc-news": 3, "chinese-reviews": 2}  # seeds
_DIMS = (2, 4, 8, 16, 50, 300)
_REFERENCE = 16
_ROOT, _FIFTY, _USUAL = "fourth root of the vocabulary", "the smaller of 50 and half the vocabulary", "50 to 300"


def measure(quick: bool) -> Figures:
    """A bag of words at several widths, on every set."""
    recipe = words_alone(quick)
    dims = (4, _REFERENCE) if quick else _DIMS
    settings = {str(dim): recipe.changed("embedding", dim=dim) for dim in dims}
    sets = dict(list(_SETS.items())[:1]) if quick else _SETS
    found = [
        compared(name, settings, 2 if quick else seeds, str(_REFERENCE)).to_json() for name, seeds in sets.items()
    ]
    return {"comparisons": found}


def _smallest(own: Comparison) -> int:
    """The narrowest width that is not measurably below the one that lexport takes."""
    return min(int(one.name) for one in own.settings if one.points.side(0) >= 0)


def _near(own: Comparison, dim: float) -> Setting:
    return min(own.settings, key=lambda one: abs(math.log(int(one.name) / dim)))


def _by_rule(own: Comparison) -> dict[str, list[tuple[float, Setting]]]:
    """What each rule says, and the measured width that is nearest."""
    words = own.settings[0].rows
    said = {_ROOT: [words**0.25], _FIFTY: [min(50.0, words / 2)], _USUAL: [50.0, 300.0]}
    return {rule: [(dim, _near(own, dim)) for dim in dims] for rule, dims in said.items()}


def show(figures: Figures) -> Shown:
    """The verdict by what each rule's width has against the reference, and how narrow is enough."""
    found = [Comparison.restored(one) for one in figures["comparisons"]]
    enough = [f"{_smallest(own)} on {own.data}" for own in found]
    wider = sorted({own.data for own in found for one in own.settings if _clearly_better(one)})
    verdict = (
        f"For a bag of words that classifies, the narrowest width that is not measurably worse than {_REFERENCE} is "
        f"{listed(enough)}. {' '.join(_judged(found, rule) for rule in (_ROOT, _FIFTY, _USUAL))} A table 300 wide "
        f"takes {300 / _REFERENCE:.0f} times the memory of one {_REFERENCE} wide"
        + (
            f" and is worth it on {listed(wider)} alone. "
            if wider
            else " and buys nothing measurable on these sets. "
        )
        + "All this is about classifiers; vectors to search with gain from width "
        "([benchmarks](benchmarks.md#how-wide-vectors-should-be))."
    )
    short = f"**{'In part' if wider else 'No'}.** Wide enough: {listed(enough)}"
    how = (
        "A bag of words (recipe `bag` without n-grams), trained until the validation loss no longer falls; points "
        f"are from {_REFERENCE}, the width that lexport takes by itself. Intervals: 95 %, seeds and texts drawn "
        "again. Rules are judged at the nearest width that was measured."
    )
    rules = [
        [own.data, rule, _rounded([dim for dim, _ in pairs]), _cells([one for _, one in pairs])]
        for own in found
        for rule, pairs in _by_rule(own).items()
    ]
    tables = [table(["data", "rule", "says", "width measured: points from 16"], rules)]
    tables += [own.shown("width", rows=True) for own in found]
    return Shown(short, verdict, how, "\n".join(tables), _picture(found), "Test accuracy by the width of the vectors")


def _clearly_better(one: Setting) -> bool:
    return int(one.name) > _REFERENCE and one.points.side(0) > 0


def _judged(found: Sequence[Comparison], rule: str) -> str:
    """A sentence on a rule of thumb."""
    every = [pair for own in found for pair in _by_rule(own)[rule]]
    widths = sorted({round(dim) for dim, _ in every})
    said = str(widths[0]) if len(widths) == 1 else f"{widths[0]} to {widths[-1]}"
    better, worse = (sum(one.points.side(0) == side for _, one in every) for side in (1, -1))
    gaps = [one.points.value for _, one in every]
    here = "" if said == rule else f" ({said} here)"
    return (
        f"*{rule.capitalize()}*{here} is {signed(min(gaps))} to {signed(max(gaps))} points from it, "
        f"measurably better in {better} of {len(every)} cases and worse in {worse}."
    )


def _rounded(dims: Sequence[float]) -> str:
    return ", ".join(f"{dim:.1f}".removesuffix(".0") for dim in dims)


def _cells(settings: Sequence[Setting]) -> str:
    return "; ".join(f"{one.name}: {one.points.points}" for one in settings)


def _picture(found: Sequence[Comparison]) -> str:
    x = steps("width of a vector", [int(one.name) for one in found[0].settings])
    levels: list[Line] = []
    points: list[Line] = []
    for series, own in enumerate(found):
        at = [int(one.name) * 1.04 ** (series - 1) for one in own.settings]  # apart, so that intervals can be told
        for lines, drawn in (
            (levels, [one.percent for one in own.settings]),
            (points, [one.points for one in own.settings]),
        ):
            lines.append(estimates(series, list(zip(at, drawn, strict=True)), own.data))
    names = [own.data for own in found]
    return accuracies("How wide vectors should be", names, x, levels, points, f"{_REFERENCE} wide")


CLAIM = Claim(
    "dimension",
    "How wide",
    "Take the fourth root of the vocabulary; or the smaller of 50 and half the vocabulary; or always 50 to 300.",
    measure,
    show,
)
