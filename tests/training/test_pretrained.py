"""Vectors from outside in a table, and how many words they cover."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lexport.data.pretrained import Coverage, open_vectors
from lexport.errors import InputError
from lexport.models.embeddings import DynamicDimOptions, Table, TableOptions
from lexport.training.pretrained import fill_table

from ..data.pretrained.cases import PLAIN, written
from ..refusals import refused


def test_the_coverage_reads_as_a_sentence() -> None:
    assert str(Coverage("GloVe", 14_210, 16_034)) == "GloVe: 14,210 of 16,034 words have a vector (88.6 %)"
    assert str(Coverage("GloVe", 0, 0)) == "GloVe: 0 of 0 words have a vector (0.0 %)"


def test_a_table_takes_the_vectors_of_its_words_and_draws_the_others(tmp_path: Path) -> None:
    vectors = open_vectors(written(tmp_path / "v.txt", PLAIN))
    table = Table(8, 6, TableOptions(dim=3))
    before = table.weight.detach().clone()
    coverage = fill_table(table, ["dog", "bird", "cat", "fish"], vectors, np.random.default_rng(0))
    rows = table.weight.detach()
    assert coverage == Coverage("v.txt", 2, 4)
    assert torch.equal(rows[[2, 4]], torch.tensor([[1, 2, 3], [0.5, -1, 0.2]]))
    assert rows[[3, 5]].abs().max() <= np.float32(0.1)
    assert len(set(rows[[3, 5]].flatten().tolist())) == 6
    assert torch.equal(rows[0], torch.zeros(3))
    assert torch.equal(rows[[1, 6, 7]], before[[1, 6, 7]])


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    vectors = open_vectors(written(tmp_path / "v.txt", PLAIN))
    tables = [Table(202, 202, TableOptions(dim=3)) for _ in range(2)]
    for table in tables:
        fill_table(table, [f"word{n}" for n in range(200)], vectors, np.random.default_rng(7))
    assert torch.equal(tables[0].weight[2:], tables[1].weight[2:])
    assert tables[0].weight[2:].abs().max() > 0.09
    assert abs(float(tables[0].weight[2:].detach().mean())) < 0.02


def test_unknown_words_that_count_for_nothing_stay_zero(tmp_path: Path) -> None:
    table = Table(4, 4, TableOptions(dim=3, padding_idx=1))
    fill_table(table, ["dog", "cat"], open_vectors(written(tmp_path / "v.txt", PLAIN)), np.random.default_rng(0))
    assert table.weight[2].tolist() == [1, 2, 3]
    assert table.weight[1].tolist() == [0, 0, 0]


def test_vectors_of_another_width_are_refused_with_both_numbers(tmp_path: Path) -> None:
    vectors = open_vectors(written(tmp_path / "v.txt", PLAIN))
    with refused(InputError, "LX-TRAIN-022", "v.txt", "3", "4", "3"):
        fill_table(Table(3, 3, TableOptions(dim=4)), ["dog"], vectors, np.random.default_rng(0))


def test_missing_words_may_be_spread_as_those_that_were_found(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    known = generator.normal([5, -2, 0], [1, 0.1, 0], (500, 3)).astype(np.float32)
    lines = "".join(f"known{n} {' '.join(map(str, row))}\n" for n, row in enumerate(known.tolist()))
    words = [f"{kind}{n}" for n in range(500) for kind in ("known", "unknown")]
    table = Table(1002, 1002, TableOptions(dim=3))
    coverage = fill_table(table, words, open_vectors(written(tmp_path / "v.txt", lines)), generator, "moments")
    drawn = table.weight.detach()[3::2].numpy()
    assert coverage.found == 500
    assert torch.equal(table.weight.detach()[2::2], torch.from_numpy(known))
    np.testing.assert_allclose(drawn.mean(axis=0), known.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(drawn.std(axis=0), known.std(axis=0), rtol=0.15)
    assert torch.equal(table.weight[0], torch.zeros(3))


@pytest.mark.parametrize("words", [["bird", "fish"], ["dog", "fish"]])
def test_where_fewer_than_two_words_are_found_the_others_are_uniform(words: list[str], tmp_path: Path) -> None:
    vectors = open_vectors(written(tmp_path / "v.txt", PLAIN))
    tables = [Table(4, 4, TableOptions(dim=3)) for _ in range(2)]
    for table, missing in zip(tables, ("uniform", "moments"), strict=True):
        fill_table(table, words, vectors, np.random.default_rng(3), missing)
    assert torch.equal(tables[0].weight[2:], tables[1].weight[2:])


@pytest.mark.parametrize("options", [TableOptions, DynamicDimOptions])
def test_missing_words_start_in_one_of_two_ways(options: type[TableOptions] | type[DynamicDimOptions]) -> None:
    assert options().missing == "uniform"
    assert options(missing="moments").missing == "moments"
    with pytest.raises(ValueError, match='missing is "mean", known are "uniform" and "moments"'):
        options(missing="mean")
