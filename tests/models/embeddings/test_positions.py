from __future__ import annotations

import io
import warnings

import pytest
import torch
from torch.testing import assert_close

from lexport.models.embeddings import Positions

from .embedding_cases import session


def test_each_column_has_its_own_vector_added() -> None:
    positions = Positions(5, 4)
    vectors = torch.rand(2, 3, 4)
    assert_close(positions(vectors) - vectors, positions.weight[:3].expand(2, 3, 4))


def test_a_text_as_long_as_there_are_positions_fits_and_a_longer_one_is_refused() -> None:
    positions = Positions(5, 4)
    assert positions(torch.zeros(1, 5, 4)).shape == (1, 5, 4)
    with pytest.raises(ValueError, match="A text of 6 columns is longer than the 5 positions"):
        positions(torch.zeros(1, 6, 4))


@pytest.mark.parametrize(("max_tokens", "dim"), [(0, 4), (5, 0)])
def test_no_positions_are_refused(max_tokens: int, dim: int) -> None:
    with pytest.raises(ValueError, match=f"max_tokens={max_tokens} and dim={dim}"):
        Positions(max_tokens, dim)


def test_torchscript_and_onnx_add_alike_at_every_length() -> None:
    positions = Positions(50, 4).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        buffer = io.BytesIO()
        torch.jit.save(torch.jit.freeze(torch.jit.script(positions)), buffer)
        buffer.seek(0)
        run = torch.jit.load(buffer)  # type: ignore[no-untyped-call]
    graph = session(positions, torch.rand(3, 5, 4), fixed=2)
    for batch, length in ((1, 1), (1, 50), (7, 1), (4, 30)):
        vectors = torch.rand(batch, length, 4)
        assert_close(run(vectors), positions(vectors), rtol=0, atol=1e-6)
        answer = graph.run(None, {graph.get_inputs()[0].name: vectors.numpy()})[0]
        assert_close(torch.from_numpy(answer), positions(vectors), rtol=0, atol=1e-6)
