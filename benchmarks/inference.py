"""How fast exported variants answer, and how small they are: a bag over a million words, and encoders with layers.

    python benchmarks/inference.py [--rows 1000000] [--dim 300] [--pairs 21] [--quick]

On one thread, by processor time, so that other programs' turns do not count. Everything is a file that a variant
wrote, opened as a worker opens it, and stands beside what it is held to in alternating turns: medians of the ratios
of pairs with 95 % intervals. The ids are drawn evenly, so that nearly every row comes from memory; of real texts many
rows are in a cache. Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexport.benchmarks.figures import Values, interval, say
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.export.formats.torchscript_onnx import Scoring, write_torchscript
from lexport.export.formats.variants import IDS_IN, VARIANTS, Variant
from lexport.handlers.engine.engines import Engine, Scores, open_engine
from lexport.handlers.text.encoder import Ids, TextSpec
from lexport.handlers.text.spec import Layout
from lexport.models import recipes
from lexport.models.compose import TextModel, build

LABELS, WORDS, TEXTS = 4, 50, 64
# Held to a scripted, frozen F.embedding_bag: least ratio of the whole classifier and of the look-up alone.
FASTER = {"torchscript-int8": (1.7, 2.1), "torchscript-int4": (None, 2.5)}
GOALS = {"torchscript-int8": 2.5, "torchscript-int4": 3.0}
LEAST_ALONE = 1.3  # onnx-int8 at batch 1 against the trained model itself
LAYERED = ("cnn", "lstm", "transformer")
LAYERED_WORDS = 20_000


@dataclass(frozen=True)
class Ratio:
    """Median of the ratios of pairs, baseline ÷ own, its interval, and own median milliseconds a batch."""

    median: float
    low: float
    high: float
    milliseconds: float

    def __str__(self) -> str:
        """The ratio with its interval."""
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


class Baseline(nn.Module):
    """What a table in fp32 is usually served as: `F.embedding_bag` in mode mean, a linear layer, softmax."""

    def __init__(self, weight: Tensor, head: nn.Linear | None) -> None:
        """`weight` float32 [rows, dim]; without a head the means are the answer."""
        super().__init__()
        self.weight = nn.Buffer(weight)
        self.head = nn.Identity() if head is None else nn.Sequential(head, nn.Softmax(dim=1))

    def forward(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, labels or dim]."""
        answer: Tensor = self.head(F.embedding_bag(ids, self.weight, mode="mean"))
        return answer


class LookUp(nn.Module):
    """What of an exported bag comes before its head."""

    def __init__(self, model: TextModel) -> None:
        """A model with its table in a variant's form."""
        super().__init__()
        self.embedding, self.encoder = model.embedding, model.encoder

    def forward(self, ids: Tensor) -> Tensor:
        """int64 [batch, length] → float32 [batch, dim]."""
        count = self.embedding.mask(ids).sum(dim=1)
        averaged: Tensor = self.encoder.average(self.embedding.pooled(ids), count)  # type: ignore[operator]
        return averaged


def main() -> int:
    """Measure, print Markdown tables, and return 0 if every limit is kept."""
    options = _options()
    report = Report(options)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="lexport-inference-") as folder:
        verdicts = _bag(options, Path(folder), report)
        verdicts += _layered(options, Path(folder), report)
    return report.close(verdicts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rows", type=int, default=1_000_000, help="of the table")
    add("--dim", type=int, default=300, help="of a row")
    add("--pairs", type=int, default=21, help="alternating turns of each comparison; at least 15")
    add("--quick", action="store_true", help="a small table, few pairs, no verdict: does it run at all?")
    add_options(parser)
    options = parser.parse_args()
    if options.quick:
        options.rows, options.dim, options.pairs = 2000, 33, 3
    elif options.pairs < 15:
        parser.error(f"--pairs {options.pairs} is too few; at least 15 are needed")
    return options


def _bag(options: argparse.Namespace, folder: Path, report: Report) -> list[Verdict]:
    model = _bag_model(options.rows, options.dim)
    weight = model.embedding.get_parameter("weight").detach()
    head = model.head.linear
    assert isinstance(head, nn.Linear)
    baselines = {"classifier": _frozen(Baseline(weight, head)), "look-up": _frozen(Baseline(weight, None))}
    counts = {1: 6, TEXTS: 6} if options.quick else {1: 1000, TEXTS: 40}
    batches = {size: _batches(options.rows, size, count) for size, count in counts.items()}
    bandwidth = _read_bandwidth()
    rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    for variant in IDS_IN.values():
        cells, found = _judge(variant, model, baselines, batches, options.pairs, folder)
        rows.append(cells)
        verdicts += found
        say(" | ".join(cells))
    report.part(f"A bag over {options.rows:,} × {options.dim}, texts of {WORDS} words, one thread")
    columns = ["variant", "size", "batch 1", f"batch {TEXTS}", f"look-up alone, batch {TEXTS}", "GB/s of rows"]
    report.table(columns, rows)
    report.text(
        "Ratios: how many times as fast as a scripted, frozen `F.embedding_bag` (mode mean, fp32) with the same head "
        f"or alone, on the same ids. Read one after the other, memory gives one thread {bandwidth / 1e9:.1f} GB/s."
    )
    return verdicts


def _judge(
    variant: Variant,
    model: TextModel,
    baselines: dict[str, Engine],
    batches: dict[int, list[Ids]],
    pairs: int,
    folder: Path,
) -> tuple[list[str], list[Verdict]]:
    """A variant's cells and verdicts; its files are gone afterwards."""
    weight = model.embedding.get_parameter("weight")
    own = _new(folder, variant.name)
    engine, size = _written(variant, model, own)
    shutil.rmtree(own)
    whole = {count: _compare(baselines["classifier"], engine, batches[count], pairs) for count in batches}
    cells = [f"`{variant.name}`", f"{size / weight.nbytes:.1%}", *map(str, whole.values()), "", ""]
    verdicts = _verdicts_of_size(variant, size / weight.nbytes, weight.size(1))
    if variant.name == "onnx-int8":
        verdicts.append(_against_eager(model, engine, batches[1], pairs))
    del engine
    if variant.engine == "torchscript":
        alone = _opened(folder, "own look-up", LookUp(variant.form(model)))
        found = _compare(baselines["look-up"], alone, batches[TEXTS], pairs)
        read = TEXTS * WORDS * size / weight.size(0) / found.milliseconds * 1e3
        cells[-2:] = [str(found), f"{read / 1e9:.1f}"]
        verdicts += _verdicts_of_speed(variant.name, whole[TEXTS], found)
    return cells, verdicts


def _bag_model(rows: int, dim: int) -> TextModel:
    """A trained bag's shape, with rows of unequal length; row 0 is PAD."""
    recipe = recipes.load("bag").changed("embedding", dim=dim).changed("encoder", mode="mean")
    recipe = recipe.changed("text", ngrams=1, buckets=0).changed("training", ngram_dropout=0.0)
    model = build(recipe, TextSpec(words=rows), labels=LABELS).eval()
    weight = model.embedding.get_parameter("weight")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        weight.normal_(generator=generator)
        weight.mul_(10 ** (torch.rand(rows, 1, generator=generator) - 0.5))
        weight[0] = 0
    return model


def _batches(rows: int, texts: int, count: int) -> list[Ids]:
    draw = np.random.default_rng(texts)
    return [draw.integers(1, rows, (texts, WORDS)) for _ in range(count)]


def _frozen(module: nn.Module) -> Engine:
    """A module scripted and frozen where it is, called as an engine is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.freeze(torch.jit.script(module.eval()))

    def run(ids: Ids) -> Scores:
        with torch.inference_mode():
            scores: Scores = scripted(torch.from_numpy(ids)).numpy()
        return scores

    return run


def _opened(folder: Path, name: str, module: nn.Module) -> Engine:
    """A module as a TorchScript file on the way of every variant's."""
    file = folder / f"{name}.pt"
    write_torchscript(module, file)
    return open_engine("torchscript", file, threads=1, device="cpu")


def _written(variant: Variant, model: TextModel, folder: Path) -> tuple[Engine, int]:
    """A variant as a worker opens it, and the bytes of its files."""
    variant.write(model, Layout.INDICES, folder)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return open_engine(variant.engine, folder / variant.file, threads=1, device="cpu"), size


def _compare(theirs: Callable[[Ids], object], ours: Callable[[Ids], object], batches: list[Ids], pairs: int) -> Ratio:
    """Both on all batches, in alternating turns."""
    for run in (theirs, ours):
        _seconds(run, batches)
    turns = []
    for pair in range(pairs):
        sides = [theirs, ours] if pair % 2 == 0 else [ours, theirs]
        times = [_seconds(side, batches) for side in sides]
        turns.append(times if pair % 2 == 0 else times[::-1])
    values: Values = np.array(turns)
    ratios = values[:, 0] / values[:, 1]
    low, high = interval(ratios)
    return Ratio(float(np.median(ratios)), low, high, float(np.median(values[:, 1])) / len(batches) * 1e3)


def _seconds(run: Callable[[Ids], object], batches: Sequence[Ids]) -> float:
    started = time.process_time()
    for ids in batches:
        run(ids)
    return time.process_time() - started


def _read_bandwidth() -> float:
    """Bytes a second that one thread reads from memory, one after the other: the best of seven."""
    values = torch.ones(2**28)
    seconds = []
    for _ in range(7):
        started = time.process_time()
        values.sum()
        seconds.append(time.process_time() - started)
    return values.nbytes / min(seconds)


def _verdicts_of_speed(name: str, whole: Ratio, alone: Ratio) -> list[Verdict]:
    found = []
    for what, least, ratio in zip(
        ("whole classifier", "look-up"), FASTER.get(name, ()), (whole, alone), strict=False
    ):
        if least is not None:
            asked = f"`{name}`, {what}, batch {TEXTS}: at least {least} × `F.embedding_bag`"
            goal = f" (goal {GOALS[name]})" if what == "look-up" else ""
            found.append(Verdict(asked + goal, str(ratio), ratio.median >= least))
    return found


def _verdicts_of_size(variant: Variant, share: float, dim: int) -> list[Verdict]:
    int4 = {"torchscript": 0.14, "onnx": 0.16}
    most = {"int8": (dim + 8) / (4 * dim) + 0.01, "int4": int4.get(variant.engine, 0)}.get(variant.precision)
    if most is None:
        return []
    return [Verdict(f"`{variant.name}`: at most {most:.1%} of the table in fp32", f"{share:.2%}", share <= most)]


def _against_eager(model: TextModel, engine: Engine, batches: list[Ids], pairs: int) -> Verdict:
    scoring = Scoring(model)

    def eager(ids: Ids) -> object:
        with torch.inference_mode():
            return scoring(torch.from_numpy(ids)).numpy()

    ratio = _compare(eager, engine, batches, pairs)
    asked = f"`onnx-int8`, whole classifier, batch 1: at least {LEAST_ALONE} × the trained model in torch"
    return Verdict(asked, str(ratio), ratio.median >= LEAST_ALONE)


def _layered(options: argparse.Namespace, folder: Path, report: Report) -> list[Verdict]:
    rows, verdicts = [], []
    for name in LAYERED:
        words = 500 if options.quick else LAYERED_WORDS
        recipe = recipes.load(name).changed("embedding", dim=100)
        torch.manual_seed(0)
        model = build(recipe, TextSpec(words=words, max_tokens=recipe.text.max_tokens), labels=LABELS).eval()
        for engine in ("torchscript", "onnx"):
            fp32, size = _written(IDS_IN[f"{engine}-fp32"], model, _new(folder, f"{name}-{engine}-fp32"))
            for variant in (VARIANTS[f"{engine}-int8"], VARIANTS[f"{engine}-int8-dynamic"]):
                if variant.unsupported_reason(model) is not None:
                    continue
                own, small = _written(variant, model, _new(folder, f"{name}-{variant.name}"))
                found = [_compare(fp32, own, _batches(words, count, 12), options.pairs) for count in (1, 16)]
                what = f"`{name}`, {variant.name}"
                rows.append([what, f"{small / size:.0%}", *map(str, found)])
                say(" | ".join(rows[-1]))
                if variant.dense:
                    asked = f"{what}: not slower than fp32 at batch 1 and 16"
                    held = all(one.median >= 1 for one in found)
                    verdicts.append(Verdict(asked, ", ".join(map(str, found)), held))
    report.part(f"Encoders with layers over {LAYERED_WORDS:,} × 100, texts of {WORDS} words, one thread")
    report.table(["recipe and variant", "size", "batch 1", "batch 16"], rows)
    report.text("Ratios: how many times as fast as the same engine's fp32 variant of the same model, and its size.")
    return verdicts


def _new(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


if __name__ == "__main__":
    raise SystemExit(main())
