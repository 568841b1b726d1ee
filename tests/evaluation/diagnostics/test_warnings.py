"""Warnings about data and answers: each on data that earns it, and none on data that does not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.load import Columns, Dataset, dataset_of, load
from lexport.data.splits import Splits, split
from lexport.evaluation.diagnostics.advice import TITLES, Advice, Command
from lexport.evaluation.diagnostics.label_noise import suspicious_rows, swapped_labels
from lexport.evaluation.diagnostics.leakage import cross_split_duplicates, word_keys
from lexport.evaluation.diagnostics.tokenized import TokenizedSplits
from lexport.evaluation.diagnostics.warnings import data_warnings, prediction_warnings
from lexport.evaluation.metrics import Outputs
from lexport.evaluation.tasks import Classify, MultiLabel, Vectors
from lexport.handlers.text.encoder import TextEncoder
from lexport.handlers.text.spec import Layout
from lexport.models import recipes
from lexport.models.recipes import Recipe
from lexport.models.vocabulary import build_encoder


@cache
def sample(name: str) -> Splits:
    columns = Columns(language="language") if name == "multilingual-reviews" else Columns()
    return split(load(name, columns))


def small(model: str = "bag", **text: Any) -> Recipe:
    """A shipped recipe, its dim chosen, with buckets that sample sets fill."""
    buckets = {"buckets": 1 << 18} if model in ("hashed", "char-ngrams") else {}
    return recipes.load(model).changed("embedding", dim=16, **buckets).changed("text", **text)


def encoder_of(recipe: Recipe, train: Dataset) -> TextEncoder:
    texts = train.texts + (train.pairs or [])
    return build_encoder(texts, recipe.text, inputs=recipe.inputs, languages=train.languages)


COMMAND = Command("mine.csv", Path("runs/mine"))


def advice(
    recipe: Recipe,
    parts: Splits,
    encoder: TextEncoder | None = None,
    command: Command = COMMAND,
    *,
    further: bool = False,
) -> list[Advice]:
    encoder = encoder or encoder_of(recipe, parts.train)
    labels = parts.train.classes if recipe.task in ("classify", "multilabel") else []
    if recipe.task == "multilabel":
        labels = sorted({name for one in parts.train.labels for name in one.split("|") if name})
    return data_warnings(recipe, parts, encoder, labels, TokenizedSplits.of(encoder, parts), command, further=further)


def relabelled(part: Dataset, labels: Sequence[str]) -> Dataset:
    return dataclasses.replace(part, labels=list(labels))


def confused(parts: Splits, given: str, wrong: str, share: float, *, both: bool = False) -> Splits:
    """A share of the rows labelled `given` in training and validation labelled `wrong`, or the two exchanged."""
    draw = np.random.default_rng(5)
    other = {given: wrong} | ({wrong: given} if both else {})

    def wrongly(part: Dataset) -> Dataset:
        return relabelled(part, [other.get(one, one) if draw.random() < share else one for one in part.labels])

    return dataclasses.replace(parts, train=wrongly(parts.train), validation=wrongly(parts.validation))


def only(found: Sequence[Advice], *said: str) -> None:
    """One warning, in which, or in the command that follows it, all of this is said."""
    (one,) = found
    told = f"{one.warning} Try: {COMMAND.with_all([one])}"
    for words in said:
        assert words in told, told
    kept = json.loads(json.dumps(one.to_json(), allow_nan=False))
    assert kept["code"] == one.code
    assert kept["message"] == TITLES[one.code]
    assert kept["details"]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("rotten-tomatoes", "bag"),
        ("rotten-tomatoes", "cnn"),
        ("rotten-tomatoes", "char"),
        ("rotten-tomatoes", "hashed"),
        ("bbc-news", "bag"),
        ("chinese-reviews", "bag"),
        ("chinese-reviews", "char"),
        ("multilingual-reviews", "multilingual"),
    ],
)
def test_ordinary_data_earn_no_warning(name: str, model: str) -> None:
    assert advice(small(model), sample(name)) == []


def made(texts: Sequence[str], labels: Sequence[str] | None = None, **columns: Any) -> Dataset:
    return dataset_of(list(texts), list(labels or ["a"] * len(texts)), "mine.csv", **columns)


def three(train: Sequence[str], held: Sequence[str], **columns: Any) -> Splits:
    parts = [made(texts, ["a", "b"] * (len(texts) // 2), **columns) for texts in (train, held, held)]
    return Splits(*parts)


def words(first: int, count: int, repeat: int = 3) -> list[str]:
    """Texts of five words each, every word in `repeat` of them."""
    return [" ".join(f"word{first + (row + step) % count}" for step in range(repeat)) for row in range(count)]


PLAIN = recipes.parse("mine", "").changed("embedding", dim=4)
SEVERAL = PLAIN.changed("head", multi_label=True)


def test_words_that_training_lacks_are_told_with_their_share() -> None:
    found = advice(PLAIN, three(words(0, 60), words(50, 40, 4)))
    only(found, "most words are unknown: 75% of those in the validation texts (0% in training)", "--model hashed")


def test_a_vocabulary_that_leaves_most_words_out_is_told_with_its_options() -> None:
    recipe = PLAIN.changed("text", min_count=4, max_vocabulary=10)
    texts = words(0, 40)
    held = [" ".join(reversed(text.split())) for text in texts]
    only(advice(recipe, three(texts, held)), "unknown", "--min-count 1 --max-vocabulary 40")


def test_a_run_trained_further_is_told_to_expand_first() -> None:
    encoder = encoder_of(PLAIN, made(words(0, 40)))
    command = Command("mine.csv", Path("runs/mine"), (("--from", "runs/old"), ("--text-column", "body")))
    (found,) = advice(PLAIN, three(words(200, 40), words(300, 40)), encoder, command, further=True)
    assert command.with_all([found]) == (
        "lexport expand runs/old --from-oov mine.csv --text-column body --out runs/old-2 && "
        "lexport train mine.csv --from runs/old-2 --text-column body --out runs/mine-2"
    )


def test_where_most_words_are_known_nothing_is_said() -> None:
    assert advice(PLAIN, three(words(0, 60), words(30, 40, 4))) == []


def test_of_several_languages_the_one_with_unknown_words_is_named() -> None:
    recipe = recipes.parse("mine", '[embedding]\nname = "multilingual"').changed("embedding", dim=4)
    train = made(words(0, 40) + words(0, 40, 4), ["a", "b"] * 40, languages=["en"] * 40 + ["ne"] * 40)
    held = made(words(2, 30, 5) + words(500, 10), ["a", "b"] * 20, languages=["en"] * 30 + ["ne"] * 10)
    assert advice(recipe, Splits(train, held, held)) == []  # no command gives training such texts
    rare = made(words(0, 40) + words(0, 40, 1), ["a", "b"] * 40, languages=["en"] * 40 + ["ne"] * 40)
    held = made(words(2, 30, 5) + words(5, 10, 2), ["a", "b"] * 20, languages=["en"] * 30 + ["ne"] * 10)
    found = advice(recipe, Splits(rare, held, held))
    only(found, "100% of those in the validation texts in ne (100% in training)", "--min-count 1")


def test_characters_are_unknown_one_by_one() -> None:
    recipe = small("char")
    shifted = ["".join(chr(ord(one) + 0x380) if one != " " else one for one in text) for text in words(0, 40)]
    assert advice(recipe, three(words(0, 40), shifted)) == []  # no command gives training such texts
    recipe_of_rare = small("char", min_count=10_000)
    only(
        advice(recipe_of_rare, three(words(0, 40), words(20, 40, 4))), "most characters are unknown", "--min-count 1"
    )
    assert advice(recipe, three(words(0, 40), words(20, 40, 4))) == []


def test_hashed_words_are_new_where_no_training_text_has_them() -> None:
    recipe = recipes.parse("mine", '[embedding]\nname = "hashed"\nbuckets = 64').changed("embedding", dim=4)
    parts = three(words(0, 40), words(500, 40))
    only(advice(recipe, parts), "most words are new: 100%", "--set 'text.subwords=[3, 5]'")
    assert advice(recipe, three(words(0, 40), words(2, 38, 4))) == []


def test_hashed_words_with_subwords_are_never_new() -> None:
    recipe = recipes.parse("mine", '[embedding]\nname = "hashed"\nbuckets = 64\n[text]\nsubwords = [3, 5]')
    assert advice(recipe.changed("embedding", dim=4), three(words(0, 40), words(500, 40))) == []


def unbalanced(share: float, recipe: Recipe | None = None, **head: Any) -> list[Advice]:
    parts = sample("rotten-tomatoes")
    draw = np.random.default_rng(1)

    def thinned(part: Dataset) -> Dataset:
        rows = [row for row, label in enumerate(part.labels) if label != "positive" or draw.random() < share]
        return part.take(rows, part.name)

    return advice(
        recipe or small(ngrams=1, buckets=0).changed("head", **head),
        Splits(thinned(parts.train), thinned(parts.validation), thinned(parts.test)),
    )


def test_a_majority_is_told_as_the_accuracy_it_gives() -> None:
    only(
        unbalanced(0.1),
        "labels are unbalanced",
        "an accuracy of 0.91 is what always answering 'negative'",
        "--set head.class_weights=balanced",
        "macro-F1",
    )


def test_two_thirds_are_no_majority_worth_a_warning() -> None:
    assert unbalanced(0.5) == []


def test_labels_that_are_weighed_already_earn_no_warning() -> None:
    assert unbalanced(0.1, class_weights="balanced") == []


def test_nor_do_those_that_a_recipe_weighs_unasked() -> None:
    linear = recipes.load("linear").changed("text", buckets=4096)
    assert unbalanced(0.05, linear) == []


def test_a_rare_label_among_several_is_told() -> None:
    parts = sample("bbc-news")
    rows = [row for row, label in enumerate(parts.train.labels) if label != "tech"]
    rows += [row for row, label in enumerate(parts.train.labels) if label == "tech"][:15]
    parts = dataclasses.replace(parts, train=parts.train.take(sorted(rows), parts.train.name))
    only(advice(small(ngrams=1, buckets=0), parts), "labels are unbalanced", "and 15 'tech'")


def test_of_several_labels_a_text_the_rare_one_is_told() -> None:
    recipe = PLAIN.changed("head", multi_label=True)
    texts, labels = words(0, 60), ["a|b", "b", ""] * 20
    held = [text + " word1" for text in texts]
    parts = Splits(made(texts, labels), made(held, labels), made(held, labels))
    assert advice(recipe, parts) == []
    labels = ["a|c"] + ["a", "a|b"] * 29 + ["b"]
    parts = Splits(made(texts, labels), made(held, labels), made(held, labels))
    only(advice(recipe, parts), "and 1 'c'", "micro-F1 hardly shows it")


NO_GRAMS: dict[str, Any] = {"ngrams": 1, "buckets": 0}


@pytest.mark.parametrize(
    ("name", "given", "wrong", "both"),
    [
        ("rotten-tomatoes", "positive", "negative", False),
        ("rotten-tomatoes", "positive", "negative", True),
        ("chinese-reviews", "negative", "positive", False),
        ("bbc-news", "sports", "business", False),
        ("bbc-news", "sports", "business", True),
    ],
)
def test_a_fifth_of_a_label_swapped_is_told_with_three_rows(name: str, given: str, wrong: str, both: bool) -> None:
    found = advice(small(**NO_GRAMS), confused(sample(name), given, wrong, 0.2, both=both))
    only(found, "labels look swapped", "have another label", f"is labelled '{wrong}', likely '{given}'")
    assert found[0].warning.count(" is labelled ") == 3


@pytest.mark.parametrize("model", ["char", "hashed", "multilingual"])
def test_swapped_labels_are_found_in_every_layout(model: str) -> None:
    parts = sample("multilingual-reviews" if model == "multilingual" else "rotten-tomatoes")
    found = advice(small(model), confused(parts, "negative", "positive", 0.2))
    only(found, "labels look swapped", "likely 'negative'")


def test_labels_drawn_by_lot_or_hard_texts_look_not_swapped() -> None:
    parts = sample("rotten-tomatoes")
    drawn = np.random.default_rng(2).permutation(parts.train.labels).tolist()
    assert advice(small(**NO_GRAMS), dataclasses.replace(parts, train=relabelled(parts.train, drawn))) == []
    # Of four words each nobody could tell many.
    assert advice(small(max_tokens=4, **NO_GRAMS), sample("rotten-tomatoes"))[1:] == []


@pytest.mark.parametrize("seed", [pytest.param(one, marks=[pytest.mark.long] * (one >= 8)) for one in range(21)])
def test_a_hundred_and_fifty_clean_rows_look_not_swapped(seed: int) -> None:
    parts = sample("bbc-news")
    rows = np.random.default_rng(seed).permutation(len(parts.train))[:150]
    parts = dataclasses.replace(parts, train=parts.train.take(sorted(rows.tolist()), "few"))
    encoder = encoder_of(PLAIN, parts.train)
    tokens = TokenizedSplits.of(encoder, parts)
    two = (parts.train, parts.validation), (tokens.train, tokens.validation)
    assert swapped_labels(encoder.spec, parts.train.classes, *two) is None
    assert suspicious_rows(encoder.spec, parts.train.classes, *two) == [[], []]


def leaking(parts: Splits, rows: int) -> Splits:
    """The first training texts among the validation texts too, in capitals and with other spaces."""
    copies = [f"  {text.upper()} ".replace(" ", "  ") for text in parts.train.texts[:rows]]
    held = parts.validation
    again = dataset_of(held.texts + copies, held.labels + parts.train.labels[:rows], held.name)
    return dataclasses.replace(parts, validation=again)


@pytest.mark.parametrize("model", ["bag", "cnn", "char", "hashed"])
def test_texts_that_differ_only_in_case_and_spaces_are_told_in_every_layout(model: str) -> None:
    found = advice(small(model), leaking(sample("rotten-tomatoes"), 40))
    only(found, "40 of 853 validation and 0 of 833 test texts are the same", "metrics are too good")


def test_few_such_texts_flatter_nothing() -> None:
    assert advice(small(), leaking(sample("rotten-tomatoes"), 10)) == []


def test_different_unknown_words_make_no_twins() -> None:
    train, held = made(["aa bb", "cc dd", "dd ee", "Ff  gg"]), made(["ii jj", "kk", "ff GG"])
    encoder = build_encoder([], PLAIN.text)
    looked_up = [encoder.look_up(part.texts) for part in (train, held)]
    assert cross_split_duplicates(encoder, train, looked_up[0], held, looked_up[1]) == [(2, 3)]


def test_equal_texts_with_other_partners_or_languages_are_no_twins() -> None:
    train = made(["aa bb", "cc"], pairs=["one", "two"])
    held = made(["AA BB", "CC"], pairs=["other", "Two"])
    encoder = build_encoder([], PLAIN.text)
    looked_up = [encoder.look_up(part.texts) for part in (train, held)]
    assert cross_split_duplicates(encoder, train, looked_up[0], held, looked_up[1]) == [(1, 1)]
    recipe = recipes.parse("mine", '[embedding]\nname = "multilingual"')
    spoken = [made(["aa"], languages=["en"]), made(["aa", "AA"], languages=["ne", "en"])]
    both = build_encoder(["bb", "bb"], recipe.text, inputs=Layout.LANGUAGES, languages=["en", "ne"])
    looked_up = [both.look_up(part.texts, part.languages) for part in spoken]
    assert cross_split_duplicates(both, spoken[0], looked_up[0], spoken[1], looked_up[1]) == [(1, 0)]


@given(st.lists(st.text(alphabet="abé ", min_size=1, max_size=12), min_size=1, max_size=8))
def test_words_have_equal_keys_where_they_are_spelled_alike(texts: list[str]) -> None:
    recipe = small("char", min_count=1)
    encoder = build_encoder(texts, recipe.text, inputs=Layout.CHARACTERS)
    spelled = [word for text in texts for word in encoder.tokens(text)[0]]
    keys = word_keys(encoder.spec, encoder.look_up(texts)).tolist()
    assert len(keys) == len(spelled)
    assert len(set(zip(keys, spelled, strict=True))) == len(set(keys)) == len(set(spelled))


@pytest.mark.parametrize("model", ["bag", "hashed"])
def test_buckets_that_hardly_any_text_fills_are_told_with_a_number_that_is_enough(model: str) -> None:
    section = "embedding" if model == "hashed" else "text"
    parts = sample("rotten-tomatoes")
    huge = small(model).changed(section, buckets=1 << 24)
    found = advice(huge, parts)
    only(found, "nearly all buckets stay unused", f"--set {section}.buckets=auto")


def test_the_buckets_of_a_run_trained_further_stay_as_they_are() -> None:
    assert advice(small(buckets=1 << 24), sample("rotten-tomatoes"), further=True) == []


def test_shared_buckets_of_several_languages_are_counted() -> None:
    recipe = small("multilingual", buckets=1 << 25)
    only(advice(recipe, sample("multilingual-reviews")), "nearly all buckets stay unused")


def test_a_model_that_answers_no_label_for_most_texts_is_told_a_threshold() -> None:
    part = made([f"text {row}" for row in range(100)], ["a", "a|b", "b", ""] * 25)
    scores: Outputs = np.random.default_rng(0).uniform(0.1, 0.45, (100, 2)).astype(np.float32)
    found = prediction_warnings(SEVERAL, MultiLabel(["a", "b"]), part, scores)
    only(found, "no label for 100 of 100 validation texts, of which only 25 have none", "--set head.threshold=0.")
    threshold = float(str(found[0].options[0][1]).partition("=")[2])
    assert 95 <= (scores >= threshold).sum() <= 110
    assert prediction_warnings(SEVERAL, MultiLabel(["a", "b"], threshold), part, scores) == []


def test_silence_is_right_where_most_texts_have_no_label() -> None:
    part = made([f"text {row}" for row in range(100)], ["a", "", "", ""] * 25)
    assert prediction_warnings(SEVERAL, MultiLabel(["a"]), part, np.full((100, 1), 0.1, np.float32)) == []


def test_a_model_that_answers_one_label_for_all_texts_is_told() -> None:
    part = made([f"text {row}" for row in range(40)], ["a", "b", "b", "b"] * 10)
    scores: Outputs = np.tile(np.array([[0.4, 0.6]], np.float32), (40, 1))
    only(
        prediction_warnings(PLAIN, Classify(["a", "b"]), part, scores),
        "predicts 'b' for all 40",
        "of which 10 have another label",
        "--model bag",
    )
    assert prediction_warnings(recipes.load("bag"), Classify(["a", "b"]), part, scores) == []
    scores[3] = [0.9, 0.1]
    assert prediction_warnings(PLAIN, Classify(["a", "b"]), part, scores) == []


def test_answers_to_few_texts_and_vectors_earn_no_warning() -> None:
    part = made(["one", "two"], ["a", "b"])
    assert prediction_warnings(PLAIN, Classify(["a", "b"]), part, np.array([[0.4, 0.6]] * 2, np.float32)) == []
    many = made([f"text {row}" for row in range(40)])
    assert prediction_warnings(recipes.load("vectors"), Vectors(), many, np.ones((80, 4), np.float32)) == []
