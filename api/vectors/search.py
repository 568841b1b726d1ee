"""Find the texts of a data file that are nearest to one text, by the vectors of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from ...data.columns import Columns
from ...data.load import Source
from ...data.reading.options import Reading
from ...data.whole_rows import open_whole
from ...errors import InputError
from ...evaluation.vectors.nearest import Nearest
from ...evaluation.vectors.rows import FloatRows
from ...storage.compression import shown
from ...storage.progress import Progress, Say
from ..model import AT_ONCE, Model


@dataclass(frozen=True)
class Match:
    """A row of the data whose text is near."""

    row: int
    """Its number among the rows that can be read, from 1."""
    text: str
    similarity: float
    """The cosine of the two texts' vectors."""
    record: Mapping[str, Any]
    """Every cell of the row, by its column."""


def search(
    model: Model,
    text: str,
    data: Source,
    *,
    text_column: str,
    language_column: str | None,
    language: str | None,
    top: int,
    reading: Reading,
    say: Say,
    progress: Progress,
) -> list[Match]:
    """Do what `Model.search` says."""
    asked = model.vectors([text], lang=language)
    if not asked.any():
        raise InputError(
            f"{model.name} gives the text '{shown(text)}' a vector of zeros, so no text is near to it. Ask with "
            "words that the model knows.",
            code="LX-VECTORS-117",
        )
    parts = []
    with open_whole(data, Columns(text_column, None, language_column), reading) as rows:
        for note in rows.notes:
            say(note)
        every, done = iter(rows), 0
        while batch := list(islice(every, AT_ONCE)):
            languages = None if language_column is None else [row.language or "" for row in batch]
            parts.append(model.vectors([row.text for row in batch], lang=languages))
            done += len(batch)
            progress(done, rows.count, f"{done:,} of {rows.count:,} rows")
        [(places, cosines)] = Nearest(FloatRows(np.concatenate(parts))).find(asked, top)
        near = dict(zip(places.tolist(), cosines.tolist(), strict=True))
        # Read once more, so that no row has to be kept for the few that are near.
        found = {
            place: Match(place + 1, row.text, near[place], dict(row.record))
            for place, row in enumerate(rows)
            if place in near
        }
    return [found[place] for place in near]
