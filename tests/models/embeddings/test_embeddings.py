from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lexport.export.formats.tables import ByteTable, GatherTable, Int8GatherTable, exported
from lexport.models.embeddings import (
    CharCNN,
    CharCNNOptions,
    DynamicDim,
    DynamicDimOptions,
    Embedding,
    Hashed,
    HashedOptions,
    Multilingual,
    MultilingualOptions,
    Table,
    TableOptions,
)

from .embedding_cases import KINDS, OFFSETS, ROWS, Answers, in_onnx, make, scripted, texts

SHAPES = [(1, 1), (1, 9), (3, 1), (5, 40)]
DENSE: dict[str, Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=0.1),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.1),
    "Adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=0.1),
}
SPARSE: dict[str, Callable[[], Embedding]] = {
    "table": lambda: Table(ROWS, ROWS, TableOptions(6, sparse=True)),
    "hashed": lambda: Hashed(HashedOptions(buckets=50, dim=6, sparse=True)),
    "dynamic_dim": lambda: DynamicDim(ROWS, ROWS, DynamicDimOptions(6, ramp=2, sparse=True)),
    "multilingual": lambda: Multilingual(OFFSETS, ROWS, 20, MultilingualOptions(6, sparse=True)),
}


def every_answer_is_close(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...], atol: float = 1e-6) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        assert_close(one, other, rtol=1e-6, atol=atol)


def step(embedding: Embedding, optimizer: torch.optim.Optimizer, ids: Tensor) -> None:
    vectors, pooled = embedding.vectors(ids), embedding.pooled(ids)
    loss = ((vectors - 1) ** 2).sum() + ((pooled - 1) ** 2).sum()
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def pad_row(embedding: Embedding) -> Tensor:
    return embedding.get_parameter("weight" if isinstance(embedding, Table) else "table.weight")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_pad_is_zero_and_masked_and_the_pool_is_the_sum(kind: str) -> None:
    embedding, ids = make(kind), texts(kind, 4, 9)
    vectors, mask, pooled = Answers(embedding)(ids)
    assert vectors.shape == (4, 9, 6)
    assert vectors.dtype == torch.float32
    assert mask.shape == (4, 9)
    assert mask.dtype == torch.bool
    assert mask.sum(dim=1).tolist() == [9, 6, 3, 0]
    assert (vectors[~mask] == 0).all()
    assert (pooled[-1] == 0).all()
    assert vectors[mask].abs().sum() > 0
    assert_close(pooled, vectors.sum(dim=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_more_padding_and_other_texts_beside_it_change_no_answer(kind: str) -> None:
    embedding, ids = make(kind), texts(kind, 4, 9)
    wider = torch.zeros(5, 14, *ids.shape[2:], dtype=torch.int64)
    wider[1:, :9] = ids
    vectors, mask, pooled = Answers(embedding)(ids)
    every_answer_is_close(
        (vectors, mask, pooled),
        (embedding.vectors(wider)[1:, :9], embedding.mask(wider)[1:, :9], embedding.pooled(wider)[1:]),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", DENSE)
def test_pad_stays_zero_through_training(kind: str, optimizer: str) -> None:
    embedding = make(kind).train()
    fitting = DENSE[optimizer](embedding.parameters())
    before = [parameter.detach().clone() for parameter in embedding.parameters()]
    for seed in range(5):
        step(embedding, fitting, texts(kind, 4, 9, seed))
    assert all((old != new).any() for old, new in zip(before, embedding.parameters(), strict=True))
    assert (pad_row(embedding) == 0).all()
    assert (embedding.vectors(torch.zeros_like(texts(kind, 1, 3))) == 0).all()


@pytest.mark.parametrize("kind", SPARSE)
@pytest.mark.parametrize("optimizer", [torch.optim.SparseAdam, torch.optim.SGD, torch.optim.Adagrad])
def test_pad_stays_zero_under_sparse_gradients(kind: str, optimizer: type[torch.optim.Optimizer]) -> None:
    embedding = SPARSE[kind]()
    fitting = optimizer(embedding.parameters(), lr=0.1)  # type: ignore[call-arg]
    before = embedding.pooled(texts(kind, 4, 9)).detach()
    # Adagrad makes sparse tensors of its own, of which torch warns unless it is told whether to check them.
    with torch.sparse.check_sparse_tensor_invariants(True):  # type: ignore[no-untyped-call]
        for seed in range(5):
            step(embedding, fitting, texts(kind, 4, 9, seed))
    assert all(parameter.grad is not None and parameter.grad.is_sparse for parameter in embedding.parameters())
    assert (embedding.pooled(texts(kind, 4, 9)) != before)[:-1].any()
    assert (pad_row(embedding) == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_torchscript_answers_alike(kind: str) -> None:
    embedding = make(kind)
    run = scripted(exported(embedding, Table.holding))
    for batch, length in SHAPES:
        ids = texts(kind, batch, length)
        every_answer_is_close(run(ids), Answers(embedding)(ids))
    ids = torch.zeros_like(ids)
    every_answer_is_close(run(ids), Answers(embedding)(ids))


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_answers_alike_in_every_shape(kind: str) -> None:
    embedding = make(kind)
    run = in_onnx(exported(embedding, GatherTable), texts(kind, 3, 4))
    for batch, length in SHAPES:
        ids = texts(kind, batch, length)
        every_answer_is_close(run(ids), Answers(embedding)(ids))
    ids = torch.zeros_like(ids)
    every_answer_is_close(run(ids), Answers(embedding)(ids))


@pytest.mark.parametrize("kind", KINDS)
def test_int8_forms_stay_near_and_keep_pad_at_zero(kind: str) -> None:
    embedding, ids = make(kind), texts(kind, 5, 12)
    vectors, mask, _ = Answers(embedding)(ids)
    for form in (exported(embedding, Int8GatherTable), exported(embedding, ByteTable)):
        got = Answers(form)(ids)
        every_answer_is_close((got[0], mask), (vectors, got[1]), 0.02)
        assert (got[0][~mask] == 0).all()
        assert (got[2][-1] == 0).all()
        assert_close(got[2], got[0].sum(dim=1), rtol=0, atol=1e-6)
    every_answer_is_close(scripted(form)(ids), got)


@pytest.mark.parametrize("kind", KINDS)
def test_exporting_leaves_the_trained_embedding_as_it_was_and_copies_no_table(kind: str) -> None:
    embedding = make(kind).train()
    ids, modules = texts(kind, 4, 9), dict(embedding.named_modules())
    values = {name: value.clone() for name, value in embedding.state_dict().items()}
    form = exported(embedding, GatherTable)
    form.vectors(ids)
    assert dict(embedding.named_modules()) == modules
    assert all(module.training for module in modules.values())
    assert all((value == values[name]).all() for name, value in embedding.state_dict().items())
    assert not any(module.training for module in form.modules())
    if kind not in ("table, max_norm", "dynamic_dim"):
        ours = {value.data_ptr() for value in embedding.state_dict().values()}
        theirs = [value.data_ptr() for name, value in form.state_dict().items()]
        assert ours.issuperset(theirs)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Table(4, 4, TableOptions()),
        lambda: Hashed(HashedOptions()),
        lambda: CharCNN(4, CharCNNOptions()),
        lambda: DynamicDim(4, 4, DynamicDimOptions()),
        lambda: Multilingual([0, 3], 4, 4, MultilingualOptions()),
    ],
)
def test_nothing_is_built_before_its_width_is_chosen(build: Callable[[], Embedding]) -> None:
    with pytest.raises(ValueError, match="dim is not chosen yet"):
        build()


@pytest.mark.parametrize(
    "options", [TableOptions, HashedOptions, CharCNNOptions, DynamicDimOptions, MultilingualOptions]
)
@pytest.mark.parametrize(
    ("given", "message"),
    [({"dim": 0}, "dim=0"), ({"spread": 0.0}, r"spread=0\.0"), ({"spread": float("nan")}, "spread=nan")],
)
def test_impossible_widths_and_starts_are_refused_by_name(
    options: Callable[..., object], given: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        options(**given)


def named(kind: str) -> tuple[str, int]:
    """What a bad id is called and how many there are; of an index in a language the language is looked at first."""
    if kind.startswith("hashed"):
        return "key", 2**33
    return ("language number", 4) if kind == "multilingual" else ("index", ROWS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("value", "dtype"), [(0.5, "float32"), (7.0, "float64"), (True, "bool"), (3, "int16"), (3, "uint8")]
)
def test_ids_of_a_wrong_dtype_are_refused_by_value_and_size(kind: str, value: float, dtype: str) -> None:
    what, size = named(kind)
    ids = torch.full_like(texts(kind, 1, 3), value, dtype=getattr(torch, dtype))
    for look_up in (make(kind).vectors, make(kind).pooled):
        with pytest.raises(
            TypeError,
            match=rf"^{what} {value} must be int64 or int32, not torch\.{dtype}; "
            rf"there are {size:,}, 0 to {size - 1}\.$",
        ):
            look_up(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_no_ids_of_a_wrong_dtype_are_refused_as_well(kind: str) -> None:
    what, size = named(kind)
    with pytest.raises(
        TypeError,
        match=rf"^{what} must be int64 or int32, not torch\.float32; there are {size:,}, 0 to {size - 1}\.$",
    ):
        make(kind).vectors(texts(kind, 1, 3)[:, :0].float())


@pytest.mark.parametrize("kind", KINDS)
def test_ids_may_be_of_either_integer_dtype(kind: str) -> None:
    ids = texts(kind, 4, 9) % 2**31
    every_answer_is_close(Answers(make(kind))(ids.int()), Answers(make(kind))(ids), atol=0)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "table, unk"])
def test_a_negative_id_is_refused_by_value_and_size(kind: str) -> None:
    what, size = named(kind)
    for look_up in (make(kind).vectors, make(kind).pooled):
        with pytest.raises(IndexError, match=rf"^{what} -7 is negative; there are {size:,}, 0 to {size - 1}\.$"):
            look_up(texts(kind, 1, 3) * 0 - 7)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "table, unk"])
def test_an_id_beyond_the_last_is_refused_by_value_and_size(kind: str) -> None:
    what, size = named(kind)
    for look_up in (make(kind).vectors, make(kind).pooled):
        for value in (size, 2**40):
            message = rf"^{what} {value} is beyond the {size:,} there are; the last is {size - 1}\.$"
            with pytest.raises(IndexError, match=message):
                look_up(texts(kind, 1, 3) * 0 + value)


def test_an_embedding_of_ones_own_pools_by_summing() -> None:
    class Ones(Embedding):
        def vectors(self, ids: Tensor) -> Tensor:
            return self.mask(ids).unsqueeze(-1).expand(-1, -1, self.dim).float()

    assert Ones(2).pooled(torch.tensor([[4, 5, 0]])).tolist() == [[2, 2]]
