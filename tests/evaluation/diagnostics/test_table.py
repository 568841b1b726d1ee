"""A table is damaged, grown or copied in one way at a time, and that is what is found; a trained one is in order."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lexport.data.load import load
from lexport.data.splits import split
from lexport.evaluation.diagnostics.findings import FINE, NOTE, SERIOUS, SKIPPED, WARNING, Finding
from lexport.evaluation.diagnostics.table import check_table
from lexport.evaluation.diagnostics.word_rows import count_words, table_of, word_rows
from lexport.evaluation.tasks import task_of_run
from lexport.handlers.text.spec import PAD, UNK
from lexport.models.corpus import Corpus
from lexport.models.run import Run, open_run
from lexport.training.expansion.expand import expand

Ids = Any


def found(run: Run, trained: Ids = None) -> dict[str, Finding]:
    """What is found, by check; the last of several."""
    return {one.check: one for one in check_table(run, task_of_run(run), run.held_out("validation"), trained)}


def changed(run: Run, change: Callable[[Tensor], None]) -> Run:
    """A copy of a run whose table was changed."""
    model = copy.deepcopy(run.model)
    table = table_of(model.embedding)
    assert table is not None
    with torch.no_grad():
        change(table.weight)
    return replace(run, model=model)


def test_a_trained_table_is_in_order(trained_run: Run) -> None:
    every = found(trained_run)
    assert {name: one.severity for name, one in every.items() if name != "dimension"} == {
        "padding": FINE,
        "norms": FINE,
        "untrained": FINE,
        "duplicates": FINE,
    }
    assert all(not one.why and not one.fix for one in every.values() if one.severity == FINE)


def test_padding_that_is_not_zero_is_serious(trained_run: Run) -> None:
    def fill(weight: Tensor) -> None:
        weight[PAD, 3] = 0.25

    finding = found(changed(trained_run, fill))["padding"]
    assert finding.severity == SERIOUS
    assert finding.figures == {"largest": 0.25}


@pytest.mark.parametrize("name", ["languages", "vector"])
def test_padding_of_other_layouts_is_asked_for_too(task_run: Callable[[str], Path], name: str) -> None:
    run = open_run(task_run(name))
    assert found(run)["padding"].severity == FINE

    def fill(weight: Tensor) -> None:
        weight[PAD] = 1.0

    assert found(changed(run, fill))["padding"].severity == SERIOUS


def test_a_value_that_is_no_number_is_serious(trained_run: Run) -> None:
    def spoil(weight: Tensor) -> None:
        weight[5, 0] = float("nan")

    model = changed(trained_run, spoil)
    from lexport.evaluation.diagnostics.table import _sizes

    finding = _sizes(model.model, word_rows(model))
    assert finding.severity == SERIOUS
    assert "embedding.weight" in finding.found


def test_dead_and_exploded_vectors_are_named_by_their_words(trained_run: Run) -> None:
    words = trained_run.encoder.vocabulary

    def kill(weight: Tensor) -> None:
        weight[UNK + 1] = 0.0

    def grow(weight: Tensor) -> None:
        weight[UNK + 2] *= 1e5

    dead = found(changed(trained_run, kill))["norms"]
    assert (dead.figures["dead"], dead.figures["exploded"]) == (1, 0)
    assert words[0] in dead.found
    grown = found(changed(trained_run, grow))["norms"]
    assert (grown.figures["dead"], grown.figures["exploded"], grown.severity) == (0, 1, WARNING)
    assert words[1] in grown.found
    assert "max_norm" in grown.fix


def test_words_with_the_same_vector_are_named(trained_run: Run) -> None:
    words = trained_run.encoder.vocabulary

    def copied(weight: Tensor) -> None:
        weight[UNK + 3] = weight[UNK + 1]

    finding = found(changed(trained_run, copied))["duplicates"]
    assert finding.figures["copies"] == 2
    assert words[0] in finding.found
    assert words[2] in finding.found


def test_words_that_training_never_met_are_counted(trained_run: Run) -> None:
    counts = np.ones(len(trained_run.encoder.vocabulary), np.int64)
    assert found(trained_run, counts)["untrained"].severity == FINE
    counts[[0, 4]] = 0
    finding = found(trained_run, counts)["untrained"]
    assert finding.figures["untrained"] == 2
    assert trained_run.encoder.vocabulary[4] in finding.found
    assert "--from" in finding.fix


def test_words_that_expand_has_added_are_untrained_until_training_goes_on(run_folder: Path, tmp_path: Path) -> None:
    grown = expand(run_folder, tmp_path / "grown", words=["spinnaker", "halyard"])
    finding = found(grown)["untrained"]
    assert finding.figures["untrained"] == 2
    assert finding.severity in (NOTE, WARNING)


def test_an_unknown_word_whose_vector_was_never_trained_is_told(trained_run: Run) -> None:
    encoder = copy.copy(trained_run.encoder)
    encoder.spec = replace(encoder.spec, min_count=1)
    every = replace(trained_run, encoder=encoder)
    assert found(every)["untrained"].severity == FINE  # word dropout has trained it
    without = replace(every, recipe=every.recipe.changed("training", word_dropout=0.0))
    finding = found(without)["untrained"]
    assert finding.severity == WARNING
    assert "training.word_dropout" in finding.fix


def test_dimensions_that_no_answer_needs_are_told(trained_run: Run) -> None:
    def flatten(weight: Tensor) -> None:
        # Two directions alone have anything in them.
        basis = torch.linalg.qr(torch.randn(weight.shape[1], 2, generator=torch.Generator().manual_seed(0)))[0]
        weight.copy_(weight @ basis @ basis.T)

    finding = found(changed(trained_run, flatten))["dimension"]
    assert finding.severity == NOTE
    assert finding.figures["needed"] in (1, 2)
    assert float(finding.figures["effective_rank"]) <= 2.01
    assert f"--dim {max(4, 2 * int(finding.figures['needed']))}" in finding.fix


def test_what_has_no_words_of_its_own_is_not_checked_for_them(
    task_run: Callable[[str], Path], tmp_path: Path
) -> None:
    from lexport.models import recipes
    from lexport.training.train import train

    from ...conftest import write_rows

    recipe = recipes.load("hashed").changed("embedding", dim=8, buckets=256).changed("training", epochs=1)
    run = train(str(write_rows(tmp_path / "rows.csv", 200)), tmp_path / "run", recipe=recipe)
    every = found(run)
    assert {every[name].severity for name in ("untrained", "duplicates")} == {SKIPPED}
    assert every["padding"].severity == every["norms"].severity == FINE


def test_words_are_counted_in_the_order_of_the_vocabulary(
    run_folder: Path, tiny_csv: Path, task_run: Callable[[str], Path], tasks_jsonl: Path
) -> None:
    run = open_run(run_folder)
    train = split(load(str(tiny_csv))).train
    counts = count_words(run.encoder, Corpus.split_by(run.encoder, train.texts))
    every = " ".join(train.texts).lower().split()
    assert counts.tolist() == [every.count(word) for word in run.encoder.vocabulary]
    assert counts.min() >= 2  # min_count

    languages = open_run(task_run("languages"))
    rows = word_rows(languages)
    assert rows is not None
    assert len(rows.weight) == len(rows.words) == len(languages.encoder.vocabulary)
