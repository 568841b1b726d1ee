"""gensim's KeyedVectors and Word2Vec as models of text vectors."""

from __future__ import annotations

import re
from pathlib import Path

from ...data.pretrained.gensim import read_gensim
from .kind import Imported, ImportOptions, Kind, beginning
from .word_vectors import averaged

_PICKLE = b"\x80"
_BEGINNING = 1 << 10
_NAMED = re.compile(rb"gensim\.")


class GensimVectors(Kind):
    """What gensim's `save` wrote of word vectors: a pickle of an object, perhaps with .npy files beside it."""

    NAME = "word vectors of gensim (.kv of KeyedVectors, .model of Word2Vec)"

    def recognise(self, path: Path) -> bool:
        """Return whether the file is a pickle that names gensim in its beginning."""
        start = beginning(path, _BEGINNING)
        return start.startswith(_PICKLE) and _NAMED.search(start) is not None

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the model that answers the mean of a text's word vectors. Raises InputError as `read_gensim`."""
        keyed = read_gensim(path)
        return averaged(path, keyed.words, keyed.vectors, {"saved": keyed.saved})
