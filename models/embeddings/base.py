"""What every embedding answers, and the checks they share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Where TorchScript must compile it, the literal is written, since it takes no global.
PAD = 0
UNK = 1


class Embedding(nn.Module):
    """From ids, int64 [batch, length] or with a third axis, PAD on the right, to vectors of width `dim`."""

    def __init__(self, dim: int) -> None:
        """`dim`: width of a vector."""
        super().__init__()
        self.dim = dim

    def vectors(self, ids: Tensor) -> Tensor:
        """One vector a token: float32 [batch, length, dim], zeros at PAD."""
        raise NotImplementedError

    def mask(self, ids: Tensor) -> Tensor:
        """Which cells hold a token: bool [batch, length], False at PAD."""
        return ids != 0

    def pooled(self, ids: Tensor) -> Tensor:
        """The sum of a text's vectors: float32 [batch, dim]."""
        return self.vectors(ids).sum(dim=1)


def check_dim(dim: int | None, spread: float) -> None:
    """Raise ValueError for a width or a start that no table can have; None is a width yet to be chosen."""
    if dim is not None and dim < 1:
        raise ValueError(
            f"embedding: dim={dim} must be at least 1, or left out to be chosen by the size of the data."
        )
    if not 0 < spread < float("inf"):
        raise ValueError(f"embedding: spread={spread} must be a number above 0.")


def chosen(dim: int | None) -> int:
    """The width, once it is known. Raises ValueError for None: the trainer chooses before anything is built."""
    if dim is None:
        raise ValueError("embedding: dim is not chosen yet; give the options a number before building from them.")
    return dim


def check_integers(ids: Tensor, what: str) -> None:
    """Raise TypeError unless `ids` are integers."""
    if ids.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"{what} must be int64, got {ids.dtype}.")


def check_range(ids: Tensor, size: int | None, what: str) -> None:
    """Raise TypeError unless `ids` are integers, IndexError unless each is from 0 to size-1 (None: no bound).

    In an export the values are not looked at: there are none yet.
    """
    check_integers(ids, what)
    if torch.compiler.is_exporting() or ids.numel() == 0:
        return
    least, most = (int(bound) for bound in torch.aminmax(ids))
    if least < 0:
        raise IndexError(f"{what} {least} is negative; the first is 0.")
    if size is not None and most >= size:
        raise IndexError(f"{what} {most} is beyond the {size:,} there are; the last is {size - 1}.")
