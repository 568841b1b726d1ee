from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lexport.export.tables import GatherTable, exported
from lexport.handlers import hashing
from lexport.models.embeddings import Hashed, HashedOptions

from .embedding_cases import session

HASHES, BUCKETS = 4, 997


class Rows(nn.Module):
    def __init__(self, embedding: Hashed) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, ids: Tensor) -> Tensor:
        return self.embedding.rows_of(ids)


@pytest.fixture(scope="module")
def embedding() -> Hashed:
    return Hashed(HashedOptions(buckets=BUCKETS, hashes=HASHES, dim=8)).eval()


@pytest.fixture(scope="module")
def graph(embedding: Hashed) -> onnxruntime.InferenceSession:
    return session(Rows(embedding), torch.ones(3, 4, dtype=torch.int64))


@settings(max_examples=200)
@given(keys=st.lists(st.integers(0, 2**33 - 1), min_size=1, max_size=20))
def test_reference_module_and_graph_agree_on_every_bucket(
    embedding: Hashed, graph: onnxruntime.InferenceSession, keys: list[int]
) -> None:
    ids = np.array([keys], np.int64)
    blocks = [hashing.buckets(ids, function, BUCKETS) + 1 + function * BUCKETS for function in range(HASHES)]
    expected = np.stack(blocks, axis=-1) * (ids != 0)[:, :, None]
    assert np.array_equal(embedding.rows_of(torch.from_numpy(ids)).numpy(), expected)
    assert np.array_equal(graph.run(None, {graph.get_inputs()[0].name: ids})[0], expected)


def test_words_never_seen_have_vectors_of_their_own(embedding: Hashed) -> None:
    keys = range(1, 2**33, 2**33 // 5000)
    vectors = embedding.vectors(torch.tensor([keys]))[0]
    assert len({tuple(vector) for vector in vectors.tolist()}) == len(keys)


def test_no_row_of_the_table_starts_at_zero_but_pad(embedding: Hashed) -> None:
    weight = embedding.get_parameter("table.weight")
    assert weight.shape == (1 + HASHES * BUCKETS, 8)
    assert (weight[0] == 0).all()
    assert (weight[1:] != 0).any(dim=1).all()


def test_concatenated_parts_come_from_one_function_each() -> None:
    embedding = Hashed(HashedOptions(buckets=50, hashes=3, combine="concat", dim=6))
    keys = torch.tensor([[7, 2**33 - 1, 0]])
    parts = embedding.vectors(keys).reshape(1, 3, 3, 2)
    assert (parts == embedding.get_parameter("table.weight")[embedding.rows_of(keys)]).all()


def test_saved_weights_hold_the_table_alone(embedding: Hashed) -> None:
    assert list(embedding.state_dict()) == ["table.weight"]


def test_one_hash_function_and_one_bucket_will_do() -> None:
    embedding = Hashed(HashedOptions(buckets=1, hashes=1, dim=2))
    assert embedding.rows_of(torch.tensor([[9, 0]])).tolist() == [[[1], [0]]]
    assert exported(embedding, GatherTable).vectors(torch.tensor([[9, 0]]))[0, 1].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"buckets": 0}, "buckets=0"),
        ({"buckets": 2**31 - 1}, "buckets=2147483647"),
        ({"hashes": 0}, "hashes=0"),
        ({"combine": "max"}, 'combine is "max"'),
        ({"combine": "concat", "dim": 64, "hashes": 3}, "dim=64 cannot be divided among hashes=3"),
    ],
)
def test_options_that_hash_nothing_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HashedOptions(**options)  # type: ignore[arg-type]
