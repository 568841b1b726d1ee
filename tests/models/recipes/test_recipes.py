"""Recipes: shipped ones load, mistakes in one are named."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.handlers.text.spec import Layout
from lexport.models import recipes
from lexport.models.heads import ClassifierOptions

from ...refusals import refused

TRAINING = [one.name for one in dataclasses.fields(recipes.TrainingOptions)]
BAG = (resources.files("lexport.models.recipes") / "bag.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", recipes.names())
def test_every_shipped_recipe_loads_and_says_when_to_use_it(name: str) -> None:
    recipe = recipes.load(name)
    assert recipe.name == name
    assert len(recipe.when) > 20
    assert recipes.restore(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("old", "new", "values"),
    [
        ('name = "table"', 'name = "tabel"', ["embedding", "'tabel'", "table, hashed, char_cnn"]),
        ('name = "table"', "name = [1]", ["embedding", "[1]"]),
        ('name = "bag"', 'name = "gru"', ["encoder", "'gru'", "bag, cnn, lstm, transformer"]),
        (
            'name = "classifier"',
            'name = "crf"',
            ["head", "'crf'", "classifier, linear, tree, vector, joint"],
        ),
        (
            'name = "table"',
            "dims = 16",
            ["[embedding]", "dims", "dim?", "dim, spread"],
        ),
        ('name = "table"', "dim = 0", ["dim=0", "1"]),
        ('name = "table"', 'dim = "16"', ["[embedding]", "dim", "'16'", "int | None"]),
        ('name = "table"', "max_norm = true", ["max_norm", "True", "float | None"]),
        ('name = "table"', "max_norm = 0", ["max_norm=0.0", "above 0"]),
        ('name = "table"', 'out_of_range = "skip"', ["out_of_range", '"skip"', '"error" and "unk"']),
        ('name = "table"', "sparse = true\nscale_grad_by_freq = true", ["sparse", "scale_grad_by_freq"]),
        ('mode = "sqrtn"', 'mode = "median"', ["mode='median'", '"mean", "sum", "max" or "sqrtn"']),
        ("dropout = 0.3", "dropout = 1.5", ["head", "dropout=1.5"]),
        ("dropout = 0.3", "multi_label = 1", ["[head]", "multi_label", "1", "bool"]),
        ("dropout = 0.3", "temperature = 1", ["[head]", "temperature", "multi_label"]),
        ("epochs = 100", "epochs = 0", ["epochs=0"]),
        ("epochs = 100", "epochs = 3.0", ["[training]", "epochs", "3.0", "int"]),
        ('learning_rate = "auto"', "learning_rate = nan", ["learning_rate=nan", "above 0"]),
        ('learning_rate = "auto"', "learning_rate = inf", ["learning_rate=inf", "above 0"]),
        ("patience = 4", "clip = -1", ["clip=-1.0", "at least 0"]),
        ("patience = 4", "patience = 0", ["patience=0"]),
        ("word_dropout = 0", "word_dropout = 1", ["word_dropout=1"]),
        ('min_count = "auto"', "min_count = 0", ["min_count=0", "1"]),
        ('min_count = "auto"', 'min_count = "few"', ["min_count=few", '"auto"']),
        ('min_count = "auto"', "max_vocabulary = 0", ["max_vocabulary=0", "1"]),
        ('min_count = "auto"', "subwords = [5, 3]", ["subwords=[5, 3]"]),
        ('min_count = "auto"', "subwords = [1, 3]", ["subwords=[1, 3]", "at least 2"]),
        (
            'min_count = "auto"',
            'subwords = ["3", "5"]',
            ["subwords", "['3', '5']", "tuple[int, int] | None"],
        ),
        ("ngrams = 2", "ngrams = 0", ["ngrams=0", "at least 1"]),
        ("max_tokens = 1024", "max_tokens = 0", ["max_tokens=0", "at least 1"]),
        ('buckets = "auto"', "buckets = -1", ["buckets=-1", "at least 0"]),
        ('buckets = "auto"', 'buckets = "many"', ["[text]", "buckets", '"many"', '"auto"']),
        ("max_tokens = 1024", "word_length = -1", ["word_length=-1", "at least 0"]),
        ("[training]", "[trainnig]", ["trainnig"]),
    ],
)
def test_a_mistake_is_named(old: str, new: str, values: list[str]) -> None:
    assert old in BAG
    with refused(InputError, "LX-RECIPE-010", "mine", *values):
        recipes.parse("mine", BAG.replace(old, new))


def test_what_is_no_toml_is_named_with_its_place() -> None:
    with refused(InputError, "LX-RECIPE-008", "mine", "line 22, column 10"):
        recipes.parse("mine", BAG.replace("[training]", "[training"))


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("embedding = 3", ["embedding", "3", "[embedding]"]),
        ("text = 3", ["text", "3", "[text]"]),
        ("[[training]]\nepochs = 3", ["[training]"]),
        ('[text]\nngrams = 2\nbuckets = 8\n[encoder]\nname = "cnn"', ["'cnn'", "n-grams and subwords", "ngrams = 1"]),
        ('[text]\nsubwords = [3, 4]\nbuckets = 8\n[encoder]\nname = "lstm"', ["'lstm'", "'bag'"]),
        ('[text]\nngrams = 2\n[embedding]\nname = "hashed"\n[encoder]\nname = "transformer"', ["'transformer'"]),
        ('[embedding]\nname = "char_cnn"', ["word_length=0", "'char_cnn'"]),
        (
            '[text]\nword_length = 8\nngrams = 2\nbuckets = 8\n[embedding]\nname = "char_cnn"',
            ["'char_cnn'", "ngrams = 1", "2", "subwords"],
        ),
        ("[text]\nword_length = 8", ["word_length=8", "'char_cnn'"]),
        ('[embedding]\ndim = 30\n[encoder]\nname = "transformer"', ["heads=4", "dim=30"]),
        ('[encoder]\nname = "lstm"\n[head]\nname = "vector"\nobjective = "pooled"', ["'bag'"]),
        (
            '[text]\nngrams = 2\nbuckets = 8\n[embedding]\nname = "hashed"',
            ["'hashed'", "buckets=8", "[text]", "[embedding]"],
        ),
        ("[text]\nngrams = 2\nbuckets = 0", ["ngrams=2", "subwords=None", "buckets=0"]),
        ("[text]\nsubwords = [3, 4]\nbuckets = 0", ["subwords=(3, 4)", "buckets"]),
        ("[text]\nbuckets = 8", ["buckets=8"]),
        ('[text]\nngrams = 2\nbuckets = 0\n[embedding]\nname = "multilingual"', ["buckets"]),
        ('[head]\nname = "vector"\nobjective = "pooled"\nsize = 8', ['"pooled"']),
    ],
)
def test_parts_that_do_not_fit_together_are_named(content: str, values: list[str]) -> None:
    with refused(InputError, "LX-RECIPE-010", "mine", *values):
        recipes.parse("mine", content)


def test_all_problems_are_said_at_once_each_on_a_line() -> None:
    content = """
[text]
ngrams = 0
min_count = 0
[encoder]
name = "gru"
[embedding]
dims = 16
[head]
dropout = "much"
threshold = 2
[training]
epochs = 3.5
optimiser = "adam"
precision = 16
[gates]
max_flips = 2
min_cosine_p1 = 3
[serving]
"""
    with refused(InputError, "LX-RECIPE-009") as caught:
        recipes.parse("mine", content)
    assert (caught.value.code, caught.value.message) == ("LX-RECIPE-009", "Recipe mine has 11 problems.")
    lines = caught.value.below.split("\n")
    assert [line.partition(":")[0].partition(" '")[0] for line in lines] == [
        "[embedding]",
        "encoder",
        "[head]",
        "text",
        "text",
        "[training]",
        "[training]",
        "[training]",
        "gates",
        "gates",
        "unknown sections",
    ]
    assert "did you mean optimizer?" in lines[5]
    assert lines[6].endswith("epochs is 3.5; int was expected")


@given(st.sets(st.sampled_from([*TRAINING]), min_size=1))
def test_as_many_lines_as_options_of_another_type(options: set[str]) -> None:
    with refused(InputError, "LX-RECIPE-009" if len(options) > 1 else "LX-RECIPE-010") as caught:
        recipes.parse("mine", "[training]\n" + "".join(f"{option} = [[]]\n" for option in options))
    error = caught.value
    lines = error.below.split("\n") if error.below else [error.message.removeprefix("Recipe mine: ")]
    assert {line.split(" is ")[0].removeprefix("[training]: ") for line in lines} == options


def test_options_given_later_must_fit_the_other_parts_too() -> None:
    with refused(InputError, "LX-RECIPE-002", "set ngrams = 1"):
        recipes.load("cnn").changed("text", ngrams=2, buckets=8)


def test_what_is_left_out_has_a_value_and_a_whole_number_may_stand_for_any() -> None:
    recipe = recipes.parse("mine", "[training]\nlearning_rate = 1")
    assert (recipe.embedding.NAME, recipe.encoder.NAME, recipe.head.NAME) == ("table", "bag", "classifier")
    assert (recipe.training.learning_rate, recipe.embedding.dim, recipe.when) == (1.0, None, "")


@pytest.mark.parametrize(
    ("content", "task", "inputs"),
    [
        ("", "classify", "indices"),
        ("[head]\nmulti_label = true", "multilabel", "indices"),
        ('[head]\nname = "vector"\n[embedding]\nname = "hashed"', "vector", "hashes"),
        ('[head]\nname = "joint"\n[embedding]\nname = "multilingual"', "joint", "languages"),
        ('[embedding]\nname = "char_cnn"\n[text]\nword_length = 16', "classify", "characters"),
        ('[embedding]\nname = "dynamic_dim"', "classify", "indices"),
    ],
)
def test_the_parts_say_the_task_and_the_layout_of_the_indices(content: str, task: str, inputs: Layout) -> None:
    recipe = recipes.parse("mine", content)
    assert (recipe.task, recipe.inputs) == (task, inputs)
    assert recipes.restore(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_an_unknown_recipe_names_those_there_are() -> None:
    with refused(InputError, "LX-RECIPE-004", "'bog'", "--model", "bag, bag-glove"):
        recipes.load("bog")


def test_a_recipe_of_ones_own_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(BAG.replace('mode = "sqrtn"', 'mode = "max"'), encoding="utf-8")
    recipe = recipes.load(str(path))
    assert recipe.name == "mine"
    assert recipe == dataclasses.replace(recipes.load("bag"), name="mine").changed("encoder", mode="max")


def test_a_recipe_extends_another_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    told: list[str] = []
    path.write_text('extends = "bag"\n[training]\nepochs = 3\n[encoder]\nmode = "max"\n', encoding="utf-8")
    expected = dataclasses.replace(recipes.load("bag"), name="mine").changed("encoder", mode="max")
    assert recipes.load(str(path), told.append) == expected.changed("training", epochs=3)
    (tmp_path / "more.toml").write_text('extends = "mine.toml"\nwhen = "Later."\n[text]\nmin_count = 5\n')
    more = recipes.load(str(tmp_path / "more.toml"), told.append)
    assert (more.name, more.when, more.text.min_count, more.training.epochs) == ("more", "Later.", 5, 3)
    assert told == []


def test_another_part_takes_no_options_of_the_one_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "bag"\n[text]\nngrams = 1\nbuckets = 0\n[encoder]\nname = "cnn"\n')
    assert recipes.load(str(path)).encoder == recipes.load("cnn").encoder


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ('extends = "bog"', ("LX-RECIPE-004", "bog'", "bag, bag-glove")),
        ("extends = 1", ("LX-RECIPE-007", "mine", "1", "*.toml")),
        ('extends = "mine.toml"', ("LX-RECIPE-005", "mine.toml", "mine.toml")),
        ('extends = "absent.toml"', ("LX-RECIPE-006", "absent.toml")),
        ('extends = "bag"\n[training]\nepoch = 3', ("LX-RECIPE-010", "mine", "[training]", "epoch", "epochs?")),
        ('extends = "bag"\nencoder = 5', ("LX-RECIPE-010", "mine", "encoder", "5", "[encoder]")),
    ],
)
def test_what_a_recipe_cannot_extend_is_named(tmp_path: Path, content: str, error: tuple[str, ...]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content, encoding="utf-8")
    with refused(InputError, *error):
        recipes.load(str(path))


def test_a_recipe_that_extends_none_says_what_has_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    told: list[str] = []
    path.write_text("[training]\nepochs = 3\n", encoding="utf-8")
    recipes.load(str(path), told.append)
    assert len(told) == 1
    assert "has no [embedding], [encoder], [head], [text]: they take defaults" in told[0]
    assert 'extends = "bag"' in told[0]


def test_a_shipped_recipe_is_printed_as_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bag.toml"
    path.write_text(recipes.toml("bag"), encoding="utf-8")
    assert recipes.load(str(path)) == recipes.load("bag")
    with refused(InputError, "LX-RECIPE-003", "'bog'", "bag, bag-glove"):
        recipes.toml("bog")


def test_whole_numbers_become_floats_where_a_float_is_expected() -> None:
    """TorchScript compiles `dropout = 0` into a module that fails when it is exported."""
    recipe = recipes.parse("mine", "[head]\ndropout = 0\n[training]\nlearning_rate = 1")
    again = recipes.restore(json.loads(json.dumps(recipe.to_json() | {"head": {"name": "classifier", "dropout": 0}})))
    for one in (recipe, again, recipes.load("bag").changed("head", dropout=0)):
        assert isinstance(one.head, ClassifierOptions)
        assert type(one.head.dropout) is float
    assert type(recipe.training.learning_rate) is float


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with refused(InputError, "LX-RECIPE-006", "absent.toml"):
        recipes.load(str(tmp_path / "absent.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with refused(InputError, "LX-RECIPE-006", "binary.toml"):
        recipes.load(str(tmp_path / "binary.toml"))
    (tmp_path / "folder.toml").mkdir()
    with refused(InputError, "LX-RECIPE-006", "folder.toml"):
        recipes.load(str(tmp_path / "folder.toml"))


def test_options_replace_one_section_and_none_leaves_it() -> None:
    recipe = recipes.load("bag")
    assert recipe.changed("embedding", dim=None) == recipe
    assert recipe.changed("embedding", dim=7).embedding.dim == 7
    with refused(InputError, "LX-RECIPE-002", "min_count=0"):
        recipe.changed("text", min_count=0)


def test_an_option_that_a_part_lacks_is_named_with_those_it_has() -> None:
    with refused(InputError, "LX-RECIPE-001", "'vector'", "vectors", "multi_label", "size"):
        recipes.load("vectors").changed("head", multi_label=True)
    with refused(InputError, "LX-RECIPE-001", "[gates]", "bag", "max_flip"):
        recipes.load("bag").changed("gates", max_flip=0.1)
    with refused(InputError, "LX-RECIPE-001", "'hashed'", "hashed", "vectors"):
        recipes.load("hashed").changed("embedding", vectors="glove-6b-50d")
