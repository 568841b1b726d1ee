"""max_norm: whether rows held short generalize better, and what holding them costs."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from lexport.benchmarks.figures import say, table
from lexport.reports.charts.axes import categories
from lexport.reports.numbers import number

from .claim import Claim, Estimate, Figures, Shown, listed, takes
from .fits import Comparison, compared, fitted, words_alone
from .pictures import accuracies, estimates
from .timing import alternated, block

_SET = "rotten-tomatoes"
_NONE = "none"
_SEEDS = 3
_SHARES = (0.5, 0.2, 0.1)  # of the longest row that training reaches without a limit
_WORDS, _DIM = 10_000, 100


def measure(quick: bool) -> Figures:
    """A bag of words without a limit, and with limits below the norms that it reaches; the time of a look-up."""
    recipe = words_alone(quick)
    weight = fitted(_SET, recipe, 0).model.embedding.get_parameter("weight").detach()
    norms = weight[2:].norm(dim=1).numpy()
    limits = [share * float(norms.max()) for share in (_SHARES[:1] if quick else _SHARES)]
    settings = {_NONE: recipe} | {f"{one:.2g}": recipe.changed("embedding", max_norm=one) for one in limits}
    comparison = compared(_SET, settings, 2 if quick else _SEEDS, _NONE)
    held = [float((norms > one).mean()) for one in limits]
    cost = _cost(2 if quick else 15)
    return {"comparison": comparison.to_json(), "longest": float(norms.max()), "held": held, "cost": cost.__dict__}


def _cost(rounds: int) -> Estimate:
    """The time of a look-up with a limit over one without."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ids = torch.from_numpy(np.floor(float(_WORDS) ** np.random.default_rng(0).random((64, 50))).astype(np.int64))
        free, limited = nn.Embedding(_WORDS, _DIM), nn.Embedding(_WORDS, _DIM, max_norm=1.0)
        seconds = alternated([block(lambda: limited(ids)), block(lambda: free(ids))], rounds)
    finally:
        torch.set_num_threads(before)
    ratio = Estimate.of_ratios(seconds[:, 0] / seconds[:, 1])
    say(f"max_norm, a look-up: {ratio.times}")
    return ratio


def show(figures: Figures) -> Shown:
    """The verdict by the interval of each limit against none."""
    own = Comparison.restored(figures["comparison"])
    cost = Estimate(**figures["cost"])
    limits = own.settings[1:]
    better = [one for one in limits if one.points.side(0) > 0]
    worse = [one for one in limits if one.points.side(0) < 0]
    effects = [f"{one.points.points} points at {one.name}" for one in limits]
    verdict = (
        f"Against no limit: {listed(effects)}; "
        + (f"measurably better at {listed([one.name for one in better])}, " if better else "none measurably better, ")
        + (f"measurably worse at {listed([one.name for one in worse])}. " if worse else "none measurably worse. ")
        + f"A look-up with a limit {takes(cost, 'one without')}, because it shortens the rows in place before it "
        "reads them. And a number from elsewhere means nothing: the longest row here reaches "
        f"{number(figures['longest'])}; what is long depends on width, start and optimizer."
    )
    found = "Yes, here" if better else "No, it harms here" if worse else "Not found"
    short = f"**{found}**; a look-up {takes(cost, 'one without')}"
    how = (
        "A bag of words 16 wide; limits are a half, a fifth and a tenth of the longest row that training reaches "
        f"without one ({listed([f'{share:.0%}' for share in figures['held']])} of those rows are longer). Intervals: "
        f"95 %, seeds and texts drawn again. Time: {_WORDS:,} words, {_DIM} wide, 64 texts of 50 words, in turns."
    )
    x = categories("max_norm", [one.name for one in own.settings])
    levels = [estimates(0, [(float(place), one.percent)], one.name) for place, one in enumerate(own.settings)]
    points = [estimates(0, [(float(place), one.points)], one.name) for place, one in enumerate(own.settings) if place]
    drawn = accuracies("max_norm on a bag of words", [], x, levels, points, "no limit")
    tables = own.shown("max_norm") + "\n" + table(["look-up", "ratio"], [["with max_norm ÷ without", cost.times]])
    return Shown(short, verdict, how, tables, drawn, "Test accuracy by max_norm")


CLAIM = Claim("max-norm", "max_norm", "`max_norm` regularizes: rows held short generalize better.", measure, show)
