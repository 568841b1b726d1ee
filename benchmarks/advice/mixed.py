"""Mixed precision: what bf16 autocast does to a table, to time, memory and accuracy; and rounding afterwards."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from lexport.benchmarks.figures import say, table
from lexport.reports.charts.axes import around, categories
from lexport.reports.charts.picture import Panel, picture

from .cases import Case, Model, batches, compared
from .claim import Claim, Estimate, Figures, Shown, listed, percent, takes
from .fits import Comparison, Fitted, fitted, judged, points_between, recipe_of, summed_up
from .pictures import estimates, thousands

_SET = "rotten-tomatoes"
_FP32 = "one in fp32"
_WAYS = ("bf16 autocast", "bf16 weights")
_SHAPES = (("bag", 100_000), ("bag", 300_000), ("convolution", 100_000))
_QUICK = (("convolution", 3_000),)
_RECIPES = {"bag": 5, "cnn": 3}  # seeds
_STORED = {"fp16": torch.float16, "bf16": torch.bfloat16}


def measure(quick: bool) -> Figures:
    """Kinds of numbers, time and memory, accuracy of training and of rounding."""
    rounds = 2 if quick else 7
    cases = []
    for encoder, words in _QUICK if quick else _SHAPES:
        for way in _WAYS:
            pair = [Case(words, "Adam, fused", encoder, precision) for precision in (way, "fp32")]
            peaks, seconds = compared(pair, rounds)
            ratio = Estimate.of_ratios(seconds[:, 0] / seconds[:, 1])
            ms = [1000 * float(one) for one in np.median(seconds, axis=0)]
            cases.append({"encoder": encoder, "words": words, "way": way, "peaks": peaks, "ms": ms, **ratio.__dict__})
            say(f"{encoder}, {words:,} words, {way} ÷ fp32: {ratio.times}")
    trained, stored = [], []
    for name, seeds in list(_RECIPES.items())[:1] if quick else _RECIPES.items():
        fits: dict[str, list[Fitted]] = {"fp32": [], "bf16": []}
        for seed in range(2 if quick else seeds):
            for precision, own in fits.items():
                own.append(fitted(_SET, recipe_of(name, quick).changed("training", precision=precision), seed))
                say(f"{name}, {precision}, seed {seed}: test {own[-1].right.mean():.2%}, {own[-1].seconds:.0f} s")
        trained.append({"recipe": name, "comparison": summed_up(_SET, fits, "fp32").to_json()})
        if name == "bag":
            stored = [{"kind": kind, **_rounded(fits["fp32"], dtype)} for kind, dtype in _STORED.items()]
    return {"kinds": _kinds(), "cases": cases, "trained": trained, "stored": stored, "rounds": rounds}


def _kinds() -> dict[str, str]:
    """The kinds of numbers in a training step under autocast, found in one."""
    case = Case(100, "Adam, fused", "convolution", "bf16 autocast")
    model = Model(case)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    ids, labels = batches(case.words)[0]
    with torch.autocast("cpu", torch.bfloat16):
        vectors = model.vectors(ids)
        assert model.convolution is not None
        features = model.convolution(vectors.transpose(1, 2))
        outputs = model.head(features.relu().amax(dim=2))
    F.cross_entropy(outputs.float(), labels).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    weight = model.table.get_parameter("weight")
    assert weight.grad is not None
    found = {
        "the table": weight,
        "its gradient": weight.grad,
        "the optimizer's means of it": optimizer.state[weight]["exp_avg"],
        "what the look-up gives": vectors,
        "what the convolution gives": features,
        "what the classifier gives": outputs,
    }
    return {what: str(tensor.dtype).removeprefix("torch.") for what, tensor in found.items()}


def _rounded(fits: list[Fitted], dtype: torch.dtype) -> dict[str, Any]:
    """Trained tables rounded to 16 bits and back, judged."""
    found = []
    for one in fits:
        model = copy.deepcopy(one.model)
        weight = model.embedding.get_parameter("weight")
        weight.data = weight.data.to(dtype).float()
        found.append(judged(model, one.encoder, _SET))
    ours, theirs = np.stack(found), np.stack([one.right for one in fits])
    return {
        "accuracy": [float(one.mean()) for one in found],
        "changed": int((ours != theirs).sum()),
        "answers": ours.size,
        **points_between(ours, theirs).__dict__,
    }


def show(figures: Figures) -> Shown:
    """The verdict by the kinds that were found and the intervals."""
    kinds, cases = figures["kinds"], figures["cases"]
    halves, whole = ([_memory(one) for one in cases if one["way"] == way] for way in reversed(_WAYS))
    autocast = [one for one in cases if one["way"] == "bf16 autocast"]
    alone = {kinds["the table"], kinds["its gradient"], kinds["what the look-up gives"]} == {"float32"}
    gained = [one for one in autocast if Estimate.restored(one).side(1) < 0]
    trained = {one["recipe"]: Comparison.restored(one["comparison"]) for one in figures["trained"]}
    points = [f"{own.named('bf16').points.points} for `{name}`" for name, own in trained.items()]
    harmed = [f"`{name}`" for name, own in trained.items() if own.named("bf16").points.side(0) < 0]
    stored = [f"{one['changed']} of {one['answers']:,} in {one['kind']}" for one in figures["stored"]]
    verdict = (
        (
            "Autocast does not touch the table: it, its gradient and what is looked up stay float32"
            if alone
            else f"Under autocast the table is {kinds['the table']}, its gradient {kinds['its gradient']}, what is "
            f"looked up {kinds['what the look-up gives']}"
        )
        + f", and peak memory changes by {listed([percent(one) for one in whole])}. "
        + f"A step {listed([f'{takes(Estimate.restored(one), _FP32)} ({_model(one)})' for one in autocast])}. "
        + f"Accuracy changes by {listed(points)} points, "
        + (f"measurable harm for {listed(harmed)}. " if harmed else "nothing measurable. ")
        + "What does halve a table is to store it in 16 bits after training: of the test answers "
        f"{listed(stored)} turn right or wrong by it. **None of this ran on a GPU**, whose tensor cores are made for "
        "products in 16 bits; times there may be others."
    )
    short = (
        f"**No** for memory ({listed([percent(one) for one in whole])}); faster in {len(gained)} of {len(autocast)} "
        "cases on this CPU"
    )
    how = (
        "Steps as for sparse gradients, with a fused Adam, behind a mean (*bag*) or a convolution (100 filters of 3 "
        f"words). Ratios: medians of {figures['rounds']} rounds in turns. *bf16 weights*: the whole model and its "
        f"optimizer in bf16, {listed([percent(one) for one in halves])} of memory; how accurate that is was not "
        'measured. Accuracy: recipes trained with `precision = "bf16"` and `"fp32"` from the same seeds.'
    )
    rows = [
        [
            f"{one['encoder']}, {one['words']:,} words",
            one["way"],
            *(f"{ms:,.1f}" for ms in one["ms"]),
            Estimate.restored(one).times,
            *(f"{peak:,.0f}" for peak in one["peaks"]),
            percent(_memory(one)),
        ]
        for one in cases
    ]
    columns = ["model", "way", "ms a step", "fp32", "ratio", "peak MiB", "fp32", "difference"]
    kept = [
        [
            one["kind"],
            f"{np.mean(one['accuracy']):.2%}",
            Estimate.restored(one).points,
            f"{one['changed']} of {one['answers']:,}",
        ]
        for one in figures["stored"]
    ]
    tables = [
        table(["under autocast", "kind"], [[what, f"`{kind}`"] for what, kind in kinds.items()]),
        table(columns, rows),
        *(f"Recipe `{name}`. {own.shown('precision')}" for name, own in trained.items()),
        "The trained tables of `bag` stored in 16 bits:\n\n"
        + table(["stored in", "test accuracy", "points from fp32", "texts that turn right or wrong"], kept),
    ]
    return Shown(
        short, verdict, how, "\n".join(tables), _picture(cases), "Time and memory in bf16 as a ratio to fp32"
    )


def _memory(one: dict[str, Any]) -> float:
    """The change of peak memory, as a share of fp32's."""
    return float(one["peaks"][0] / one["peaks"][1] - 1)


def _model(one: dict[str, Any]) -> str:
    return f"{one['encoder']}, {thousands(one['words'])} words"


def _picture(cases: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(_model(one).removesuffix(" words") for one in cases))
    x = categories("encoder, words of the table", names)
    lines: list[list[tuple[float, Estimate]]] = [[] for _ in _WAYS]
    peaks: list[list[tuple[float, Estimate]]] = [[] for _ in _WAYS]
    for one in cases:
        way = _WAYS.index(one["way"])
        place = names.index(_model(one).removesuffix(" words")) + 0.12 * way - 0.06
        lines[way].append((place, Estimate.restored(one)))
        memory = 1 + _memory(one)
        peaks[way].append((place, Estimate(memory, memory, memory)))
    panels = []
    for title, drawn in (("Time of a step", lines), ("Peak memory", peaks)):
        every = [y for line in drawn for _, one in line for y in (one.low, one.high)]
        dots = [
            estimates(way, [point], f"{_WAYS[way]} ÷ fp32") for way, points in enumerate(drawn) for point in points
        ]
        panels.append(
            Panel(f"{title} ÷ fp32's (lower is better)", x, around("ratio", [0, 1.2, *every]), dots, (1.0, "fp32"))
        )
    return picture("Mixed precision: ratios to fp32", _WAYS, panels)


CLAIM = Claim(
    "mixed-precision",
    "Mixed precision",
    "Mixed precision halves the memory of the embedding layer and trains faster.",
    measure,
    show,
)
