"""The text and training options of a recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...handlers.text.normalization import Normalization
from ...storage.validation import raise_any
from ..embeddings.buckets import check_buckets

OPTIMIZERS = ("adam", "adamw", "adagrad", "rowwise", "sgd", "newton")
SCHEDULES = ("constant", "linear")
PRECISIONS = ("fp32", "bf16", "fp16")
AUTO = "auto"
"""What a recipe says for steps that the size of the data decides."""


@dataclass(frozen=True)
class TextOptions:
    """Section [text]: how text becomes ids."""

    ngrams: int = 1
    """Longest n-gram, in words."""
    subwords: tuple[int, int] | None = None
    """Shortest and longest n-gram of a word's characters; None for no subwords."""
    buckets: int | str = "auto"
    """Rows that n-grams and subwords are hashed into; "auto" chooses a number from the training texts."""
    max_tokens: int = 1024
    """Longer texts are cut to this many tokens."""
    normalization: str = "nfc"
    """Unicode form of texts before they are split: "nfc", "nfkc" (also replaces full-width letters, ligatures and the
    like by plain ones) or "none"."""
    word_length: int = 0
    """Characters kept of each word if words are read by character."""
    min_count: int | str = 2
    """A word (or character) gets a row if it occurs this often; "auto" is 1 for fewer than 100,000 training tokens,
    else 2."""
    max_vocabulary: int | None = None
    """At most this many words (or characters) get a row."""

    def __post_init__(self) -> None:
        """Raise ValueError for numbers out of range."""
        problems: list[str] = []
        if self.subwords is not None:
            # TOML and JSON have only lists.
            object.__setattr__(self, "subwords", tuple(self.subwords))
            if len(self.subwords) != 2 or not 2 <= self.subwords[0] <= self.subwords[1]:
                problems.append(
                    f"text: subwords={list(self.subwords)} must be the shortest and the longest n-gram of "
                    "characters, at least 2, such as [3, 5]."
                )
        check_buckets(self.buckets)
        negative = not isinstance(self.buckets, str) and self.buckets < 0
        if self.ngrams < 1 or self.max_tokens < 1 or negative or self.word_length < 0:
            problems.append(
                f"text: ngrams={self.ngrams} and max_tokens={self.max_tokens} must be at least 1, "
                f"buckets={self.buckets} and word_length={self.word_length} at least 0."
            )
        if self.normalization not in list(Normalization):
            problems.append(
                f'text: normalization is "{self.normalization}"; one of {", ".join(Normalization)} was expected.'
            )
        if self.min_count != AUTO and (isinstance(self.min_count, str) or self.min_count < 1):
            problems.append(f'text: min_count={self.min_count} must be at least 1, or "auto".')
        if self.max_vocabulary is not None and self.max_vocabulary < 1:
            problems.append(f"text: max_vocabulary={self.max_vocabulary} must be at least 1.")
        raise_any(problems)

    @property
    def grams(self) -> bool:
        """Whether texts have n-grams or subwords besides words."""
        return self.ngrams > 1 or self.subwords is not None


@dataclass(frozen=True)
class TrainingOptions:
    """Section [training]: how the model is trained."""

    epochs: int = 30
    """Largest number of epochs."""
    batch_size: int | str = 64
    """Texts per step; "auto" chooses 64 to 2,048 by the number of training texts."""
    optimizer: str = "adam"
    """"adam", "adamw", "adagrad", "sgd", or "rowwise": Adagrad with one sum of squares per row for large tables, Adam
    for everything else; or "newton": the exact minimum of the loss of a linear model, for the head `linear`."""
    learning_rate: float | str = 0.002
    """Learning rate; "auto" is 0.02, and more for steps of more than 64 texts."""
    schedule: str = "constant"
    """"constant", or "linear": the learning rate falls to 0 at the last epoch."""
    embedding_rate: float = 1.0
    """Learning rate of the embedding as a multiple of `learning_rate`."""
    frozen_epochs: int = 0
    """The embedding is frozen in this many first epochs."""
    released_rate: float = 1.0
    """Factor for the embedding's learning rate after these epochs."""
    weight_decay: float = 0.0
    """AdamW's weight decay, for everything but the embedding."""
    precision: str = "fp32"
    """"fp32", or mixed precision with torch's autocast: "bf16" or "fp16"."""
    word_dropout: float = 0.1
    """Share of words that a step replaces by an unseen word."""
    ngram_dropout: float = 0.0
    """Share of n-grams and subwords that a step leaves out."""
    averaging: float = 0.0
    """Decay per epoch of an average of the weights, which is then what is validated and kept; 0: no average."""
    patience: int = 4
    """Epochs without a lower validation loss before training stops."""
    clip: float = 0.0
    """Largest norm of all gradients together; 0: no limit (Pascanu, Mikolov, Bengio: On the Difficulty of Training
    Recurrent Neural Networks, 2012, arXiv:1211.5063)."""

    def __post_init__(self) -> None:
        """Raise ValueError for numbers out of range."""
        problems: list[str] = []
        size, rate = self.batch_size, self.learning_rate
        for option, value in (("batch_size", size), ("learning_rate", rate)):
            if isinstance(value, str) and value != AUTO:
                problems.append(f'training: {option} is "{value}"; a number or "{AUTO}" was expected.')
        counts = [self.epochs, self.patience, *([] if isinstance(size, str) else [size])]
        if min(counts) < 1 or not (isinstance(rate, str) or 0 < rate < math.inf):
            problems.append(
                f"training: epochs={self.epochs}, batch_size={self.batch_size}, patience={self.patience} must be "
                f"at least 1 and learning_rate={self.learning_rate} a number above 0."
            )
        if not (0 <= self.word_dropout < 1 and 0 <= self.ngram_dropout < 1 and 0 <= self.clip < math.inf):
            problems.append(
                f"training: word_dropout={self.word_dropout} and ngram_dropout={self.ngram_dropout} must be at least "
                f"0 and below 1, clip={self.clip} a number, at least 0."
            )
        for option, value, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                problems.append(f'training: {option} is "{value}", known are: {", ".join(known)}.')
        if not (0 < self.embedding_rate < math.inf and 0 < self.released_rate < math.inf):
            problems.append(
                f"training: embedding_rate={self.embedding_rate} and released_rate={self.released_rate} must be "
                "numbers above 0; an embedding that never learns has frozen_epochs = epochs."
            )
        if not 0 <= self.averaging < 1:
            problems.append(
                f"training: averaging={self.averaging} must be at least 0 and below 1: the share that an epoch's "
                "weights count of the next epoch's."
            )
        if self.frozen_epochs < 0:
            problems.append(f"training: frozen_epochs={self.frozen_epochs} must be at least 0.")
        if not 0 <= self.weight_decay < math.inf or (self.weight_decay and self.optimizer != "adamw"):
            problems.append(
                f"training: weight_decay={self.weight_decay} must be a number, at least 0, and is for optimizer = "
                f'"adamw" alone; the optimizer is "{self.optimizer}".'
            )
        raise_any(problems)

    @property
    def texts_per_step(self) -> int:
        """The batch size, once it is a number. Raises ValueError for "auto": training chooses it first."""
        return int(_chosen("batch_size", self.batch_size))

    @property
    def rate(self) -> float:
        """The learning rate, once it is a number. Raises ValueError likewise."""
        return float(_chosen("learning_rate", self.learning_rate))


def _chosen(option: str, value: float | str) -> float:
    if isinstance(value, str):
        raise ValueError(f"training: {option} is not chosen yet; give the options a number before training.")
    return value
