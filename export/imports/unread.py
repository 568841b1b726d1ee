"""Models that are known and cannot be brought in, each with the reason."""

from __future__ import annotations

import re
from pathlib import Path

from ...data.pretrained import open_vectors
from ...errors import InputError
from ...storage.compression import shown
from .kind import Imported, ImportOptions, Kind, beginning

_PICKLE = b"\x80"
_BEGINNING = 1 << 10
_GENSIM = re.compile(rb"gensim")


class GensimObject(Kind):
    """What gensim's `save` wrote: a pickle of an object of its own class, perhaps with .npy files beside it."""

    NAME = "gensim's .kv"

    def recognise(self, path: Path) -> bool:
        """Return whether the file is a pickle that names gensim in its beginning."""
        start = beginning(path, _BEGINNING)
        return start.startswith(_PICKLE) and _GENSIM.search(start) is not None

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Raise InputError, which says how gensim writes a file that can be read."""
        open_vectors(path)
        raise InputError(
            f"{shown(path)} is an object of gensim's, which is not unpickled. Save its word vectors with "
            "save_word2vec_format and name that file.",
            code="LX-IMPORT-020",
        )
