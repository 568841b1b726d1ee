"""The two files that TensorBoard's projector loads: vectors and words, separated by tabs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...messages.escaping import visible
from ...storage.atomic import new_folder


def write_projector(
    folder: Path, words: Sequence[str], vectors: npt.NDArray[np.float32], *, replace: bool = False
) -> Path:
    """Write vectors.tsv, a vector a line, and metadata.tsv, a word a line, to a new folder, and return it.

    `vectors` are float32 [words, dim]. With one column metadata.tsv has no header, as the projector expects. Raises
    InputError if the folder cannot be made, or is there and not to be replaced.
    """
    with new_folder(folder, replace=replace) as new:
        with (new / "vectors.tsv").open("w", encoding="utf-8", newline="\n") as handle:
            for vector in vectors:
                handle.write("\t".join(np.format_float_positional(number, trim="-") for number in vector) + "\n")
        with (new / "metadata.tsv").open("w", encoding="utf-8", newline="\n") as handle:
            # A tab or a line break within a word would shift all rows below it.
            handle.writelines(f"{visible(word)}\n" for word in words)
    return folder
