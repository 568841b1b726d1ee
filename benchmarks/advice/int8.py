"""8-bit tables: size, speed, accuracy, and the ways that look like it and are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lexport.benchmarks.figures import say, table
from lexport.reports.charts.axes import categories
from lexport.reports.charts.picture import Panel, picture

from . import traps
from .claim import Claim, Estimate, Figures, Shown, listed, takes
from .exports import BATCHES, INT8, LENGTH, PAIRS, PLAIN, VARIANTS, WORDS, accuracies_of, speeds_of
from .fits import fitted, recipe_of
from .pictures import estimates, logarithmic_ratios

_SET = "rotten-tomatoes"
_DIMS = (16, 100, 300)
_RECIPES = {"bag": 5, "bag-glove": 3, "cnn": 3}  # seeds


def measure(quick: bool) -> Figures:
    """Speed and size of one table in several widths, accuracy of trained recipes, and what tutorials' calls do."""
    speeds = [one for dim in (_DIMS[:1] if quick else _DIMS) for one in speeds_of(dim, 2 if quick else 15)]
    accuracies, by_tensor = [], []
    for name, seeds in list(_RECIPES.items())[:1] if quick else _RECIPES.items():
        fits = []
        for seed in range(1 if quick else seeds):
            fits.append(fitted(_SET, recipe_of(name, quick), seed))
            say(f"{name}, seed {seed}: test {fits[-1].right.mean():.2%}")
        accuracies += [{"recipe": name, **one} for one in accuracies_of(fits, _SET)]
        by_tensor.append({"recipe": name, **traps.by_tensor(fits, _SET)})
    return {"speeds": speeds, "accuracies": accuracies, "by_tensor": by_tensor, "calls": traps.calls()}


def show(figures: Figures) -> Shown:
    """The verdict by speed-ups of 2 and more, the sizes, and the accuracies' intervals."""
    speeds, accuracies = figures["speeds"], figures["accuracies"]
    fair = [(one, ratio) for one in speeds for ratio in one["ratios"] if ratio["to"] != "torchscript-fp32"]
    said = [ratio for _, ratio in fair if ratio["value"] <= 0.5]
    gained, slower = ([one for _, one in fair if Estimate.restored(one).side(1) == side] for side in (-1, 1))
    best, worst = (choose(fair, key=lambda pair: float(pair[1]["value"])) for choose in (min, max))
    shares = {(name, one["dim"]): share for one in speeds for name, share in one["smaller"].items()}
    least, most = min(shares, key=lambda key: shares[key]), max(shares, key=lambda key: shares[key])
    harm = [f"`{one['recipe']}` as {one['variant']}" for one in accuracies if Estimate.restored(one).side(0) < 0]
    largest = max(abs(one["value"]) for one in accuracies)
    changed, answers = (sum(one[key] for one in accuracies) for key in ("changed", "answers"))
    verdict = (
        f"**Size**: from {shares[least]:.0%} smaller ({least[0]}, {least[1]} wide) to {shares[most]:.0%} ({most[0]}, "
        f"{most[1]} wide), as every row carries a scale of its own. **Speed**: of {len(fair)} cases {len(said)} "
        f"{_are(said)} twice as fast or more, {len(gained)} {_are(gained)} faster beyond doubt and {len(slower)} "
        f"slower; the best {_told(*best)}, the worst {_told(*worst)}. **Accuracy**: "
        + (f"measurably lower for {listed(harm)}, " if harm else "no measurable loss, ")
        + f"{largest:.2f} points at most; {changed} of {answers:,} answers turn right or wrong. The call that most "
        "tutorials show for it does nothing or raises an error (last table)."
    )
    short = (
        f"**In part.** {shares[least]:.0%} to {shares[most]:.0%} smaller, accuracy "
        f"{'lost in some case' if harm else 'kept'}; twice as fast in {len(said)} of {len(fair)} cases"
    )
    how = (
        f"Speed: a bag over {WORDS:,} words, texts of {LENGTH} words by Zipf's law, exported files opened as a "
        f"worker opens them, one thread, all in turns, medians of {speeds[0]['rounds']} rounds with 95 % intervals; "
        f"weights random, on which speed does not depend. TorchScript's int8 is compared with torch's own `{PLAIN}` "
        "without a padding row; the ratio to lexport's own TorchScript in fp32 is left out of the counts above. "
        f"Accuracy: recipes trained on {_SET}, exported and asked through their engine; int8 concerns the table "
        "alone."
    )
    return Shown(short, verdict, how, _tables(figures), _picture(speeds), "Time of int8 as a ratio to fp32, by width")


def _are(cases: Sequence[object]) -> str:
    return "is" if len(cases) == 1 else "are"


def _told(one: dict[str, Any], ratio: dict[str, Any]) -> str:
    case = f"{ratio['of']}, {one['dim']} wide, batch {one['batch']}"
    return f"{takes(Estimate.restored(ratio), ratio['to'])} ({case})"


def _one_scale(figures: Figures) -> str:
    """A sentence on what one scale for all rows does."""
    damaged = max(figures["by_tensor"], key=lambda one: float(one["lost_tensor"]))
    points = {one["recipe"]: Estimate(**one["ort"]) for one in figures["by_tensor"]}
    harm = [f"`{name}`" for name, one in points.items() if one.side(0) < 0]
    return (
        "A scale for every row against one for all rows, which is what ONNX Runtime's own `quantize_dynamic` takes. "
        f"One scale turns the words of `{damaged['recipe']}` {damaged['lost_tensor'] / damaged['lost_row']:.0f} "
        "times as far "
        + (f"and costs accuracy measurably for {listed(harm)}:" if harm else "and costs no accuracy that shows here:")
    )


def _tables(figures: Figures) -> str:
    speeds = [
        [
            str(one["dim"]),
            str(one["batch"]),
            *(f"{one['microseconds'][name]:,.0f}" for name in (PLAIN, *VARIANTS)),
            *(Estimate.restored(ratio).times for ratio in one["ratios"]),
        ]
        for one in figures["speeds"]
    ]
    sizes = [
        [str(one["dim"]), *(f"{one['smaller'][name]:.1%}" for name in INT8)]
        for one in figures["speeds"]
        if one["batch"] == BATCHES[0]
    ]
    accuracies = [
        [
            f"`{one['recipe']}`, {one['dim']} wide",
            one["variant"],
            str(one["seeds"]),
            f"{one['trained']:.2%}",
            f"{one['accuracy']:.2%}",
            Estimate.restored(one).points,
            f"{one['changed']} of {one['answers']:,}",
            f"{one['smaller']:.0%}",
        ]
        for one in figures["accuracies"]
    ]
    lost = [
        [
            f"`{one['recipe']}`",
            f"{one['norms']:.0f}",
            f"{one['lost_row']:.1e}",
            f"{one['lost_tensor']:.1e}",
            Estimate(**one["row"]).points,
            Estimate(**one["ort"]).points,
        ]
        for one in figures["by_tensor"]
    ]
    timed = ["wide", "batch", *(f"{name}, µs" for name in (PLAIN, *VARIANTS))]
    timed += [f"{of} ÷ {to}" for of, to in PAIRS]
    judged = ["recipe", "variant", "seeds", "trained", "int8", "points", "answers that turn", "file smaller"]
    lossy = ["table of", "norms, 99th ÷ 1st percentile", "1 − cosine, a scale a row", "one scale"]
    lossy += ["points, a scale a row", "points, ONNX Runtime's quantizer"]
    return "\n".join(
        [
            table(timed, speeds),
            table(["wide", *(f"{name}: file smaller than fp32" for name in INT8)], sizes),
            table(judged, accuracies),
            f"{_one_scale(figures)}\n\n" + table(lossy, lost),
            "What common calls do:\n\n" + table(["call", "outcome"], [list(one) for one in figures["calls"].items()]),
        ]
    )


def _picture(speeds: Sequence[dict[str, Any]]) -> str:
    dims = sorted({one["dim"] for one in speeds})
    x = categories("width of a vector", [str(dim) for dim in dims])
    y = logarithmic_ratios([ratio[end] for one in speeds for ratio in one["ratios"] for end in ("low", "high")])
    names = [f"{of} ÷ {to}" for of, to in PAIRS]
    panels = []
    for batch in BATCHES:
        own = [one for one in speeds if one["batch"] == batch]
        lines = [
            estimates(
                series,
                [
                    (dims.index(one["dim"]) + 0.08 * (series - 1), Estimate.restored(one["ratios"][series]))
                    for one in own
                ],
                name,
            )
            for series, name in enumerate(names)
        ]
        panels.append(Panel(f"Time, batches of {batch} (lower is better)", x, y, lines, (1.0, "fp32")))
    return picture("8-bit tables: time of int8 ÷ time of fp32", names, panels)


CLAIM = Claim(
    "int8",
    "int8",
    "Dynamic int8 quantization makes an embedding model 75 % smaller and two to three times faster at no loss.",
    measure,
    show,
)
