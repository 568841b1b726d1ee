"""The default number of buckets for words, n-grams and subwords: by how many different ones training has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...handlers.text.encoder import FIRST_WORD, TextEncoder, TextSpec
from ...handlers.text.spec import Layout

if TYPE_CHECKING:
    from ..corpus import Corpus
    from ..recipes import TextOptions

AUTO = "auto"
"""What a recipe says for a number of buckets that the training texts decide."""

# Of every four buckets one is then in use at most, so that few share. Beyond the most, a larger table is for a recipe
# to ask for; so far more texts are not counted either.
_FOR_EACH, _LEAST, _MOST = 4, 1 << 10, 1 << 18
_TOGETHER = 256
# Marks of what has been met: so many that even of the most hardly any two share one.
_MARKS = 1 << 22


def check_buckets(buckets: int | str) -> None:
    """Raise ValueError for a word that is not AUTO."""
    if isinstance(buckets, str) and buckets != AUTO:
        raise ValueError(f'buckets is "{buckets}"; a number or "{AUTO}" was expected.')


def choose_buckets(corpus: Corpus, options: TextOptions) -> int:
    """Return a power of two, 1,024 to 262,144: at least four for each word, n-gram and subword of the corpus."""
    if len(corpus.words) * _FOR_EACH >= _MOST:
        return _MOST  # the words alone ask for so many
    spec = TextSpec(
        words=FIRST_WORD,
        ngrams=options.ngrams,
        subwords=options.subwords,
        max_tokens=options.max_tokens,
        inputs=Layout.HASHES,
    )
    encoder = TextEncoder(spec, [])
    met = np.zeros(_MARKS, bool)
    count = 0
    for tokens in corpus.batches(encoder, _TOGETHER):
        cells, _ = encoder.flatten(tokens)
        met[cells % _MARKS] = True
        count = int(np.count_nonzero(met))
        if count * _FOR_EACH >= _MOST:
            return _MOST
    return max(1 << (_FOR_EACH * count).bit_length(), _LEAST)
