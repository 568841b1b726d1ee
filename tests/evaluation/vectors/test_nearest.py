"""The nearest rows, a part at a time, are those of one product with the whole table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.evaluation.vectors import nearest
from lexport.evaluation.vectors.nearest import Nearest
from lexport.evaluation.vectors.rows import FloatRows, Rows, quantized

FORMS: dict[str, Callable[[npt.NDArray[np.float32]], Rows]] = {
    "fp32": FloatRows,
    "fp16": lambda made: FloatRows(made.astype(np.float16)),
    "int8": lambda made: quantized(FloatRows(made), "int8"),
    "int4": lambda made: quantized(FloatRows(made), "int4"),
}


def whole(rows: Rows, asked: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """All cosines by one product, float64 [asked, rows]; -1e9 for rows of zeros."""
    vectors = rows.vectors(np.arange(len(rows))).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    units = vectors / np.where(lengths > 0, lengths, 1)[:, None]
    cosines = (asked / np.linalg.norm(asked, axis=1, keepdims=True)).astype(np.float64) @ units.T
    found: npt.NDArray[np.float64] = np.where(lengths > 0, cosines, -1e9)
    return found


@pytest.mark.parametrize("form", FORMS)
@given(
    count=st.integers(1, 60),
    dim=st.integers(1, 7),
    asked=st.integers(1, 5),
    top=st.integers(1, 12),
    step=st.integers(1, 30),
    seed=st.integers(0, 10_000),
)
def test_parts_and_one_product_agree(
    form: str, count: int, dim: int, asked: int, top: int, step: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    made = draw.standard_normal((count, dim), dtype=np.float32)
    made[draw.random(count) < 0.2] = 0
    made[draw.integers(0, count, count // 3)] = made[0]  # equal rows
    rows = FORMS[form](made)
    queries = draw.standard_normal((asked, dim), dtype=np.float32) + np.float32(1e-3)
    without = [draw.integers(0, count, draw.integers(0, 4)) for _ in range(asked)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(nearest, "_step", lambda rows, asked: step)
        patched.setattr(nearest, "_COPIED", max(1, step // 2) * dim)
        found = Nearest(rows).find(queries, top, without)
    for cosines, left_out, (places, values) in zip(whole(rows, queries), without, found, strict=True):
        cosines[left_out] = -1e9
        best = np.sort(cosines[cosines > -1e9])[::-1][:top]
        assert len(places) == len(set(places.tolist())) == len(best)
        np.testing.assert_allclose(values, best, atol=2e-6)
        np.testing.assert_allclose(cosines[places], values, atol=2e-6)


def test_equal_rows_come_in_their_order_and_zeros_never() -> None:
    made = np.tile(np.array([[3.0, 4.0]], np.float32), (50, 1))
    made[[0, 7]] = 0
    [(places, cosines)] = Nearest(FloatRows(made)).find(np.array([[30.0, 40.0]], np.float32), 4)
    assert places.tolist() == [1, 2, 3, 4]
    assert cosines == pytest.approx([1] * 4)


def test_hidden_rows_and_numbers_that_are_not_finite_are_never_found() -> None:
    made = np.array([[1, 0], [1, 1], [np.nan, 1], [np.inf, 0], [3e38, 3e38], [0, 1]], np.float32)
    near = Nearest(FloatRows(made), np.array([True, False, False, False, False, False]))
    [(places, _)] = near.find(np.array([[1, 0]], np.float32), 9)
    # The fifth is long, but finite.
    assert sorted(places.tolist()) == [1, 4, 5]
    assert np.isnan(near.inverse).tolist() == [True, False, True, True, False, False]
