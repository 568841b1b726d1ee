"""The default number of buckets for words, n-grams and subwords: by how many different ones training has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...handlers.text.encoder import FIRST_WORD, TextEncoder, TextSpec
from ...handlers.text.spec import Layout
from ..corpus import Corpus, pieces

if TYPE_CHECKING:
    from ..recipes import TextOptions

AUTO = "auto"
"""What a recipe says for a number of buckets that the training texts decide."""

# Of every four buckets one is then in use at most, so that few share. Beyond the most, a larger table is for a recipe
# to ask for; so far more texts are not counted either.
_FOR_EACH, _LEAST, _MOST = 4, 1 << 10, 1 << 18
_TOGETHER = 256
# Marks of what has been met: so many that even of the most hardly any two share one.
_MARKS = 1 << 22
# Rows as wide as a model has labels are narrower than vectors, mostly: so many numbers may all buckets have then.
_MOST_NUMBERS, _MOST_ROWS = 1 << 25, 1 << 22


def check_buckets(buckets: int | str) -> None:
    """Raise ValueError for a word that is not AUTO."""
    if isinstance(buckets, str) and buckets != AUTO:
        raise ValueError(f'buckets is "{buckets}"; a number or "{AUTO}" was expected.')


def most_buckets(width: int) -> int:
    """Return the most buckets of rows of `width` numbers, one for each label: a power of two, up to 4,194,304."""
    return max(min(1 << (_MOST_NUMBERS // max(width, 1)).bit_length() - 1, _MOST_ROWS), _LEAST)


def choose_buckets(corpus: Corpus, options: TextOptions, most: int = _MOST) -> int:
    """Return a power of two, 1,024 to `most`: at least four for each word, n-gram and subword of the corpus."""
    if len(corpus.words) * _FOR_EACH >= most:
        return most  # the words alone ask for so many
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
    for tokens in pieces(corpus.looked_up(encoder), _TOGETHER):
        cells, _ = encoder.flatten(tokens)
        met[cells % _MARKS] = True
        count = int(np.count_nonzero(met))
        if count * _FOR_EACH >= most:
            return most
    return max(1 << (_FOR_EACH * count).bit_length(), _LEAST)
