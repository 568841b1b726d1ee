from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lexport.export.formats.tables import GatherTable, exported
from lexport.handlers.text import hashing
from lexport.handlers.text.hashing import Ids
from lexport.models.embeddings import Hashed, HashedOptions

from .embedding_cases import TOKENS, bucket, murmur_session, session

HASHES, BUCKETS = 4, 997


class Rows(nn.Module):
    def __init__(self, embedding: Hashed) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, ids: Tensor) -> Tensor:
        return self.embedding.rows_of(ids)


class Combined(nn.Module):
    def forward(self, pair: Tensor) -> Tensor:
        return combined_by_torch(pair[0], pair[1])


def combined_by_torch(left: Tensor, right: Tensor) -> Tensor:
    return hashing.combine(left, right)  # type: ignore[type-var]


def parts_of(token: str, seed: int) -> Ids:
    """Hashes of a token's marks and characters, int64 [characters + 2], the characters' by ONNX Runtime."""
    characters = murmur_session(seed).run(None, {"tokens": np.array(list(token), object)})[0]
    return np.array([hashing.murmur(hashing.BEGIN, seed), *characters, hashing.murmur(hashing.END, seed)], np.int64)


def runs(parts: Ids, shortest: int, longest: int, combine: Callable[[Ids, Ids], Ids]) -> Ids:
    """Hashes of the runs of `shortest` to `longest` parts, whatever it is that combines."""
    grams, found = parts, [parts[:0]]
    for order in range(2, longest + 1):
        grams = combine(grams[: len(parts) - order + 1], parts[order - 1 :])
        found += [grams] if order >= shortest else []
    return np.concatenate(found)


@pytest.fixture(scope="module")
def combined_by_onnx() -> Callable[[Ids, Ids], Ids]:
    graph = session(Combined(), torch.ones(2, 3, dtype=torch.int64), fixed=0)

    def run(left: Ids, right: Ids) -> Ids:
        found: Ids = graph.run(None, {graph.get_inputs()[0].name: np.stack([left, right])})[0]
        return found

    return run


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
    every_row_is_the_references(embedding, graph, np.array([keys], np.int64))


def every_row_is_the_references(embedding: Hashed, graph: onnxruntime.InferenceSession, ids: Ids) -> None:
    expected = [[rows_of(key) for key in text] for text in ids.tolist()]
    found = embedding.rows_of(torch.from_numpy(ids))
    assert found.dtype == torch.int64
    assert found.tolist() == expected
    assert graph.run(None, {graph.get_inputs()[0].name: ids})[0].tolist() == expected


def rows_of(key: int) -> list[int]:
    """The reference: rows of a key."""
    return [key and 1 + function * BUCKETS + bucket(key, function, BUCKETS) for function in range(HASHES)]


@settings(max_examples=200)
@given(tokens=st.lists(TOKENS, min_size=1, max_size=20))
def test_a_tokens_bytes_lead_to_the_same_rows_in_python_torch_and_onnx(
    embedding: Hashed, graph: onnxruntime.InferenceSession, tokens: list[str]
) -> None:
    hashes = murmur_session(0).run(None, {"tokens": np.array(tokens, object)})[0]
    every_row_is_the_references(embedding, graph, 1 + hashes[None, :])
    keys = [1 + hashing.murmur(token) for token in tokens]
    assert embedding.rows_of(torch.tensor([keys])).tolist() == [[rows_of(key) for key in keys]]


@settings(max_examples=200)
@given(parts=st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), min_size=1, max_size=20))
def test_parts_are_combined_alike_by_python_numpy_torch_and_onnx(
    combined_by_onnx: Callable[[Ids, Ids], Ids], parts: list[tuple[int, int]]
) -> None:
    expected = [(left * 1_000_003 + right) % (2**31 - 1) for left, right in parts]
    left, right = np.array(parts, np.int64).T
    assert [hashing.combine(*pair) for pair in parts] == expected
    assert hashing.combine(left, right).tolist() == expected
    assert combined_by_torch(torch.from_numpy(left), torch.from_numpy(right)).tolist() == expected
    assert combined_by_onnx(left, right).tolist() == expected


@settings(max_examples=100)
@given(token=TOKENS, shortest=st.integers(2, 4), more=st.integers(0, 3), seed=st.sampled_from([0, 7]))
def test_the_subwords_of_a_token_are_the_same_in_python_numpy_torch_and_onnx(
    combined_by_onnx: Callable[[Ids, Ids], Ids], token: str, shortest: int, more: int, seed: int
) -> None:
    token, longest = token[: hashing.LONGEST_TOKEN], shortest + more
    expected, parts = hashing.subwords(token, shortest, longest, seed), parts_of(token, seed)

    def combined(left: Ids, right: Ids) -> Ids:
        return combined_by_torch(torch.from_numpy(left), torch.from_numpy(right)).numpy()

    for combine in (hashing.combine, combined, combined_by_onnx):
        assert runs(parts, shortest, longest, combine).tolist() == expected.tolist()


def test_the_rows_of_each_function_fill_evenly() -> None:
    keys = torch.tensor([[1 + hashing.murmur(f"word {number}") for number in range(20_000)]])
    rows = Hashed(HashedOptions(buckets=64, hashes=4, dim=1)).rows_of(keys)
    for function in range(4):
        filled = torch.bincount(rows[0, :, function] - 1 - 64 * function)
        assert len(filled) == 64
        assert filled.min() > 230
        assert filled.max() < 400


def test_words_that_share_a_row_of_one_function_rarely_share_that_of_another() -> None:
    keys = torch.tensor([[1 + hashing.murmur(f"word {number}") for number in range(2000)]])
    rows = Hashed(HashedOptions(buckets=256, hashes=3, dim=1)).rows_of(keys)[0]
    for pair in combinations(range(3), 2):
        assert len({tuple(row) for row in rows[:, pair].tolist()}) > 1900


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
