"""The recipe `linear`: the model that scikit-learn finds for the same features, and how its strength is chosen."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression

from lexport.data.dataset import Dataset
from lexport.data.load import load, of_texts
from lexport.data.splits import Splits, split
from lexport.errors import InputError
from lexport.evaluation.tasks import task_of
from lexport.models import recipes
from lexport.models.predict import outputs, text_outputs
from lexport.models.recipes import Recipe
from lexport.models.recipes.settings import with_settings
from lexport.models.run import Run, open_run
from lexport.models.vocabulary import build_encoder
from lexport.training.linear.features import Counts, Design, Merged, Scales, Weighing
from lexport.training.linear.newton import LogisticLoss
from lexport.training.train import train

from ...refusals import refused

Scores = npt.NDArray[np.float64]
EXACT = 1e-5


def sample(name: str, every: int) -> tuple[list[str], list[str]]:
    """Each `every`th text of a sample set, its first twenty words, and its label."""
    rows = load(name)
    texts = [" ".join(text.split()[:20]) for text in rows.texts[::every]]
    return texts, rows.labels[::every]


def linear(*settings: str) -> Recipe:
    return with_settings(recipes.load("linear"), settings)


def fitted(recipe: Recipe, texts: list[str], labels: list[str] | list[list[str]], out: Path) -> tuple[Run, Splits]:
    dataset = of_texts(texts, labels, multi_label=recipe.head.task == "multilabel")
    run = train(dataset, out, recipe=recipe)
    return run, split(dataset, None)


def features(run: Run, texts: list[str], train: list[str]) -> csr_matrix:
    """What the documentation says of the features, from the ids that our text code makes: [texts, features]."""

    def counted(texts: list[str]) -> tuple[csr_matrix, npt.NDArray[np.int64]]:
        tokens = run.encoder.look_up(texts)
        cells, counts = run.encoder.flatten(tokens)
        starts = np.concatenate(([0], np.cumsum(counts)))
        matrix = csr_matrix((np.ones(len(cells)), cells, starts), shape=(len(texts), run.encoder.spec.rows))
        return matrix, counts

    seen, cells = counted(train)
    totals = np.asarray(seen.sum(axis=0)).ravel()
    factors = np.where(totals > 0, np.log1p(len(train) / np.maximum(totals, 1)), 0)
    words = run.encoder.look_up_words(sorted({word for text in train for word in run.encoder.tokens(text)[0]}))
    assert words.subwords is not None
    subwords = np.unique(words.subwords.values % run.encoder.spec.buckets) + run.encoder.spec.words
    if not run.info.training["subword_idf"]:
        factors[subwords] = 1.0
    factors[subwords] *= run.info.training["subword_weight"]

    def length(factors: npt.NDArray[np.float64]) -> float:
        """The root of the mean square of the length of a text's vector, whose cells count as different ones."""
        return float(np.sqrt(np.mean((seen @ factors**2) / cells)))

    factors /= length(factors)
    matrix, counts = counted(texts)
    return (diags(1 / np.sqrt(np.maximum(counts, 1))) @ matrix @ diags(factors))[:, totals > 0]


def test_rows_that_occur_equally_often_in_every_text_are_one_feature_with_the_same_sums() -> None:
    encoder = build_encoder(["a b a b", "c d", "c d c e"], recipes.TextOptions(min_count=1))
    counts = Counts.of(encoder, encoder.look_up(["a b a b", "c d", "c d c e"]))
    scales = Scales.of(counts, encoder, 0.5, Weighing(1.0), 100)
    merged = Merged.of(counts, scales)
    words = [encoder.vocabulary[row - 2] for row in merged.scales.rows.tolist()]
    assert (words, len(scales.rows)) == (["c", "a", "d", "e"], 5)  # the most frequent first; b is as a
    weight = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = merged.rows_of(weight)
    plain = Design(counts, replace(scales, factors=torch.ones_like(scales.factors)), 0.5)
    torch.testing.assert_close(plain.forward(rows), Design(counts, merged.scales, 0.5).forward(weight))
    # The penalty of the features that were merged.
    torch.testing.assert_close((rows / scales.factors).square().sum(), weight.square().sum())


def ours(run: Run, parts: Splits) -> Scores:
    return outputs(run.model, run.encoder, parts.test).astype(np.float64)


@pytest.mark.parametrize(
    ("name", "every", "weights", "settings"),
    [
        ("rotten-tomatoes", 60, "none", ()),
        ("bbc-news", 25, "none", ()),
        ("bbc-news", 25, "balanced", ()),
        ("chinese-reviews", 300, "none", ()),
        ("chinese-reviews", 300, "none", ("head.subword_weight=8", "head.subword_idf=false")),
    ],
)
def test_it_predicts_as_scikit_learn_does_from_the_same_features(
    name: str, every: int, weights: str, settings: tuple[str, ...], tmp_path: Path
) -> None:
    recipe = linear("head.strength=3", f"head.class_weights={weights}", *settings)
    run, parts = fitted(recipe, *sample(name, every), tmp_path / "run")
    reference = LogisticRegression(
        C=3, tol=1e-9, max_iter=10_000, class_weight=None if weights == "none" else weights
    ).fit(features(run, parts.train.texts, parts.train.texts), parts.train.labels)
    theirs = reference.predict_proba(features(run, parts.test.texts, parts.train.texts))
    assert run.labels == list(reference.classes_)
    assert np.ptp(theirs, axis=0).max() > 0.03
    np.testing.assert_allclose(ours(run, parts), theirs, rtol=0, atol=EXACT)


def test_several_labels_of_a_text_are_a_regression_each(tmp_path: Path) -> None:
    texts, names = sample("bbc-news", 25)
    labels = [[name, *(["long"] if len(text) > 110 else [])] for text, name in zip(texts, names, strict=True)]
    run, parts = fitted(linear("head.strength=3", "head.multi_label=true"), texts, labels, tmp_path / "run")
    truth = task_of("multilabel", run.labels).truth(parts.train)
    theirs = [
        LogisticRegression(C=3, tol=1e-9, max_iter=10_000)
        .fit(features(run, parts.train.texts, parts.train.texts), own)
        .predict_proba(features(run, parts.test.texts, parts.train.texts))[:, 1]
        for own in truth.T
    ]
    np.testing.assert_allclose(ours(run, parts), np.stack(theirs, axis=1), rtol=0, atol=EXACT)


def test_the_strength_is_that_with_the_lowest_held_out_loss(tmp_path: Path) -> None:
    run, _ = fitted(linear(), *sample("rotten-tomatoes", 60), tmp_path / "run")
    losses = run.info.training["validation_losses"]
    assert len(losses) >= 3
    assert run.info.training["best_epoch"] == losses.index(min(losses)) + 1
    assert run.info.training["strength"] in (1, 3, 10, 30, 100, 300, 1000)
    assert (
        f"strength {run.info.training['strength']:g} of {len(losses)} tried" in (run.folder / "README.md").read_text()
    )


def few(name: str, texts: int) -> tuple[list[str], list[str]]:
    """That many texts of each label of a sample set, drawn at random."""
    every = load(name)
    taken: dict[str, list[str]] = {label: [] for label in every.classes}
    for row in np.random.default_rng(0).permutation(len(every)).tolist():
        if len(taken[every.labels[row]]) < texts:
            taken[every.labels[row]].append(every.texts[row])
    rows = [(text, label) for label, own in taken.items() for text in own]
    return [text for text, _ in rows], [label for _, label in rows]


def weighed(run: Run) -> tuple[float, bool]:
    """What a subword counts, and whether times its IDF."""
    return run.info.training["subword_weight"], run.info.training["subword_idf"]


def of_letters(labels: int, texts: int) -> tuple[list[str], list[str]]:
    """Texts of words that are never met again: the labels differ by which letter follows which."""
    random = np.random.default_rng(0)
    follows = random.dirichlet(np.full(20, 0.5), (labels, 20))
    rows = []
    for _ in range(texts):
        for label in range(labels):
            letters = [0]
            while len(letters) < 24:
                letters.append(int(random.choice(20, p=follows[label, letters[-1]])))
            text = "".join(string.ascii_lowercase[letter] for letter in letters)
            rows.append((" ".join(text[start : start + 6] for start in range(0, 24, 6)), f"label {label}"))
    return [text for text, _ in rows], [label for _, label in rows]


def test_where_letters_tell_more_than_words_frequent_subwords_count_most(tmp_path: Path) -> None:
    texts = of_letters(6, 30)
    chosen, parts = fitted(linear(), *texts, tmp_path / "auto")
    assert weighed(chosen) == (8, False)
    usual, _ = fitted(linear("head.subword_weight=0.5"), *texts, tmp_path / "usual")
    assert weighed(usual) == (0.5, True)
    assert loss(chosen, parts.test) < 0.8 * loss(usual, parts.test)


def test_a_lower_loss_by_stronger_weights_alone_chooses_no_weighing(tmp_path: Path) -> None:
    # Of so few texts weights are too weak, and of features that count more stronger, so that their loss is lower.
    texts = few("bbc-news", 25)
    chosen, two, eight = (
        fitted(linear(*settings), *texts, tmp_path / f"run-{number}")[0]
        for number, settings in enumerate(
            ((), ("head.subword_weight=2",), ("head.subword_weight=8", "head.subword_idf=false"))
        )
    )
    losses = [min(run.info.training["validation_losses"]) for run in (two, eight)]
    assert losses[1] < 0.95 * losses[0]
    assert weighed(chosen) == (2, True)
    assert chosen.info.training["validation_losses"] == two.info.training["validation_losses"]
    unseen = load("bbc-news").take(range(0, 1000, 7), "unseen")
    assert right(chosen, unseen) > right(eight, unseen) + 0.05


def right(run: Run, part: Dataset) -> float:
    """The share of texts that get their label."""
    answers = text_outputs(run.model, run.encoder, part.texts).argmax(axis=1)
    return float(np.mean([run.labels[answer] == label for answer, label in zip(answers, part.labels, strict=True)]))


def test_weighings_that_the_recipe_rules_out_are_not_tried(tmp_path: Path) -> None:
    texts = of_letters(3, 20)
    with_idf, _ = fitted(linear("head.subword_idf=true"), *texts, tmp_path / "with")
    without, _ = fitted(linear("head.subword_idf=false"), *texts, tmp_path / "without")
    own, _ = fitted(linear("head.subword_idf=false", "head.subword_weight=3"), *texts, tmp_path / "own")
    assert weighed(with_idf) in ((0.5, True), (2.0, True))
    assert (weighed(without), weighed(own)) == ((8.0, False), (3.0, False))


@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("scale", [0.05, 1.0, 20.0])
def test_the_calibrated_loss_is_the_least_that_a_factor_of_the_logits_reaches(outputs: int, scale: float) -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(50, outputs, dtype=torch.float64, generator=random)
    if outputs == 1:
        truth = torch.bernoulli((0.7 * logits).sigmoid(), generator=random)
    else:
        drawn = torch.multinomial((0.7 * logits).softmax(dim=1), 1, generator=random)[:, 0]
        truth = torch.nn.functional.one_hot(drawn, outputs).to(torch.float64)
    ones = torch.ones(50, 1, dtype=torch.float64)
    one = LogisticLoss(truth, ones, outputs > 1, torch.zeros_like(truth))
    least = minimize_scalar(lambda factor: one.value(factor * logits), bounds=(0, 10), method="bounded").fun
    assert one.calibrated(scale * logits) == pytest.approx(least, rel=1e-6)


def test_too_many_texts_for_folds_choose_no_weight_of_subwords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lexport.training.linear.problem._FOLDED", 0)
    run, _ = fitted(linear(), *sample("rotten-tomatoes", 60), tmp_path / "run")
    assert weighed(run) == (0.5, True)


def test_the_same_texts_give_the_same_weights_whatever_the_seed(tmp_path: Path) -> None:
    dataset = of_texts(*sample("bbc-news", 30))
    first, second = (train(dataset, tmp_path / str(seed), recipe=linear(), seed=seed) for seed in (1, 2))
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_an_interrupted_fit_leaves_nothing_and_resuming_starts_it_again(tmp_path: Path) -> None:
    dataset, out = of_texts(*sample("bbc-news", 30)), tmp_path / "run"

    def stop(done: float, most: float, what: str) -> None:
        if "strength 3" in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(dataset, out, recipe=linear(), progress=stop)
    assert list(tmp_path.iterdir()) == []
    train(dataset, out, recipe=linear(), resume=True)
    assert open_run(out).digest == train(dataset, tmp_path / "whole", recipe=linear()).digest


def test_class_weights_find_a_label_that_is_a_tenth_as_frequent(tmp_path: Path) -> None:
    texts, labels = sample("bbc-news", 1)
    rows = [row for row, label in enumerate(labels) if label == "sports" or (label == "tech" and row % 8 == 0)]
    unseen = [
        text for row, (text, label) in enumerate(zip(texts, labels, strict=True)) if label == "tech" and row % 8
    ]
    found = {}
    for weights in ("none", "balanced"):
        recipe = linear(f"head.class_weights={weights}", "head.strength=30")
        run, _ = fitted(recipe, [texts[row] for row in rows], [labels[row] for row in rows], tmp_path / weights)
        answers = text_outputs(run.model, run.encoder, unseen).argmax(axis=1)
        found[weights] = float(np.mean(answers == run.labels.index("tech")))
    assert found["balanced"] > max(2 * found["none"], 0.15)


def test_training_further_changes_little_where_the_new_texts_say_little(tmp_path: Path) -> None:
    texts, labels = sample("rotten-tomatoes", 10)
    before, parts = fitted(linear(), texts[::2], labels[::2], tmp_path / "before")
    dataset = of_texts(texts[1::2], labels[1::2])
    after = train(dataset, tmp_path / "after", recipe=before.recipe, start=before)
    other = split(dataset).validation
    assert loss(after, other) < loss(before, other)
    assert loss(after, parts.test) < 0.69  # it did not forget


def loss(run: Run, part: object) -> float:
    """The mean cross-entropy of the labels of `part`."""
    scores = outputs(run.model, run.encoder, part)  # type: ignore[arg-type]
    rows = [run.labels.index(label) for label in part.labels]  # type: ignore[attr-defined]
    return float(-np.log(scores[np.arange(len(rows)), rows]).mean())


def test_what_a_linear_model_cannot_have_is_refused(tmp_path: Path) -> None:
    dataset = of_texts(*sample("bbc-news", 25))
    with refused(InputError, "LX-TRAIN-028", "5 labels", "dim=16"):
        train(dataset, tmp_path / "run", recipe=linear("embedding.dim=16"))
    with refused(InputError, "LX-RECIPE-010", "newton", "hashed"):
        recipes.parse(
            "own", '[text]\n[embedding]\nname="hashed"\n[head]\nname="linear"\n[training]\noptimizer="newton"'
        )
    with refused(InputError, "LX-RECIPE-010", "'linear'", "sqrtn"):
        recipes.parse("own", '[encoder]\nname="cnn"\n[head]\nname="linear"')
    for setting in (
        "head.strength=0",
        'head.strength="strong"',
        "head.subword_weight=-1",
        'head.subword_weight="x"',
        'head.subword_idf="x"',
    ):
        with refused(InputError, "LX-RECIPE-010", "must be"):
            linear(setting)
