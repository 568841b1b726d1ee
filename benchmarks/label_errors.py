"""Which wrong labels `lexport diagnose` finds, beside cleanlab and by other classifiers.

    python benchmarks/label_errors.py [--seeds 5] [--share 0.05]

A share of the labels is changed at random; of those among the first suggestions, twice as many as there are, we count
how many were changed. The labels that a sample set has wrong already count as right.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata

import numpy as np
import numpy.typing as npt
from cleanlab.filter import find_label_issues
from cleanlab.multilabel_classification import get_label_quality_scores as multilabel_quality
from cleanlab.rank import get_label_quality_scores
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from lexport.benchmarks.figures import Values, say
from lexport.benchmarks.report import Report, Verdict, add_options
from lexport.data.dataset import Dataset, dataset_of, label_names, label_sets
from lexport.data.load import load
from lexport.evaluation.diagnostics.label_errors import combined
from lexport.evaluation.metrics import label_matrix
from lexport.evaluation.tasks import task_of
from lexport.export.labels import JUDGES, find_label_errors, judged_out_of_fold
from lexport.models import recipes
from lexport.storage.progress import silent
from lexport.training.linear import fit_bayes
from lexport.training.selection.out_of_fold import out_of_fold

FOLDS = 5
FEW_SEEDS = 3  # of the two smaller tables
WORDS = 100  # of a text of bbc-news in these, whose texts are long
RARE = 20  # texts that are left of a label, where it is made rare
STRENGTH = 10.0  # scikit-learn's C: the best of 1, 3 and 10 on rotten-tomatoes
OURS = "linear and naive Bayes"

Flags = npt.NDArray[np.bool_]
Judge = Callable[[Dataset, Sequence[str], int], Values]
"""From texts with labels, the labels, and a seed to out-of-fold probabilities [texts, labels]."""


@dataclass(frozen=True)
class Found:
    """What one judge found with one seed. ours, theirs: shares of the changed labels among the first suggestions.

    right: share of texts for which the true label is the most probable. suspected, precision: how many labels we
    suspect, and how many of these were changed; issues, their_precision: the same of cleanlab.
    """

    right: float
    ours: float
    theirs: float
    suspected: int
    precision: float
    issues: int
    their_precision: float
    seconds: float


def main() -> int:
    """Measure and print Markdown tables."""
    options = _options()
    report = Report(options)
    report_of = {name: _measure(name, options) for name in options.data}
    verdicts: list[Verdict] = []
    for name, found in report_of.items():
        report.part(f"{options.share:.0%} of the labels of {name} changed, {options.seeds} seeds")
        report.text(f"cleanlab {metadata.version('cleanlab')}; {FOLDS} folds; both rank the same probabilities.")
        report.table(*_shown(found))
        ours, theirs = (np.mean([getattr(one, side) for one in found[OURS]]) for side in ("ours", "theirs"))
        verdicts.append(Verdict(f"{name}: no fewer than cleanlab", f"{ours:.1%}, {theirs:.1%}", bool(ours >= theirs)))
        if name == "rotten-tomatoes":
            verdicts.append(
                Verdict(
                    f"{name}: half of the changed labels among the first twice as many",
                    f"{ours:.1%}",
                    bool(ours >= 0.5),
                )
            )
    few = min(options.seeds, FEW_SEEDS)
    report.part(f"Several labels to a text, {few} seeds")
    report.text(
        f"The first {WORDS // 2} words of two texts of bbc-news are a text with the labels of both; of "
        f"{options.share:.0%} of them one label was given or taken."
    )
    report.table(*_several(options))
    report.part(f"A label with {RARE} texts, {few} seeds")
    report.text(
        f"The first {WORDS} words of bbc-news, with {RARE} texts of one label: how many of the changed labels are "
        "found, and how many of the right labels of these few texts are suspected."
    )
    report.table(*_rare(options))
    return report.close(verdicts)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=lambda value: value.split(","), default=["rotten-tomatoes"], help="sample sets")
    add("--seeds", type=int, default=5, help="how many")
    add("--share", type=float, default=0.05, help="of the labels that are changed")
    add("--texts", type=int, default=None, help="only about so many of a set")
    add("--quick", action="store_true", help="no verdict: does it run at all?")
    add_options(parser)
    return parser.parse_args()


def _loaded(name: str, options: argparse.Namespace) -> Dataset:
    dataset = replace(load(name), parts=None)
    few = options.texts or (300 if options.quick else len(dataset))
    return dataset.take(range(0, len(dataset), max(1, len(dataset) // few)), name)  # sets are sorted by label


def _of_recipe(name: str, *, bayes: bool = False) -> Judge:
    def judge(dataset: Dataset, labels: Sequence[str], seed: int) -> Values:
        fitter = fit_bayes if bayes else None
        found = out_of_fold(dataset, recipes.load(name), labels, folds=FOLDS, seed=seed, fitter=fitter)
        return found.astype(np.float64)

    return judge


def _of_scikit_learn(dataset: Dataset, labels: Sequence[str], seed: int) -> Values:
    given = [labels.index(label) for label in dataset.labels]
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=STRENGTH, solver="liblinear")
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    found: Values = cross_val_predict(model, dataset.texts, given, cv=folds, method="predict_proba")
    return found


def _changed(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Flags]:
    """The dataset with a share of its labels changed to another one, and which, bool [texts]."""
    draw = np.random.default_rng(seed)
    classes = dataset.classes
    rows = draw.choice(len(dataset), round(share * len(dataset)), replace=False)
    labels = [*dataset.labels]
    for row in rows.tolist():
        others = [label for label in classes if label != labels[row]]
        labels[row] = others[int(draw.integers(len(others)))]
    wrong = np.zeros(len(dataset), bool)
    wrong[rows] = True
    return replace(dataset, labels=labels), wrong


def _measure(name: str, options: argparse.Namespace) -> dict[str, list[Found]]:
    dataset = _loaded(name, options)
    labels = dataset.classes
    truth = np.array([labels.index(label) for label in dataset.labels])
    judges: dict[str, Judge] = {
        "linear": _of_recipe("linear"),
        "naive Bayes": _of_recipe("linear", bayes=True),
        "bag": _of_recipe("bag"),
        "TF-IDF + LR, scikit-learn": _of_scikit_learn,
    }
    every: dict[str, list[Found]] = {OURS: []}
    for seed in range(options.seeds):
        noisy, wrong = _changed(dataset, options.share, seed)
        said: dict[str, tuple[Values, float]] = {}
        for judge, judged in judges.items():
            began = time.perf_counter()
            said[judge] = (judged(noisy, labels, seed), time.perf_counter() - began)
        both = [said[judge] for judge in ("linear", "naive Bayes")]
        said[OURS] = (combined([values for values, _ in both]), sum(seconds for _, seconds in both))
        for judge, (values, seconds) in said.items():
            every.setdefault(judge, []).append(_found(noisy, labels, truth, wrong, values, seconds))
            say(f"{name}, seed {seed}, {judge}: {every[judge][-1].ours:.1%} found, {seconds:.0f} s")
    return every


def _listed(dataset: Dataset, labels: Sequence[str], values: Values, task: str = "classify") -> npt.NDArray[np.int64]:
    """The rows that `lexport diagnose` lists, in its order."""
    _, errors = find_label_errors(dataset, task_of(task, labels), values, "")
    return np.array([one.row for one in errors], np.int64)


def _found(
    noisy: Dataset, labels: Sequence[str], truth: npt.NDArray[np.int64], wrong: Flags, values: Values, seconds: float
) -> Found:
    first = 2 * int(wrong.sum())
    given = np.array([labels.index(label) for label in noisy.labels])
    ours = _listed(noisy, labels, values)
    quality = get_label_quality_scores(given, values, method="normalized_margin")
    issues = find_label_issues(given, values, n_jobs=1)
    return Found(
        right=float((values.argmax(axis=1) == truth).mean()),
        ours=_share(wrong, ours[:first]),
        theirs=_share(wrong, np.argsort(quality, kind="stable")[:first]),
        suspected=len(ours),
        precision=float(wrong[ours].mean()) if len(ours) else 0.0,
        issues=int(issues.sum()),
        their_precision=float(wrong[issues].mean()) if issues.any() else 0.0,
        seconds=seconds,
    )


def _share(wrong: Flags, rows: npt.NDArray[np.int64]) -> float:
    return float(wrong[rows].sum() / wrong.sum())


def _shown(found: dict[str, list[Found]]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for judge, every in found.items():
        ours = [one.ours for one in every]
        rows.append(
            [
                f"**{judge}**" if judge == OURS else judge,
                f"{np.mean([one.right for one in every]):.1%}",
                f"{np.mean(ours):.1%}",
                f"{min(ours):.1%} … {max(ours):.1%}",
                f"{np.mean([one.theirs for one in every]):.1%}",
                f"{np.mean([one.suspected for one in every]):,.0f}",
                f"{np.mean([one.precision for one in every]):.1%}",
                f"{np.mean([one.issues for one in every]):,.0f}",
                f"{np.mean([one.their_precision for one in every]):.1%}",
                f"{np.mean([one.seconds for one in every]):.0f}",
            ]
        )
    columns = ["judged by", "judged right", "changed labels found", "lowest and highest", "found by cleanlab"]
    return [*columns, "suspected", "of them changed", "by cleanlab", "changed of those", "seconds"], rows


def _several(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    single = _loaded("bbc-news", options)
    draw = np.random.default_rng(0)
    partner = draw.permutation(len(single)).tolist()

    texts = [
        f"{_first(single.texts[row], WORDS // 2)} {_first(single.texts[other], WORDS // 2)}"
        for row, other in enumerate(partner)
    ]
    sets = ["|".join(sorted({single.labels[row], single.labels[other]})) for row, other in enumerate(partner)]
    dataset = dataset_of(texts, sets, "pairs")
    names = label_names(label_sets(dataset))
    truth = label_matrix(label_sets(dataset), names)
    ours, theirs = [], []
    for seed in range(min(options.seeds, FEW_SEEDS)):
        draw = np.random.default_rng(seed)
        rows = draw.choice(len(dataset), round(options.share * len(dataset)), replace=False)
        given = truth.copy()
        for row in rows.tolist():
            given[row, draw.integers(len(names))] ^= True
        labels = ["|".join(name for name, there in zip(names, own, strict=True) if there) for own in given.tolist()]
        noisy = replace(dataset, labels=labels)
        values, _ = judged_out_of_fold(noisy, task_of("multilabel", names), JUDGES, seed, silent)
        wrong = np.zeros(len(dataset), bool)
        wrong[rows] = True
        first = 2 * len(rows)
        ours.append(_share(wrong, _listed(noisy, names, values, "multilabel")[:first]))
        quality = multilabel_quality([np.flatnonzero(own).tolist() for own in given], values)
        theirs.append(_share(wrong, np.argsort(quality, kind="stable")[:first]))
        say(f"several labels, seed {seed}: {ours[-1]:.1%} found, cleanlab {theirs[-1]:.1%}")
    columns = ["texts", "labels", "changed", "found", "found by cleanlab"]
    changed = f"{round(options.share * len(dataset)):,}"
    means = [f"{np.mean(one):.1%}" for one in (ours, theirs)]
    return columns, [[f"{len(dataset):,}", str(len(names)), changed, *means]]


def _first(text: str, count: int) -> str:
    return " ".join(text.split()[:count])


def _rare(options: argparse.Namespace) -> tuple[list[str], list[list[str]]]:
    every = _loaded("bbc-news", options)
    rows_of = {label: [row for row, own in enumerate(every.labels) if own == label] for label in every.classes}
    rare = min(every.classes)
    few = 3 if options.quick else RARE
    dataset = every.take(sorted(set(range(len(every))) - set(rows_of[rare][few:])), every.name)
    dataset = replace(dataset, texts=[_first(text, WORDS) for text in dataset.texts])
    labels = dataset.classes
    truth = np.array([labels.index(label) for label in dataset.labels])
    found, suspected, theirs, their_suspected = [], [], [], []
    for seed in range(min(options.seeds, FEW_SEEDS)):
        noisy, wrong = _changed(dataset, options.share, seed)
        given = np.array([labels.index(label) for label in noisy.labels])
        values, _ = judged_out_of_fold(noisy, task_of("classify", labels), JUDGES, seed, silent)
        right = ~wrong & (truth == labels.index(rare))
        ours = _listed(noisy, labels, values)
        issues = find_label_issues(given, values, n_jobs=1)
        first = 2 * int(wrong.sum())
        found.append(_share(wrong, ours[:first]))
        theirs.append(_share(wrong, np.argsort(get_label_quality_scores(given, values), kind="stable")[:first]))
        suspected.append(float(np.isin(np.flatnonzero(right), ours).mean()))
        their_suspected.append(float(issues[right].mean()))
        say(f"a rare label, seed {seed}: {found[-1]:.1%} found, {suspected[-1]:.1%} of its right labels suspected")
    rows = [
        ["ours", f"{np.mean(found):.1%}", f"{np.mean(suspected):.1%}"],
        ["cleanlab", f"{np.mean(theirs):.1%}", f"{np.mean(their_suspected):.1%}"],
    ]
    return ["by", "changed labels found", "right labels of the rare one suspected"], rows


if __name__ == "__main__":
    raise SystemExit(main())
