"""One table that several languages share, each with a block of rows of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...handlers.text.spec import Layout, TextSpec
from .base import Embedding, EmbeddingOptions, check_dim, check_integers, check_range, chosen
from .table import Table, TableOptions, check_out_of_range


@dataclass(frozen=True)
class MultilingualOptions(EmbeddingOptions):
    """Options of the embedding `multilingual`."""

    NAME: ClassVar[str] = "multilingual"
    INPUTS: ClassVar[Layout] = Layout.LANGUAGES

    dim: int | None = None
    """Dimensions of a vector; None: chosen by the size of the data."""
    spread: float = 0.05
    """Words start with uniform numbers within ±spread."""
    sparse: bool | str = "auto"
    """As for the table."""
    out_of_range: str = "error"
    """For an index beyond its language: "error", or "unk" to read it as that language's UNK."""

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        check_dim(self.dim, self.spread)
        check_out_of_range(self.out_of_range)

    def build(self, spec: TextSpec) -> Multilingual:
        """Return a new embedding for the ids of `spec`."""
        return Multilingual(offsets(spec), spec.rows, spec.words, self)


class Multilingual(Embedding):
    """Words of equal spelling in two languages have two vectors; PAD and the n-gram rows are everyone's.

    Block l holds the rows offsets[l] + 1 to offsets[l + 1], UNK first; the last block is the n-grams' and ends
    with the table. A row is learned as in a Table; the blocks follow no paper.
    """

    def __init__(self, offsets: Sequence[int], rows: int, words: int, options: MultilingualOptions) -> None:
        """`offsets` of the languages and, last, of the n-grams. Raises ValueError for offsets that fit no table."""
        super().__init__(chosen(options.dim))
        ends = [*offsets[1:], rows - 1]
        if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != words - 1 or not _grow(offsets) or rows < words:
            raise ValueError(
                f"embedding: offsets {list(offsets)} do not fit a table of {rows:,} rows, {words:,} of them words: "
                f"they begin at 0, grow from language to language and end at {words - 1}."
            )
        self.unk = options.out_of_range == "unk"
        self.table: Embedding = Table(rows, words, TableOptions(self.dim, options.spread, sparse=options.sparse))
        self.longest = 1 + max(end - start for start, end in zip(offsets, ends, strict=True))
        self.offsets = nn.Buffer(torch.tensor(offsets))
        self.sizes = nn.Buffer(torch.tensor(ends) - torch.tensor(offsets), persistent=False)

    def mask(self, ids: Tensor) -> Tensor:
        """Return which cells hold a token: bool [batch, length]."""
        return ids[:, :, 0] != 0

    def rows_of(self, indices: Tensor, languages: Tensor) -> Tensor:
        """Return rows of the table, int64 [batch, length], of indices [batch, length] within their languages.

        `languages`: int64, a number a text [batch] or a token [batch, length]. Raises IndexError for a language
        or an index that there is not, TypeError for what is no integer.
        """
        if languages.dim() < indices.dim():
            languages = languages.unsqueeze(1).expand_as(indices)
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check(indices, languages)
        if self.unk:
            inside = (indices >= 0) & (indices <= self.sizes[languages])
            indices = torch.where(inside, indices, torch.ones_like(indices))
        return torch.where(indices == 0, torch.zeros_like(indices), indices + self.offsets[languages])

    def _check(self, indices: Tensor, languages: Tensor) -> None:
        check_range(languages, len(self.offsets), "language number")
        check_integers(indices, self.longest, "index")
        if torch.compiler.is_exporting() or self.unk:
            return
        outside = (indices < 0) | (indices > self.sizes[languages])
        if outside.any():
            index, language = int(indices[outside][0]), int(languages[outside][0])
            last = int(self.sizes[language])
            raise IndexError(
                f"index {index} of language number {language} is {'negative' if index < 0 else 'beyond its last'}; "
                f"there are {last + 1:,}, 0 to {last}."
            )

    def vectors(self, ids: Tensor) -> Tensor:
        """int64 [batch, length, 2] of (index, language) → float32 [batch, length, dim]. Raises as `rows_of`."""
        return self.table.vectors(self.rows_of(ids[:, :, 0], ids[:, :, 1]))

    def pooled(self, ids: Tensor) -> Tensor:
        """Return the sum of a text's vectors without forming them: int64 [batch, length, 2] → float32 [batch, dim].

        Raises as `rows_of`.
        """
        return self.table.pooled(self.rows_of(ids[:, :, 0], ids[:, :, 1]))

    def pooled_cells(self, cells: Tensor, counts: Tensor) -> Tensor:
        """Do the same as `pooled` with flat ids: int64 [cells, 2] and int64 [batch]. Raises as `rows_of`."""
        return self.table.pooled_cells(self.rows_of(cells[:, 0], cells[:, 1]), counts)


def _grow(offsets: Sequence[int]) -> bool:
    return all(before < after for before, after in pairwise(offsets))


def offsets(spec: TextSpec) -> list[int]:
    """Return the offset of each language's rows, and at the end that of the shared n-grams."""
    found, total = [], 0
    for rows in spec.languages.values():
        found.append(total)
        total += rows
    return [*found, spec.words - 1]
