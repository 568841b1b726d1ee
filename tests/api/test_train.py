"""`lexport.train` and the command `lexport train`: one function, the same options."""

from __future__ import annotations

import dataclasses
import inspect
import tempfile
from pathlib import Path
from typing import Any

import pytest

import lexport
from lexport.cli import reading
from lexport.cli.train import train as command
from lexport.data.load import Reading
from lexport.errors import InputError

from ..refusals import refused

DEFAULTS = {
    "no_header": False,
    "skip_bad_rows": 0,
    "drop_unlabelled": False,
    "duplicates": "drop",
    "conflicts": "drop",
}
# What the command line calls otherwise.
NAMES = {"source": "data", "model": "recipe", "force": "replace"}
# The call's own, and the command line's own.
ONLY_PYTHON = {"texts", "labels", "languages", "command", "say", "progress", "reading"}
ONLY_COMMAND = {"context", "as_json", *reading.NAMES}


def test_function_and_command_have_the_same_options_and_defaults() -> None:
    function = inspect.signature(lexport.train).parameters
    options = {NAMES.get(name, name): one for name, one in inspect.signature(command).parameters.items()}
    assert set(function) - ONLY_PYTHON == set(options) - ONLY_COMMAND
    for name in set(options) - ONLY_COMMAND - {"data", "out"}:  # the command needs these two
        given, own = options[name].default, function[name].default
        assert given == own or (given is None and own == ()), name


def test_the_options_of_reading_are_the_fields_of_lexport_reading() -> None:
    renamed = {"no_header": "header", "columns": "names", "map_label": "map_labels"}
    assert {renamed.get(name, name) for name in reading.NAMES} == {
        field.name for field in dataclasses.fields(Reading)
    }
    given: dict[str, Any] = dict.fromkeys(reading.NAMES) | DEFAULTS
    assert reading.reading_of(**given) == Reading()


def test_options_change_the_recipe(tiny_csv: Path) -> None:
    recipe = lexport.recipes()["bag"].changed("training", epochs=9)
    run = lexport.train(tiny_csv, recipe=recipe, dim=4, epochs=1, settings=["text.min_count=1"])
    assert run.task == "classify"
    assert run.info.training["epochs"] == 1
    assert run.info.recipe["embedding"]["dim"] == 4
    assert run.info.recipe["text"]["min_count"] == 1


def test_labels_in_memory_may_be_several_a_text() -> None:
    texts = [f"{word} {number}" for number in range(60) for word in ("good film", "long film", "dull book")]
    labels = [["good"], ["good", "film"], []] * 60
    run = lexport.train(texts=texts, labels=labels, multi_label=True, dim=4, epochs=1)
    assert (run.task, run.labels) == ("multilabel", ["film", "good"])


def test_a_run_is_trained_further_with_its_own_model(run_folder: Path, tiny_csv: Path) -> None:
    begun = lexport.load(run_folder)
    assert isinstance(begun, lexport.Run)
    further = lexport.train(tiny_csv, start=begun, epochs=1, settings=["training.learning_rate=0.001"])
    assert further.info.recipe["training"]["learning_rate"] == 0.001
    assert [*further.info.history[0]] == ["trained_from"]
    assert further.recipe == begun.recipe


def test_a_recipe_beside_a_run_is_refused(run_folder: Path, tiny_csv: Path) -> None:
    with refused(lexport.InputError, "LX-API-013", "--model, --min-count, --dim"):
        lexport.train(tiny_csv, start=run_folder, recipe="bag", dim=8, min_count=1)


def test_a_training_is_resumed_or_replaced_not_both(tmp_path: Path, tiny_csv: Path) -> None:
    with refused(lexport.InputError, "LX-API-014", "--resume", "--force"):
        lexport.train(tiny_csv, out=tmp_path / "run", resume=True, replace=True)
    assert not list(tmp_path.iterdir())


def test_a_training_that_fails_leaves_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with refused(InputError, "LX-DATA-008"):
        lexport.train(texts=["one", "two"], labels=["a", "a"])
    assert list(tmp_path.iterdir()) == []
