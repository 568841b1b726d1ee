"""A text's vector is its TF-IDF vector times the table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lexport.handlers.text.spec import TextSpec
from lexport.models.embeddings import TfIdf, TfIdfOptions


def made(counts: str, norm: str) -> TfIdf:
    torch.manual_seed(0)
    embedding = TfIdfOptions(dim=3, counts=counts, norm=norm).build(TextSpec(words=9))
    with torch.no_grad():
        embedding.importance[1:] = torch.rand(8, 1) + 0.5
    return embedding


@pytest.mark.parametrize("counts", ["plain", "sublinear", "binary"])
@pytest.mark.parametrize("norm", ["l2", "none"])
def test_the_sum_is_that_of_tf_idf(counts: str, norm: str) -> None:
    embedding = made(counts, norm)
    rows = [[2, 3, 2, 2, 5, 8], [4], [], [1, 1, 7]]
    ids = torch.zeros(4, 8, dtype=torch.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row, dtype=torch.int64)
    with torch.no_grad():
        found = embedding.vectors(ids).sum(dim=1).numpy()
        table = embedding.table.weight.numpy()  # type: ignore[operator]
        importance = embedding.importance.numpy()[:, 0]
    for number, row in enumerate(rows):
        vector = np.zeros(9)
        for one in set(row):
            times = row.count(one)
            counted = {"plain": times, "sublinear": 1 + np.log(times), "binary": 1}[counts]
            vector[one] = counted * importance[one]
        if norm == "l2" and row:
            vector /= np.linalg.norm(vector)
        np.testing.assert_allclose(found[number], vector @ table, atol=1e-6)


def test_padding_changes_nothing_and_importance_is_learned() -> None:
    embedding = made("sublinear", "l2")
    ids = torch.tensor([[2, 3, 2]])
    padded = torch.tensor([[2, 3, 2, 0, 0]])
    torch.testing.assert_close(embedding.vectors(ids).sum(dim=1), embedding.vectors(padded).sum(dim=1))
    assert not embedding.vectors(padded)[:, 3:].any()
    embedding.vectors(torch.tensor([[2, 3, 2], [0, 0, 0]])).square().sum().backward()  # type: ignore[no-untyped-call]
    gradient = embedding.importance.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient[2] != 0
    assert gradient[0] == 0


def test_other_values_are_refused() -> None:
    with pytest.raises(ValueError, match="counts"):
        TfIdfOptions(counts="log")
    with pytest.raises(ValueError, match="norm"):
        TfIdfOptions(norm="l1")
