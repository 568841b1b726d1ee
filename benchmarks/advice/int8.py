"""8-bit tables: size, speed, accuracy, and the ways that look like it and are not."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lexport.benchmarks.figures import say, table
from lexport.export.variants import VARIANTS
from lexport.handlers.engines import Engine, open_engine
from lexport.handlers.text import TextSpec
from lexport.loadtest.plots import categories
from lexport.models.compose import build

from . import traps
from .claim import Claim, Estimate, Figures, Shown, listed, takes
from .fits import Fitted, fitted, parts_of, points_between, recipe_of, words_alone
from .pictures import Panel, around, estimates, picture
from .timing import alternated, block

_SET = "rotten-tomatoes"
_ENGINES = ("torchscript", "onnx")
_DIMS, _BATCHES, _LENGTH, _WORDS = (16, 100, 300), (1, 64), 50, 100_000
_RECIPES = {"bag": 5, "bag-glove": 3, "cnn": 3}  # seeds


def measure(quick: bool) -> Figures:
    """Speed and size of one table in several widths, accuracy of trained recipes, and what tutorials' calls do."""
    speeds = [one for dim in (_DIMS[:1] if quick else _DIMS) for one in _speeds(dim, 2 if quick else 15)]
    accuracies, by_tensor = [], []
    for name, seeds in list(_RECIPES.items())[:1] if quick else _RECIPES.items():
        fits = []
        for seed in range(2 if quick else seeds):
            fits.append(fitted(_SET, recipe_of(name, quick), seed))
            say(f"{name}, seed {seed}: test {fits[-1].right.mean():.2%}")
        accuracies += [{"recipe": name, **one} for one in _accuracies(fits)]
        by_tensor.append({"recipe": name, **traps.by_tensor(fits, _SET)})
    return {"speeds": speeds, "accuracies": accuracies, "by_tensor": by_tensor, "calls": traps.calls()}


def _speeds(dim: int, rounds: int) -> list[dict[str, Any]]:
    """int8 against fp32 by engine and batch, of a bag over a table of `dim`."""
    recipe = words_alone().changed("embedding", dim=dim)
    model = build(recipe, TextSpec(words=_WORDS), labels=2).eval()
    draw = np.random.default_rng(0)
    found = []
    for engine in _ENGINES:
        with tempfile.TemporaryDirectory(prefix="lexport-int8-") as folder:
            opened: list[Engine] = []
            sizes = []
            for precision in ("int8", "fp32"):
                variant, place = VARIANTS[f"{engine}-{precision}"], Path(folder) / precision
                place.mkdir()
                variant.write(model, "indices", place)
                sizes.append(sum(file.stat().st_size for file in place.iterdir()))
                opened.append(open_engine(engine, place / variant.file, threads=1, device="cpu"))
            for batch in _BATCHES:
                ids = [np.floor(float(_WORDS) ** draw.random((batch, _LENGTH))).astype(np.int64) for _ in range(8)]
                seconds = alternated([block(_asking(run, ids)) for run in opened], rounds)
                ratio = Estimate.of_ratios(seconds[:, 0] / seconds[:, 1])
                micro = [1e6 * float(one) for one in np.median(seconds, axis=0)]
                row = {"engine": engine, "dim": dim, "batch": batch, "bytes": sizes, "microseconds": micro}
                found.append(row | ratio.__dict__ | {"rounds": rounds})
                say(f"{engine}, {dim} wide, batch {batch}, int8 ÷ fp32: {ratio.times}")
    return found


def _asking(run: Engine, ids: list[np.ndarray[Any, np.dtype[np.int64]]]) -> Any:
    turn = 0

    def ask() -> None:
        nonlocal turn
        run(ids[turn % len(ids)])
        turn += 1

    return ask


def _accuracies(fits: list[Fitted]) -> list[dict[str, Any]]:
    """The int8 variants of trained models against themselves in fp32, asked through their engines."""
    found = []
    for engine in _ENGINES:
        right, sizes = [], []
        for one in fits:
            with tempfile.TemporaryDirectory(prefix="lexport-int8-") as folder:
                for precision in ("int8", "fp32"):
                    (Path(folder) / precision).mkdir()
                    variant = VARIANTS[f"{engine}-{precision}"]
                    variant.write(one.model, "indices", Path(folder) / precision)
                    sizes.append(sum(file.stat().st_size for file in (Path(folder) / precision).iterdir()))
                file = Path(folder) / "int8" / VARIANTS[f"{engine}-int8"].file
                run = open_engine(engine, file, threads=1, device="cpu")
                right.append(traps.judged(run, one.encoder, _SET))
        ours, theirs = np.stack(right), np.stack([one.right for one in fits])
        found.append(
            {
                "engine": engine,
                "dim": fits[0].model.embedding.dim,
                "seeds": len(fits),
                "trained": float(theirs.mean()),
                "accuracy": float(ours.mean()),
                "changed": int((ours != theirs).sum()),
                "answers": ours.size,
                "smaller": 1 - sizes[0] / sizes[1],
                **points_between(ours, theirs).__dict__,
            }
        )
    return found


def _estimate(one: dict[str, Any]) -> Estimate:
    return Estimate(one["value"], one["low"], one["high"])


def show(figures: Figures) -> Shown:
    """The verdict by speed-ups of 2 and more, the sizes, and the accuracies' intervals."""
    speeds, accuracies = figures["speeds"], figures["accuracies"]
    said = [one for one in speeds if _estimate(one).value <= 0.5]
    gained = [one for one in speeds if _estimate(one).side(1) < 0]
    slower = [one for one in speeds if _estimate(one).side(1) > 0]
    best = min(speeds, key=lambda one: float(one["value"]))
    smaller = {one["dim"]: 1 - one["bytes"][0] / one["bytes"][1] for one in speeds if one["engine"] == "torchscript"}
    harm = [f"{one['recipe']} in {one['engine']}" for one in accuracies if _estimate(one).side(0) < 0]
    largest = max(abs(one["value"]) for one in accuracies)
    changed, answers = (sum(one[key] for one in accuracies) for key in ("changed", "answers"))
    worst = max(figures["by_tensor"], key=lambda one: float(one["lost_tensor"]))
    verdict = (
        f"Size: a row of bytes carries its own scale, so that the file shrinks by "
        f"{listed([f'{share:.0%} at {dim} wide' for dim, share in smaller.items()])}. Speed: of {len(speeds)} cases "
        f"{len(said)} {'is' if len(said) == 1 else 'are'} twice as fast or more, {len(gained)} faster beyond doubt and "
        f"{len(slower)} slower; the best {takes(_estimate(best), 'fp32')} ({_case(best)}). Accuracy: "
        + (f"measurably lower for {listed(harm)}; " if harm else "no measurable loss; ")
        + f"{largest:.2f} points at most, {changed} of {answers:,} answers change between right and wrong. That is with one scale a "
        f"row. One scale for the whole table, as ONNX Runtime's own `quantize_dynamic` takes it, turns rows by "
        f"{worst['lost_tensor']:.2g} (mean 1 − cosine) against {worst['lost_row']:.1g} on the trained table of "
        f"`{worst['recipe']}`, and costs {_tensor_points(figures)}."
    )
    short = (
        f"**In part.** {min(smaller.values()):.0%} to {max(smaller.values()):.0%} smaller, accuracy "
        f"{'lost in some case' if harm else 'kept'}; twice as fast in {len(said)} of {len(speeds)} cases"
    )
    how = (
        f"Speed: a bag over {_WORDS:,} words, texts of {_LENGTH} words by Zipf's law, exported files opened as a worker "
        f"opens them, one thread, int8 and fp32 in turns, medians of {speeds[0]['rounds']} rounds with 95 % intervals; "
        f"weights random, on which speed does not depend. Accuracy: recipes trained on {_SET} "
        f"({len(parts_of(_SET).test)} test texts), exported, asked through their engine; int8 concerns the table alone."
    )
    return Shown(short, verdict, how, _tables(figures), _picture(speeds), "Time of int8 as a ratio to fp32, by width")


def _tensor_points(figures: Figures) -> str:
    every = [(one["recipe"], Estimate(**one["ort"])) for one in figures["by_tensor"]]
    return listed([f"{name} {estimate.points} points" for name, estimate in every])


def _case(one: dict[str, Any]) -> str:
    return f"{one['engine']}, {one['dim']} wide, batch {one['batch']}"


def _tables(figures: Figures) -> str:
    speeds = [
        [
            one["engine"],
            str(one["dim"]),
            str(one["batch"]),
            *(f"{micro:,.0f}" for micro in one["microseconds"]),
            _estimate(one).times,
            *(f"{size / 2**20:,.1f}" for size in one["bytes"]),
            f"{1 - one['bytes'][0] / one['bytes'][1]:.0%}",
        ]
        for one in figures["speeds"]
    ]
    accuracies = [
        [
            f"`{one['recipe']}`, {one['dim']} wide",
            one["engine"],
            str(one["seeds"]),
            f"{one['trained']:.2%}",
            f"{one['accuracy']:.2%}",
            _estimate(one).points,
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
    calls = [[f"`{what}`", answer] for what, answer in figures["calls"].items()]
    by_tensor = ["table of", "norms, 99th ÷ 1st percentile", "1 − cos, a scale a row", "one scale in all"]
    return "\n".join(
        [
            table(
                ["engine", "wide", "batch", "int8, µs", "fp32, µs", "ratio", "int8, MiB", "fp32, MiB", "smaller"],
                speeds,
            ),
            table(
                ["recipe", "engine", "seeds", "fp32", "int8", "points", "texts that turn", "file smaller"], accuracies
            ),
            "One scale for all rows against one for each, on the trained tables (words that training met); accuracy by "
            "ONNX Runtime's own quantizer:\n\n"
            + table([*by_tensor, "points, a scale a row", "points, ONNX Runtime's quantize_dynamic"], lost),
            "What common calls do:\n\n" + table(["call", "outcome"], calls),
        ]
    )


def _picture(speeds: list[dict[str, Any]]) -> str:
    dims = sorted({one["dim"] for one in speeds})
    x = categories("width of a vector", [str(dim) for dim in dims])
    every = [y for one in speeds for y in (one["low"], one["high"])]
    y = around("int8 ÷ fp32", [0, 1, *every])
    panels = []
    for batch in _BATCHES:
        lines = []
        for series, engine in enumerate(_ENGINES):
            own = [one for one in speeds if (one["engine"], one["batch"]) == (engine, batch)]
            at = [dims.index(one["dim"]) + 0.08 * series - 0.04 for one in own]
            lines.append(estimates(series, list(zip(at, map(_estimate, own), strict=True)), engine))
        panels.append(Panel(f"Time, batches of {batch} (lower is better)", x, y, lines, (1.0, "fp32")))
    return picture("8-bit tables: time of int8 ÷ time of fp32", [f"{name}" for name in _ENGINES], panels)


CLAIM = Claim(
    "int8",
    "int8",
    "Dynamic int8 quantization makes an embedding model 75 % smaller and two to three times faster at no loss.",
    measure,
    show,
)
