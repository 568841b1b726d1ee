from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lexport.models.encoders import (
    CNN,
    LSTM,
    Bag,
    BagOptions,
    CNNOptions,
    LSTMOptions,
    Transformer,
    TransformerOptions,
)

DIM = 8
MAX_TOKENS = 24


def make(name: str) -> Any:
    torch.manual_seed(0)
    encoders: dict[str, nn.Module] = {
        "bag mean": Bag(DIM),
        "bag sum": Bag(DIM, BagOptions("sum")),
        "bag max": Bag(DIM, BagOptions("max")),
        "cnn": CNN(DIM, CNNOptions(widths=(1, 3, 5), filters=6, dropout=0.0)),
        "lstm one way": LSTM(DIM, LSTMOptions(hidden=6, directions=1, dropout=0.0)),
        "lstm stacked": LSTM(DIM, LSTMOptions(hidden=6, layers=2, dropout=0.0)),
        "transformer": Transformer(DIM, TransformerOptions(heads=2, hidden=16, dropout=0.0), MAX_TOKENS),
    }
    return encoders[name].eval()


NAMES = ["bag mean", "bag sum", "bag max", "cnn", "lstm one way", "lstm stacked", "transformer"]
every_encoder = pytest.mark.parametrize("name", NAMES)


def batch_of(lengths: list[int], columns: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Random vectors and a mask; a text's vectors do not depend on its batch, and PAD holds anything but zeros."""
    vectors = torch.full((len(lengths), columns, DIM), 7.0)
    for row, length in enumerate(lengths):
        generator = torch.Generator().manual_seed(seed * 1000 + length)
        vectors[row, :length] = torch.randn(length, DIM, generator=generator)
    return vectors, torch.arange(columns) < torch.tensor(lengths).unsqueeze(1)


@every_encoder
def test_answers_one_vector_a_text_as_wide_as_it_says(name: str) -> None:
    encoder = make(name)
    assert encoder(*batch_of([3, 5], 5)).shape == (2, encoder.out)


@every_encoder
@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4), more=st.integers(0, 6))
@settings(max_examples=15)
def test_padding_and_company_do_not_change_a_text(name: str, lengths: list[int], more: int) -> None:
    encoder = make(name)
    with torch.no_grad():
        together = encoder(*batch_of(lengths, max(1, *lengths) + more))
        alone = torch.cat([encoder(*batch_of([length], max(1, length))) for length in lengths])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@every_encoder
@pytest.mark.parametrize("training", [False, True])
def test_an_empty_text_is_zeros_alone_and_in_company(name: str, training: bool) -> None:
    encoder = make(name).train(training)
    assert encoder(*batch_of([0], 1)).eq(0).all()
    answers = encoder(*batch_of([0, 4, 0], 6))
    assert answers[[0, 2]].eq(0).all()
    assert answers[1].ne(0).any()


@every_encoder
@pytest.mark.parametrize("training", [False, True])
def test_gradients_reach_tokens_and_never_pad(name: str, training: bool) -> None:
    encoder = make(name).train(training)
    vectors, mask = batch_of([2, 0, 6], 7)
    vectors.requires_grad_()
    (encoder(vectors, mask) ** 2).sum().backward()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()
    assert vectors.grad[~mask].eq(0).all()
    assert vectors.grad[0].ne(0).any()
    assert vectors.grad[2].ne(0).any()


@pytest.mark.parametrize("name", [name for name in NAMES if "bag" not in name])
def test_every_parameter_learns(name: str) -> None:
    encoder = make(name).train()
    (encoder(*batch_of([1, 6, 9], 9)) ** 2).sum().backward()
    for parameter, weight in encoder.named_parameters():
        assert weight.grad is not None, parameter
        assert weight.grad.ne(0).any(), parameter


@pytest.mark.parametrize("name", ["lstm one way", "lstm stacked", "transformer"])
def test_the_order_of_tokens_matters(name: str) -> None:
    encoder, (vectors, mask) = make(name), batch_of([5], 5)
    assert not torch.allclose(encoder(vectors, mask), encoder(vectors.flip(1), mask), atol=1e-3)


@pytest.mark.parametrize("mode", ["mean", "sum"])
def test_a_bag_of_pooled_vectors_equals_the_bag_of_vectors(mode: str) -> None:
    bag = Bag(DIM, BagOptions(mode))
    vectors, mask = batch_of([4, 0, 6], 6)
    summed = (vectors * mask.unsqueeze(2)).sum(1)
    torch.testing.assert_close(bag.average(summed, mask.sum(1)), bag(vectors, mask))


def test_the_bag_by_hand() -> None:
    vectors, mask = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [9.0, 9.0]]]), torch.tensor([[True, True, False]])
    assert Bag(2)(vectors, mask).tolist() == [[2.0, -3.0]]
    assert Bag(2, BagOptions("sum"))(vectors, mask).tolist() == [[4.0, -6.0]]
    assert Bag(2, BagOptions("max"))(vectors, mask).tolist() == [[3.0, -2.0]]


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_the_convolution_equals_torchs(length: int) -> None:
    encoder: Any = CNN(DIM, CNNOptions(widths=(1, 3), filters=6)).eval()
    vectors, mask = batch_of([length], length)
    answers = []
    for bank in encoder.banks:
        kernel = bank.product.weight.view(6, bank.width, DIM).transpose(1, 2)
        missing = max(0, bank.width - length)
        padded = nn.functional.pad(vectors.transpose(1, 2), (0, missing))
        answers.append(nn.functional.conv1d(padded, kernel, bank.product.bias).relu().amax(2))
    torch.testing.assert_close(encoder(vectors, mask), torch.cat(answers, 1), rtol=0, atol=1e-5)


def test_both_directions_equal_torchs_bidirectional_lstm() -> None:
    encoder: Any = LSTM(DIM, LSTMOptions(hidden=6, layers=2)).eval()
    stock = nn.LSTM(DIM, 6, num_layers=2, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for number, layer in enumerate(encoder.layers):
            for reader, ending in zip(layer.readers, ("", "_reverse"), strict=True):
                for name, weight in reader.lstm.named_parameters():
                    getattr(stock, name.replace("l0", f"l{number}") + ending).copy_(weight)
    vectors, mask = batch_of([5], 8)
    torch.testing.assert_close(encoder(vectors, mask), stock(vectors[:, :5])[0].amax(1), rtol=0, atol=1e-5)


@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    layers=st.integers(1, 2),
    directions=st.integers(1, 2),
    more=st.integers(0, 3),
)
@settings(max_examples=25)
def test_packed_training_and_unpacked_evaluation_agree(
    lengths: list[int], layers: int, directions: int, more: int
) -> None:
    encoder: Any = LSTM(DIM, LSTMOptions(hidden=5, layers=layers, directions=directions, dropout=0.0))
    texts = batch_of(lengths, max(1, *lengths) + more)
    torch.testing.assert_close(encoder.train()(*texts), encoder.eval()(*texts), rtol=0, atol=1e-5)


def test_attention_equals_torchs_multi_head_attention() -> None:
    encoder: Any = Transformer(DIM, TransformerOptions(heads=2), MAX_TOKENS).eval()
    attention = encoder.blocks[0].attention
    stock: Any = nn.MultiheadAttention(DIM, 2, batch_first=True)
    with torch.no_grad():
        stock.in_proj_weight.copy_(attention.inputs.weight)
        stock.in_proj_bias.copy_(attention.inputs.bias)
        stock.out_proj.load_state_dict(attention.output.state_dict())
    vectors, mask = batch_of([5, 3], 5)
    expected = stock(vectors, vectors, vectors, key_padding_mask=~mask)[0]
    torch.testing.assert_close(attention(vectors, mask[:, None, None]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("encoder", [CNN(DIM), LSTM(DIM), Transformer(DIM)], ids=["cnn", "lstm", "transformer"])
def test_dropout_acts_in_training_alone(encoder: nn.Module) -> None:
    texts = batch_of([5], 5)
    encoder.train()
    assert not torch.equal(encoder(*texts), encoder(*texts))
    encoder.eval()
    assert torch.equal(encoder(*texts), encoder(*texts))


def test_a_text_longer_than_the_transformers_positions_is_refused_with_both_numbers() -> None:
    encoder = make("transformer")
    encoder(*batch_of([MAX_TOKENS], MAX_TOKENS))
    with pytest.raises(ValueError, match=r"25 .*24"):
        encoder(*batch_of([2], MAX_TOKENS + 1))


def test_heads_that_do_not_divide_the_vector_are_refused() -> None:
    with pytest.raises(ValueError, match="heads=3 do not divide the embedding's dim=8"):
        Transformer(DIM, TransformerOptions(heads=3), MAX_TOKENS)
