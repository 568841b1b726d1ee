"""The command that follows advice: any subset of it at once, with what was asked for kept where it still fits."""

from __future__ import annotations

import shlex
from itertools import chain, combinations
from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.evaluation.diagnostics.advice import LEAVE_OUT, Advice, Command, Options, setting
from lexport.models import recipes
from lexport.models.recipes.settings import with_settings

from ...refusals import refused

ADVICE = [
    Advice("LX-WARN-001", "rows", (("--min-count", "1"), ("--max-vocabulary", "500"))),
    Advice("LX-WARN-001", "parts", (("--model", "hashed"),)),
    Advice("LX-WARN-001", "weights", (setting("head.class_weights", "balanced"),)),
    Advice("LX-WARN-001", "doubted", ((LEAVE_OUT, "doubted"),)),
    Advice("LX-WARN-001", "shared", ((LEAVE_OUT, "shared"),)),
    Advice("LX-WARN-001", "buckets", (setting("text.buckets", "auto"),)),
    Advice("LX-WARN-001", "gradients", (setting("encoder.layers", 2), setting("embedding.spread", 0.05))),
    Advice("LX-WARN-001", "threshold", (setting("head.threshold", 0.2),)),
]
SUBSETS = [*chain.from_iterable(combinations(ADVICE, size) for size in range(1, len(ADVICE) + 1))]


def options(line: str) -> list[tuple[str, str]]:
    words = shlex.split(line)
    assert words[:3] == ["lexport", "train", "mine.csv"]
    return list(zip(words[3::2], words[4::2], strict=True))


@pytest.mark.parametrize("model", ["bag", "lstm"])
def test_any_subset_of_advice_makes_a_recipe(model: str) -> None:
    asked: Options = (("--model", model), ("--dim", "8"), setting("head.dropout", 0.2))
    if model == "lstm":
        asked = (*asked, setting("encoder.layers", 8))
    for subset in SUBSETS:
        if model == "bag" and any(one.warning == "gradients" for one in subset):
            continue  # a bag has no layers to lower, and is not told to
        given = options(Command("mine.csv", Path("run"), asked).with_all(subset))
        recipe = with_settings(
            recipes.load(dict(given)["--model"]), [value for name, value in given if name == "--set"]
        )
        assert getattr(recipe.head, "dropout", None) == 0.2
        for one in subset:
            kept = [pair for pair in one.options if pair[0] != "--set" or str(pair[1]).startswith("head.")]
            assert set(kept) <= set(given)


def test_of_two_values_for_one_option_the_later_counts() -> None:
    asked = (("--min-count", "9"), setting("text.buckets", 64), (LEAVE_OUT, "shared"))
    line = Command("mine.csv", Path("run"), asked).with_all(
        [Advice("LX-WARN-001", "", (("--min-count", "1"), setting("text.buckets", "auto"), (LEAVE_OUT, "doubted")))]
    )
    options = "--min-count 1 --set text.buckets=auto --leave-out shared --leave-out doubted"
    assert line == f"lexport train mine.csv {options} --out run-2"


def test_the_new_run_takes_the_first_name_that_is_free(tmp_path: Path) -> None:
    (tmp_path / "run-2").mkdir()
    assert Command("mine.csv", tmp_path / "run").free() == tmp_path / "run-3"


def test_settings_are_of_any_section_and_type() -> None:
    given = [
        "text.subwords=[3, 5]",
        "head.class_weights=balanced",
        "training.learning_rate=1",
        "gates.min_speedup=0.5",
    ]
    recipe = with_settings(recipes.load("bag"), given)
    assert recipe.text.subwords == (3, 5)
    assert getattr(recipe.head, "class_weights", None) == "balanced"
    assert (recipe.training.learning_rate, recipe.gates.min_speedup) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("head", ("LX-RECIPE-014", "head", "SECTION.OPTION=VALUE")),
        ("dropout=1", ("LX-RECIPE-014", "dropout=1", "SECTION.OPTION=VALUE")),
        ("model.dropout=1", ("LX-RECIPE-014", "model.dropout=1", "text, embedding, encoder, head, training, gates")),
        ("head.droput=1", ("LX-RECIPE-010", "[head]", "droput", "dropout")),
        ("head.dropout=much", ("LX-RECIPE-010", "[head]", "dropout", "'much'", "float")),
        ("head.dropout=2", ("LX-RECIPE-010", "head", "dropout=2.0")),
        ("text.buckets=many", ("LX-RECIPE-010", "[text]", "buckets", '"many"', '"auto"')),
        ("encoder.name=cnn", ("LX-RECIPE-010", "[encoder]", "name", "mode")),
    ],
)
def test_settings_that_do_not_fit_are_named(given: str, error: tuple[str, ...]) -> None:
    with refused(InputError, *error):
        with_settings(recipes.load("bag"), [given])


def test_a_run_that_is_trained_further_keeps_its_model() -> None:
    bag = recipes.load("bag")
    given = ["training.epochs=3", "head.class_weights=balanced"]
    assert with_settings(bag, given, further=True).training.epochs == 3
    for setting_ in ("head.dropout=0.2", "head.multi_label=true", "text.ngrams=1", "embedding.dim=3"):
        with refused(InputError, "LX-RECIPE-015", "--from"):
            with_settings(bag, [setting_], further=True)
