"""The words of a run, of its archives and of files: one table, mapped where it can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lexport.errors import InputError
from lexport.evaluation.vectors import opening
from lexport.evaluation.vectors.opening import of_run, of_vectors
from lexport.export.archive.word_tables import archived_words
from lexport.export.formats.variants import VARIANTS
from lexport.models.embeddings import Table
from lexport.models.run import open_run

from ...refusals import refused

TOLERANCE = {"fp32": 0, "fp16": 1e-3, "int8": 1e-2, "int4": 0.2}


def test_a_run_gives_its_trained_rows_without_pad_and_unk(run_folder: Path) -> None:
    table, run = of_run(run_folder), open_run(run_folder)
    assert table.words == run.encoder.vocabulary
    assert isinstance(run.model.embedding, Table)
    trained = run.model.embedding.weight.detach().numpy()[2 : 2 + len(table)]
    np.testing.assert_array_equal(table.rows.vectors(np.arange(len(table))), trained)
    assert not table.rows.stored.flags.writeable  # the file itself


def test_words_of_one_topic_are_nearest_to_each_other(run_folder: Path) -> None:
    sport = set("match goal team player league coach referee stadium season cup".split())
    found = of_run(run_folder).similar(["Goal"], 5)
    assert {one.word for one in found} <= sport


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "-dynamic" not in name])
def test_every_variant_has_the_trained_rows_in_its_precision(
    variant: str, run_folder: Path, archive_of: Callable[[str], Path]
) -> None:
    expected = of_run(run_folder)
    every = np.arange(len(expected))
    trained = expected.rows.vectors(every)
    with archived_words(archive_of(variant)) as table:
        assert table.words == expected.words
        assert table.rows.dim == expected.rows.dim
        precision = VARIANTS[variant].precision
        assert table.rows.precision == precision
        largest = np.abs(trained).max(axis=1, keepdims=True)
        assert (np.abs(table.rows.vectors(every) - trained) / largest).max() <= TOLERANCE[precision]


@pytest.mark.parametrize("name", ["vector", "languages"])
def test_a_model_makes_the_vectors_of_words_that_have_no_row_of_their_own(
    name: str, task_run: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_TOGETHER", 7)
    table, run = of_run(task_run(name)), open_run(task_run(name))
    assert len(table.words) == len(run.encoder.vocabulary)
    if name == "languages":
        assert {word.partition(":")[0] for word in table.words} == {"en", "ne"}
    made = table.rows.vectors(np.arange(len(table.words)))
    for place in (0, 8, len(table.words) - 1):
        language, word = table.words[place].split(":") if name == "languages" else ("", table.words[place])
        tokens = run.encoder.look_up([word], [language] if language else None)
        ids = torch.from_numpy(run.encoder.assemble(tokens))
        with torch.inference_mode():
            expected = run.model.embedding.vectors(ids)[0].sum(dim=0)
        assert expected.any()
        np.testing.assert_allclose(made[place], expected.numpy(), atol=1e-6)


def test_an_archive_does_not_say_how_vectors_are_made_of_several_rows(task_archive: Callable[[str], Path]) -> None:
    with refused(InputError, "LX-VECTORS-106", "languages-1.0.mar", "run"), archived_words(task_archive("languages")):
        pass


def test_a_damaged_run_is_refused_as_everywhere(tmp_path: Path) -> None:
    with refused(InputError, "LX-MODEL-003", "run.json"):
        of_run(tmp_path)


def test_a_file_of_vectors_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "v.vec").write_text("3 2\ngood 1 0\nfine 0.9 0.1\nbad -1 0\n", encoding="utf-8")
    table = of_vectors(tmp_path / "v.vec")
    assert [one.word for one in table.similar(["good"])] == ["fine", "bad"]
    with refused(InputError, "LX-VECTORS-102"):
        table.similar(["Good"])
