"""Fit a linear recipe: choose how strongly on held-out texts, minimise the loss, write the table."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch

from ...data.splits import Splits
from ...evaluation.diagnostics.tokenized import TokenizedSplits
from ...handlers.text.encoder import TextEncoder
from ...models.compose import TextModel, build
from ...models.embeddings import Table
from ...models.heads import Linear, LinearOptions
from ...models.recipes import Recipe
from ...models.run import Run
from ...storage.progress import Progress, Say, silent
from ..checkpoint import Checkpoints
from ..device import Device
from ..distributed import ProcessGroup
from ..fit import Fit
from .features import Weighing
from .newton import Weights, minimise
from .problem import Problem

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""What "auto" tries, from the strongest penalty to the weakest, each fit beginning at the one before."""
WEIGHINGS = (Weighing(0.5), Weighing(2.0), Weighing(8.0, idf=False))
"""What "auto" tries: 2 for texts whose words are seldom met again, such as misspelt ones and numbers; without IDF
where letters tell more than words, such as languages of which few texts are known."""
_CLEAR = 0.95
"""Share of the best weighing's held-out loss that another one must be below: of few texts the loss is noisy."""
_PATIENCE = 2
"""Strengths without a lower held-out loss before the search ends."""
_SEARCH, _FINAL = 1e-3, 1e-7
"""Tolerances of the gradient's norm, as a share of that of a model without weights."""


def fit_linear(
    recipe: Recipe,
    parts: Splits,
    labels: Sequence[str],
    encoder: TextEncoder,
    *,
    seed: int = 0,
    start: Run | None = None,
    device: Device = Device(),  # noqa: B008  (it is immutable)
    group: ProcessGroup = ProcessGroup(),  # noqa: B008  (likewise)
    checkpoints: Checkpoints | None = None,
    tokens: TokenizedSplits | None = None,
    chosen: Fit | None = None,
    say: Say = silent,
    progress: Progress = silent,
) -> Fit:
    """Return the model of least ½ ‖weights‖² + strength · (sum of the training texts' losses).

    The arguments are those of `trainer.fit`; of `chosen` the strength is taken. The same texts give the same model,
    whatever the seed. It is computed on the CPU in float64, by each process of a group alike, and leaves no
    checkpoints: a training that was interrupted starts again. With `start` the weights are added to those of
    that run, and the penalty is for what is added.
    `losses` are those of the held-out texts for each strength tried.
    """
    assert isinstance(recipe.head, LinearOptions)
    began = time.monotonic()
    with device.activated():
        model = copy.deepcopy(start.model) if start is not None else build(recipe, encoder.spec, labels=len(labels))
        if start is None:
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.zero_()
        known = tokens or TokenizedSplits.of(encoder, parts)
        problem, weighing, strength, losses, weights, _ = _best(
            recipe, chosen, lambda one: Problem.of(recipe, parts, labels, encoder, known, model, one), progress
        )
        best = losses.index(min(losses)) + 1
        worse = start is not None and losses[best - 1] >= problem.held_loss(problem.zeros())
        if worse if chosen is None else not chosen.best_epoch:
            say("no strength lowered the validation loss; the weights are those from before training")
            best = 0
        else:
            tell = partial(_tell, lambda done, what: progress(done, done + 1, what), len(losses), strength)
            steps = recipe.training.epochs
            found = minimise(problem.design, problem.loss(), strength, weights, _FINAL, steps, tell)
            _add(model, problem, found.model)
            say(
                f"{len(problem.scales.rows):,} features, strength {strength:g}"
                + ("" if len(losses) == 1 else f", chosen by the loss on {problem.judges} from {len(losses)}")
                + (f"; a subword counts {weighing}" if encoder.spec.subwords is not None else "")
                + ("" if found.converged else f"; not yet at the minimum after {found.steps} steps")
            )
    progress(1, 1, f"strength {strength:g}")
    model.eval()
    details = {"strength": strength, "subword_weight": weighing.weight, "subword_idf": weighing.idf}
    return Fit(model, losses, best, time.monotonic() - began, details=details)


def weighings(head: LinearOptions) -> tuple[Weighing, ...]:
    """Return the weighings of subwords that are tried with these options, the usual one first."""
    if not isinstance(head.subword_weight, str):
        return (Weighing(head.subword_weight, bool(head.subword_idf)),)
    return tuple(one for one in WEIGHINGS if head.subword_idf in ("auto", one.idf))


class _Found(NamedTuple):
    """The best strength by held-out texts, the loss of each one tried, its weights and those of the folds."""

    problem: Problem
    weighing: Weighing
    strength: float
    losses: list[float]
    weights: Weights
    folded: list[Weights]


_Report = Callable[[int, str], None]
"""Is told how many fits are done, and of which strength and step the next one is."""


def _best(recipe: Recipe, chosen: Fit | None, make: Callable[[Weighing], Problem], progress: Progress) -> _Found:
    """Return the best of the strengths and weighings of subwords that the recipe leaves open; of `chosen` its own."""
    assert isinstance(recipe.head, LinearOptions)
    strength = recipe.head.strength
    strengths = STRENGTHS if isinstance(strength, str) else (strength,)
    tried = weighings(recipe.head)
    if recipe.text.subwords is None:
        tried = tried[:1]
    if chosen is not None:
        details = chosen.details
        strengths = (float(details["strength"]),)
        tried = (Weighing(float(details["subword_weight"]), bool(details["subword_idf"])),)
    fits = len(strengths) * len(tried)
    best, least = None, 0.0
    for number, one in enumerate(tried):

        def report(done: int, what: str, before: int = number * len(strengths)) -> None:
            progress(before + done, fits + 1, what)

        found = _search(make(one), one, recipe, strengths, report, judged=fits > 1)
        if len(tried) == 1 or not found.problem.folds:  # without folds there is too little to judge by
            return found
        loss = found.problem.held_loss(found.weights, found.folded, calibrated=True)
        if best is None or loss < _CLEAR * least:
            best, least = found, loss
        elif loss >= least:  # the next one goes further the same way
            break
    assert best is not None
    return best


def _search(
    problem: Problem,
    weighing: Weighing,
    recipe: Recipe,
    strengths: Sequence[float],
    report: _Report,
    *,
    judged: bool,
) -> _Found:
    """Try the strengths one after the other; `judged`: whether there is a choice, so that folds judge too."""
    weights, folded = problem.zeros(), [problem.zeros() for _ in range(problem.folds)]
    losses: list[float] = []
    best, kept = 0, (weights, folded)
    for done, strength in enumerate(strengths):

        def solve(begin: Weights, fold: int | None, done: int = done, strength: float = strength) -> Weights:
            tell = partial(_tell, report, done, strength)
            steps = recipe.training.epochs
            return minimise(problem.design, problem.loss(fold), strength, begin, _SEARCH, steps, tell).model

        weights = solve(weights, None)
        if judged:
            folded = [solve(begin, fold) for fold, begin in enumerate(folded)]
        losses.append(problem.held_loss(weights, folded if judged else ()))
        if losses[done] < losses[best] or not done:
            best, kept = done, (weights, folded)
        if done - best >= _PATIENCE:
            break
    return _Found(problem, weighing, strengths[best], losses, *kept)


def _tell(report: _Report, done: int, strength: float, step: int) -> None:
    report(done, f"strength {strength:g}, step {step}")


def _add(model: TextModel, problem: Problem, weights: Weights) -> None:
    """Add weights to the rows of the model's table and to its biases."""
    assert isinstance(model.embedding, Table)
    assert isinstance(model.head, Linear)
    with torch.no_grad():
        rows = torch.from_numpy(problem.scales.rows)
        added = problem.by_label(problem.merged.rows_of(weights.weight))
        model.embedding.weight[rows] += added.to(torch.float32)
        model.head.bias.add_(problem.by_label(weights.bias[None])[0].to(torch.float32))
