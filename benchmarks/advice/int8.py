"""8-bit tables: size, speed, accuracy, and the ways that look like it and are not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lexport.benchmarks.figures import say, table
from lexport.export.variants import VARIANTS
from lexport.handlers.engines import Engine, Scores, open_engine
from lexport.handlers.text import Ids, TextSpec
from lexport.loadtest.plots import categories
from lexport.models.compose import TextModel, build

from . import traps
from .claim import Claim, Estimate, Figures, Shown, listed, takes
from .fits import Fitted, fitted, points_between, recipe_of, words_alone
from .pictures import Panel, estimates, logarithmic_ratios, picture
from .timing import alternated, block

_SET = "rotten-tomatoes"
_PLAIN = "nn.EmbeddingBag"
_INT8 = ("torchscript-int8", "onnx-int8")
_VARIANTS = (*_INT8, "torchscript-fp32", "onnx-fp32")
_PAIRS = (
    ("torchscript-int8", _PLAIN),
    ("torchscript-int8", "torchscript-fp32"),
    ("onnx-int8", "onnx-fp32"),
)
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
    """The time of a bag over a table of `dim`, by batch: every variant and torch's own, in turns."""
    model = build(words_alone().changed("embedding", dim=dim), TextSpec(words=_WORDS), labels=2).eval()
    found = []
    with tempfile.TemporaryDirectory(prefix="lexport-int8-") as folder:
        opened = {_PLAIN: _plain(dim)}
        sizes = {_PLAIN: 4 * dim * _WORDS}
        for name in _VARIANTS:
            opened[name], sizes[name] = _written(model, name, Path(folder) / name)
        for batch in _BATCHES:
            draw = np.random.default_rng(batch)
            ids = [np.floor(float(_WORDS) ** draw.random((batch, _LENGTH))).astype(np.int64) for _ in range(8)]
            seconds = alternated([block(_asking(run, ids)) for run in opened.values()], rounds)
            own = dict(zip(opened, seconds.T, strict=True))
            ratios = [{"of": of, "to": to, **Estimate.of_ratios(own[of] / own[to]).__dict__} for of, to in _PAIRS]
            micro = {name: 1e6 * float(np.median(times)) for name, times in own.items()}
            found.append({"dim": dim, "batch": batch, "rounds": rounds, "microseconds": micro, "ratios": ratios})
            found[-1]["smaller"] = {of: 1 - sizes[of] / sizes[to] for of, to in _PAIRS}
            say(f"{dim} wide, batch {batch}: " + ", ".join(f"{name} {time:.0f}" for name, time in micro.items()))
    return found


def _plain(dim: int) -> Engine:
    """What torch has for it in fp32, without a padding row, whose cost is a claim of its own."""
    bag, head = nn.EmbeddingBag(_WORDS, dim, mode="mean"), nn.Linear(dim, 2)

    def run(ids: Ids) -> Scores:
        with torch.inference_mode():
            scores: Scores = head(bag(torch.from_numpy(ids))).softmax(dim=1).numpy()
        return scores

    return run


def _written(model: TextModel, name: str, folder: Path) -> tuple[Engine, int]:
    """A variant of `model`, opened as a worker opens it, on one thread; and the bytes of its files."""
    variant = VARIANTS[name]
    folder.mkdir()
    variant.write(model, "indices", folder)
    engine = open_engine(variant.engine, folder / variant.file, threads=1, device="cpu")
    return engine, sum(file.stat().st_size for file in folder.iterdir())


def _asking(run: Engine, ids: Sequence[Ids]) -> Callable[[], object]:
    turns = cycle(ids)
    return lambda: run(next(turns))


def _accuracies(fits: Sequence[Fitted]) -> list[dict[str, Any]]:
    """The int8 variants of trained models against the models themselves, asked through their engines."""
    found = []
    theirs = np.stack([one.right for one in fits])
    for name in _INT8:
        right, smaller = [], []
        for one in fits:
            with tempfile.TemporaryDirectory(prefix="lexport-int8-") as folder:
                run, size = _written(one.model, name, Path(folder) / "int8")
                _, full = _written(one.model, name.replace("int8", "fp32"), Path(folder) / "fp32")
                right.append(traps.judged(run, one.encoder, _SET))
                smaller.append(1 - size / full)
        ours = np.stack(right)
        found.append(
            {
                "variant": name,
                "dim": fits[0].model.embedding.dim,
                "seeds": len(fits),
                "trained": float(theirs.mean()),
                "accuracy": float(ours.mean()),
                "changed": int((ours != theirs).sum()),
                "answers": ours.size,
                "smaller": float(np.mean(smaller)),
                **points_between(ours, theirs).__dict__,
            }
        )
    return found


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
    damaged = max(figures["by_tensor"], key=lambda one: float(one["lost_tensor"]))
    verdict = (
        f"**Size**: from {shares[least]:.0%} smaller ({least[0]}, {least[1]} wide) to {shares[most]:.0%} ({most[0]}, "
        f"{most[1]} wide), as every row carries a scale of its own. **Speed**: of {len(fair)} cases {len(said)} "
        f"{_are(said)} twice as fast or more, {len(gained)} {_are(gained)} faster beyond doubt and {len(slower)} "
        f"slower. The best {_told(*best)}; the worst {_told(*worst)}. **Accuracy**: "
        + (f"measurably lower for {listed(harm)}; " if harm else "no measurable loss; ")
        + f"{largest:.2f} points at most, {changed} of {answers:,} answers turn right or wrong. That is with a scale "
        "for every row. One scale for the whole table, which is what ONNX Runtime's own `quantize_dynamic` takes, "
        f"moves the words of `{damaged['recipe']}` by {damaged['lost_tensor']:.1e} (mean 1 − cosine) instead of "
        f"{damaged['lost_row']:.1e}; accuracy: {_tensor_points(figures)}. And the call that most tutorials show does "
        "nothing or raises an error, see the last table."
    )
    short = (
        f"**In part.** {shares[least]:.0%} to {shares[most]:.0%} smaller, accuracy "
        f"{'lost in some case' if harm else 'kept'}; twice as fast in {len(said)} of {len(fair)} cases"
    )
    how = (
        f"Speed: a bag over {_WORDS:,} words, texts of {_LENGTH} words by Zipf's law, exported files opened as a "
        f"worker opens them, one thread, all in turns, medians of {speeds[0]['rounds']} rounds with 95 % intervals; "
        f"weights random, on which speed does not depend. TorchScript's int8 is compared with torch's own `{_PLAIN}` "
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


def _tensor_points(figures: Figures) -> str:
    every = [(one["recipe"], Estimate(**one["ort"])) for one in figures["by_tensor"]]
    return listed([f"{name} {estimate.points} points" for name, estimate in every])


def _tables(figures: Figures) -> str:
    speeds = [
        [
            str(one["dim"]),
            str(one["batch"]),
            *(f"{one['microseconds'][name]:,.0f}" for name in (_PLAIN, *_VARIANTS)),
            *(Estimate.restored(ratio).times for ratio in one["ratios"]),
        ]
        for one in figures["speeds"]
    ]
    sizes = [
        [str(one["dim"]), *(f"{one['smaller'][name]:.1%}" for name in _INT8)]
        for one in figures["speeds"]
        if one["batch"] == _BATCHES[0]
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
    timed = ["wide", "batch", *(f"{name}, µs" for name in (_PLAIN, *_VARIANTS))]
    timed += [f"{of} ÷ {to}" for of, to in _PAIRS]
    judged = ["recipe", "variant", "seeds", "trained", "int8", "points", "answers that turn", "file smaller"]
    lossy = ["table of", "norms, 99th ÷ 1st percentile", "1 − cosine, a scale a row", "one scale"]
    lossy += ["points, a scale a row", "points, ONNX Runtime's quantizer"]
    return "\n".join(
        [
            table(timed, speeds),
            table(["wide", *(f"{name}: file smaller than fp32" for name in _INT8)], sizes),
            table(judged, accuracies),
            "A scale for every row against one for all, on trained tables:\n\n" + table(lossy, lost),
            "What common calls do:\n\n" + table(["call", "outcome"], [list(one) for one in figures["calls"].items()]),
        ]
    )


def _picture(speeds: Sequence[dict[str, Any]]) -> str:
    dims = sorted({one["dim"] for one in speeds})
    x = categories("width of a vector", [str(dim) for dim in dims])
    y = logarithmic_ratios([ratio[end] for one in speeds for ratio in one["ratios"] for end in ("low", "high")])
    names = [f"{of} ÷ {to}" for of, to in _PAIRS]
    panels = []
    for batch in _BATCHES:
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
