"""How large a step is: texts and rate by the size of the data, where a recipe leaves them "auto"."""

from __future__ import annotations

from ...handlers.text.encoder import Ids
from ...models.recipes import Recipe
from ...models.recipes.options import AUTO

# A step costs a millisecond whatever it holds: as much as 2,000 words and n-grams. So from 32,768 texts on it holds
# more of them, twice as many whenever there are half as many again. docs/experiments.md has the measurements.
_TEXTS, _MOST_TEXTS, _SQUARE = 64, 2048, 1 << 23
# Words of a step: more make it no faster, and take memory.
_MOST_WORDS = 1 << 16
# Adagrad's rate. A rare word moves as far in a large step as in a small one, a frequent one moves in fewer: measured
# between "the same rate" and "with the root of the texts".
_RATE, _POWER = 0.02, 1 / 6


def choose_steps(recipe: Recipe, lengths: Ids) -> tuple[Recipe, str]:
    """Return `recipe` with numbers for what its steps leave "auto", and the reason; "" for the usual steps.

    `lengths`: the words of each training text, int64 [texts].
    """
    texts, words = len(lengths), int(lengths.sum())
    training = recipe.training
    size, rate = training.batch_size, training.learning_rate
    if size == AUTO:
        size = _TEXTS
        most = min(_MOST_TEXTS, texts**2 // _SQUARE, _MOST_WORDS * texts // max(words, 1))
        while 2 * size <= most:
            size *= 2
    assert isinstance(size, int)
    if rate == AUTO:
        rate = float(f"{_RATE * max(size / _TEXTS, 1) ** _POWER:.2g}")
    reason = ""
    if size > _TEXTS and AUTO in (training.batch_size, training.learning_rate):
        reason = (
            f"{size:,} texts a step at a rate of {rate:g}, for {texts:,} training texts; --set training.batch_size "
            "and training.learning_rate set others"
        )
    return recipe.changed("training", batch_size=size, learning_rate=rate), reason
