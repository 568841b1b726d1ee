"""What every embedding and its options have, and the checks they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from ...handlers.text.spec import Layout

if TYPE_CHECKING:
    from ...handlers.text.spec import TextSpec


class EmbeddingOptions:
    """Base of an embedding's options: a frozen dataclass with a field `dim`, the section [embedding] of a recipe."""

    NAME: ClassVar[str]
    """The name in a recipe."""
    INPUTS: ClassVar[Layout] = Layout.INDICES
    """The layout of the ids that the embedding takes, see `TextSpec.inputs`."""
    POOLS: ClassVar[bool] = True
    """Whether the embedding sums a text's vectors without storing them, which a bag then uses."""

    if TYPE_CHECKING:

        @property
        def dim(self) -> int | None:
            """Dimensions of a vector; None: chosen by the size of the data."""

    def build(self, spec: TextSpec) -> Embedding:
        """Return a new embedding for the ids of `spec`."""
        raise NotImplementedError


class Embedding(nn.Module):
    """From ids, int64 [batch, length] or with a third axis, PAD on the right, to vectors of width `dim`."""

    def __init__(self, dim: int) -> None:
        """`dim`: width of a vector."""
        super().__init__()
        self.dim = dim

    def vectors(self, ids: Tensor) -> Tensor:
        """Return one vector a token: float32 [batch, length, dim], zeros at PAD.

        Raises TypeError for ids that are not integers, IndexError for those that stand for nothing.
        """
        raise NotImplementedError

    def mask(self, ids: Tensor) -> Tensor:
        """Return which cells hold a token: bool [batch, length], False at PAD."""
        # The literal, here and wherever TorchScript compiles: it takes no global such as PAD.
        return ids != 0

    def pooled(self, ids: Tensor) -> Tensor:
        """Return the sum of a text's vectors: float32 [batch, dim]. Raises as `vectors`."""
        return self.vectors(ids).sum(dim=1)

    def pooled_cells(self, cells: Tensor, counts: Tensor) -> Tensor:
        """Do the same as `pooled`, of ids without padding: the cells of one text after the other, and int64 [batch],
        how many.

        Of texts `TextEncoder.flatten` makes both. Raises as `vectors`.
        """
        texts = torch.arange(len(counts), device=cells.device).repeat_interleave(counts, output_size=len(cells))
        vectors = self.vectors(cells.unsqueeze(0)).squeeze(0)
        return vectors.new_zeros(len(counts), self.dim).index_add(0, texts, vectors)

    def penalty(self, ids: Tensor) -> Tensor | None:
        """Return what training adds to the loss for these ids, a scalar; None for nothing."""
        return None


def check_dim(dim: int | None, spread: float) -> None:
    """Raise ValueError for a width or a start that no table can have; None is a width yet to be chosen."""
    if dim is not None and dim < 1:
        raise ValueError(
            f"embedding: dim={dim} must be at least 1, or left out to be chosen by the size of the data."
        )
    if not 0 < spread < float("inf"):
        raise ValueError(f"embedding: spread={spread} must be a number above 0.")


def chosen(dim: int | None) -> int:
    """Return the width. Raises ValueError for None: training chooses it before a model is built."""
    if dim is None:
        raise ValueError("embedding: dim is not chosen yet; give the options a number before building from them.")
    return dim


def check_integers(ids: Tensor, size: int, what: str) -> None:
    """Raise TypeError unless `ids` are integers, naming the first and how many of `what` there are."""
    if ids.dtype not in (torch.int64, torch.int32):
        first = "" if torch.compiler.is_exporting() or ids.numel() == 0 else f" {ids.flatten()[0].item()}"
        raise TypeError(
            f"{what}{first} must be int64 or int32, not {ids.dtype}; there are {size:,}, 0 to {size - 1}."
        )


def check_range(ids: Tensor, size: int, what: str) -> None:
    """Raise TypeError unless `ids` are integers, IndexError unless each is from 0 to size-1.

    In an export the values are not looked at: there are none yet.
    """
    check_integers(ids, size, what)
    if torch.compiler.is_exporting() or ids.numel() == 0:
        return
    least, most = (int(bound) for bound in torch.aminmax(ids))
    if least < 0:
        raise IndexError(f"{what} {least} is negative; there are {size:,}, 0 to {size - 1}.")
    if most >= size:
        raise IndexError(f"{what} {most} is beyond the {size:,} there are; the last is {size - 1}.")
