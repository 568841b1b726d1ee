"""Whether who names no recipe loses to linear models or fastText, on sets that options are not tuned with.

    python benchmarks/unseen.py --packages FOLDER [--sets sms-spam,kaomoji] [--forms full,20] [--draws 5] [--quick]

Each set is learned in full, with 5, 20 and 100 texts of each label, and with all labels but one cut to a tenth. For
every draw of texts we, that is `lexport train` without a recipe, and the baselines learn the same texts and choose by
the same validation texts; of the baselines the best on validation is compared with us. `--sets` may name sample sets
such as bbc-news too, which choices were made with and which need no packages. Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lexport.benchmarks import baselines, fasttext, unseen_sets
from lexport.benchmarks.baselines import Baseline, points, right
from lexport.benchmarks.figures import Values, paired_interval, say
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.data.dataset import Dataset
from lexport.data.load import Columns, load
from lexport.data.splits import split
from lexport.errors import SystemProblem
from lexport.models import recipes
from lexport.models.predict import outputs
from lexport.storage.atomic import json_bytes, write_file
from lexport.training.selection import BUDGET, candidates, train_best

FORMS = ("full", "5", "20", "100", "unbalanced")
_RIVALS = (
    baselines.of_words,
    baselines.of_characters,
    baselines.of_both,
    baselines.of_margins,
    baselines.of_bayes,
)
# Texts that are tested of a form with few to train on.
_TESTED = 2_000
_POOLED, _FULL, _FEW = 0.5, -0.5, -1.0  # points: asked of all together, of a full set, of a small one


@dataclass(frozen=True)
class Draw:
    """What came of one draw. ours, theirs: the share of test texts judged right; recipe and rival: by what."""

    ours: float
    theirs: float
    recipe: str
    rival: str
    seconds: float

    def __str__(self) -> str:
        """Return both accuracies and what reached them."""
        return f"{self.ours:.2%} ({self.recipe}), {self.theirs:.2%} ({self.rival})"


def main() -> int:
    """Measure, print Markdown tables, and return 0 if every limit is kept."""
    options = _options()
    report = Report(options)
    # Fits of this size gain nothing from a second thread, and lose much where other programs want the cores.
    torch.set_num_threads(1)
    found: dict[tuple[str, str], list[Draw]] = defaultdict(list)
    for name in options.sets:
        dataset = unseen_sets.read(name, options.packages) if name in unseen_sets.NAMES else load(name)
        for form in options.forms:
            for number in range(options.draws):
                draw = _draw(dataset, form, number, options)
                if draw is not None:
                    found[name, form].append(draw)
                    say(f"{name}, {form}, draw {number}: {draw}")
    report.part("The best of several recipes against the best of the baselines")
    report.text(
        f"Accuracy on the test texts, means over {options.draws} draws with 95 % intervals of the difference. Of a "
        f"set at most {options.most:,} texts of {options.labels:,} labels are drawn."
    )
    columns = ["set", "form", "ours", "best baseline", "points above", "kept", "baselines", "seconds, ours"]
    report.table(columns, [_row(*key, draws) for key, draws in found.items()])
    return report.close(verdicts_of(found))


def _draw(dataset: Dataset, form: str, number: int, options: argparse.Namespace) -> Draw | None:
    """Return what came of a draw, from the folder of those kept if it is there."""
    kept = options.keep and options.keep / f"{dataset.name}-{form}-{number}-{options.most}-{options.labels}.json"
    if kept and kept.is_file():
        return Draw(**json.loads(kept.read_text(encoding="utf-8")))
    texts = drawn(dataset, form, number, options.most, options.labels)
    if texts is None:
        return None
    draw = _judge(texts, number, options)
    if kept:
        write_file(kept, json_bytes(asdict(draw)))
    return draw


def drawn(dataset: Dataset, form: str, draw: int, most: int, labels: int) -> Dataset | None:
    """Return `most` texts of `labels` labels or fewer, with their parts; None if too few labels have so many."""
    random = np.random.default_rng([draw, len(dataset)])
    order = random.permutation(len(dataset)).tolist()
    taken = set(random.permutation(sorted(set(dataset.labels)))[:labels].tolist())
    order = [row for row in order if dataset.labels[row] in taken]
    rows: dict[str, list[int]] = defaultdict(list)
    for row in order[:most]:
        rows[dataset.labels[row]].append(row)
    part: dict[int, str] = {}
    largest = max(rows, key=lambda label: (len(rows[label]), label))
    for label, own in sorted(rows.items()):
        if form in ("full", "unbalanced"):
            tested = max(round(len(own) / 10), 1)
            kept = own if form == "full" or label == largest else own[: max(tested + round(len(own) / 10), 3)]
            held = max(round((len(kept) - tested) / 9), 1)
        else:
            # A quarter of the training texts more to choose by.
            count = int(form)
            held = max(count // 4, 1)
            tested = min(len(own) - held - count, max(_TESTED // len(rows), 1))
            kept = own[: tested + held + count]
        if tested < 1 or len(kept) < tested + held + 1:
            continue
        part |= dict.fromkeys(kept, "train")
        part |= dict.fromkeys(kept[:tested], "test") | dict.fromkeys(kept[tested : tested + held], "validation")
    chosen = [row for row in order if row in part]
    if len({dataset.labels[row] for row in chosen}) < 2:
        return None
    return replace(dataset.take(chosen, dataset.name), parts=[part[row] for row in chosen])


def _judge(texts: Dataset, draw: int, options: argparse.Namespace) -> Draw:
    parts = split(texts)
    began = time.perf_counter()
    ours, recipe = _ours(texts, parts.test, draw, options)
    seconds = time.perf_counter() - began
    every: list[Baseline] = [one(parts) for one in _RIVALS]
    if options.fasttext:
        every.append(baselines.of_fasttext(parts, [draw], options.fasttext))
    best = max(every, key=lambda one: float(one.right(parts.validation).mean()))
    return Draw(ours.mean(), float(best.right(parts.test).mean()), recipe, best.name, seconds)


def _ours(texts: Dataset, test: Dataset, draw: int, options: argparse.Namespace) -> tuple[Values, str]:
    """Return 1.0 for each test text that is judged right, else 0.0, and the recipe that was kept."""
    several = [recipes.load(name) for name in options.recipes or candidates(Columns())]
    if options.quick:
        several = [recipe.changed("training", epochs=2) for recipe in several]
    with tempfile.TemporaryDirectory(prefix="lexport-unseen-") as folder:
        place = Path(folder) / "run"
        run = train_best(texts, place, recipes=several, columns=Columns(), budget=options.budget, seed=draw)
        labels = [run.labels[top] for top in outputs(run.model, run.encoder, test).argmax(axis=1)]
    return right(lambda texts: labels, test.texts, test.labels), run.recipe.name


def _row(name: str, form: str, draws: Sequence[Draw]) -> list[str]:
    difference = np.array([one.ours - one.theirs for one in draws])
    low, high = paired_interval(difference) if len(draws) > 1 else (np.nan, np.nan)
    return [
        name,
        form,
        f"{np.mean([one.ours for one in draws]):.2%}",
        f"{np.mean([one.theirs for one in draws]):.2%}",
        f"{points(difference.mean())} [{points(low)}, {points(high)}]",
        ", ".join(sorted({f"`{one.recipe}`" for one in draws})),
        ", ".join(sorted({one.rival for one in draws})),
        f"{np.mean([one.seconds for one in draws]):.0f}",
    ]


def verdicts_of(found: dict[tuple[str, str], list[Draw]]) -> list[Verdict]:
    """Return the limits: of all together, and of each set and form."""
    means = {key: float(np.mean([one.ours - one.theirs for one in draws])) for key, draws in found.items()}
    pooled = np.array(list(means.values()))
    low, high = paired_interval(pooled) if len(pooled) > 1 else (np.nan, np.nan)
    told = f"{points(pooled.mean())} [{points(low)}, {points(high)}] points over {len(pooled)} sets and forms"
    verdicts = [
        Verdict(f"pooled: at least {_POOLED} points above", told, bool(100 * pooled.mean() >= _POOLED)),
        Verdict("pooled: the interval does not reach below 0", told, bool(low >= 0)),
    ]
    for (name, form), mean in means.items():
        least = _FULL if form in ("full", "unbalanced") else _FEW
        asked = f"{name}, {form}: not more than {-least} points below"
        verdicts.append(Verdict(asked, f"{points(mean)} points", 100 * mean >= least))
    return verdicts


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--packages", type=Path, help="the folder with the files of unseen_sets.py")
    add("--sets", type=_listed, default=list(unseen_sets.NAMES), help="by commas; sample sets too")
    add("--forms", type=_listed, default=list(FORMS), help="by commas")
    add("--draws", type=int, default=5, help="of texts, each learned once")
    add("--most", type=int, default=20_000, help="texts of a set")
    add("--labels", type=int, default=60, help="of a set, drawn anew for each draw")
    add("--recipes", type=_listed, help="instead of those that are tried without a recipe")
    add("--keep", type=Path, help="a folder for what came of each draw: one that is there is not learned again")
    add("--budget", type=float, default=BUDGET, help="seconds, as of lexport train")
    add("--fasttext", help="the program, where it is not in PATH")
    add("--quick", action="store_true", help="two epochs, no verdict: does it run at all?")
    add_options(parser)
    options = parser.parse_args()
    needed = [name for name in options.sets if name in unseen_sets.NAMES]
    if needed and options.packages is None:
        parser.error(f"--packages is missing; {', '.join(needed)} are read from there")
    try:
        options.fasttext = fasttext.find(options.fasttext)
    except SystemProblem as problem:
        if not options.quick:
            parser.error(str(problem))
    return options


def _listed(names: str) -> list[str]:
    return names.split(",")


if __name__ == "__main__":
    raise SystemExit(main())
