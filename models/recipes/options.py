"""The options of a recipe that belong to no part of the model: how text is read, how training goes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..embeddings.buckets import check_buckets

OPTIMIZERS = ("adam", "adamw", "adagrad", "rowwise", "sgd")
SCHEDULES = ("constant", "linear")
PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class TextOptions:
    """ngrams: longest n-gram in words. subwords: shortest and longest n-gram of a word's characters, or none.

    buckets: rows that both are hashed into, "auto" for a number by the training texts. max_tokens: a longer text is
    cut. word_length: characters kept of a word where words are read by character. min_count, max_vocabulary: which
    words (or characters) get a row.
    """

    ngrams: int = 1
    subwords: tuple[int, int] | None = None
    buckets: int | str = "auto"
    max_tokens: int = 1024
    word_length: int = 0
    min_count: int = 2
    max_vocabulary: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that make no vocabulary."""
        if self.subwords is not None:
            # TOML and JSON know lists only.
            object.__setattr__(self, "subwords", tuple(self.subwords))
            if len(self.subwords) != 2 or not 2 <= self.subwords[0] <= self.subwords[1]:
                raise ValueError(
                    f"text: subwords={list(self.subwords)} must be the shortest and the longest n-gram of "
                    "characters, at least 2, such as [3, 5]."
                )
        check_buckets(self.buckets)
        negative = not isinstance(self.buckets, str) and self.buckets < 0
        if self.ngrams < 1 or self.max_tokens < 1 or negative or self.word_length < 0:
            raise ValueError(
                f"text: ngrams={self.ngrams} and max_tokens={self.max_tokens} must be at least 1, "
                f"buckets={self.buckets} and word_length={self.word_length} at least 0."
            )
        if self.min_count < 1:
            raise ValueError(f"text: min_count={self.min_count} must be at least 1.")
        if self.max_vocabulary is not None and self.max_vocabulary < 1:
            raise ValueError(f"text: max_vocabulary={self.max_vocabulary} must be at least 1.")

    @property
    def grams(self) -> bool:
        """Whether a text is more than its words."""
        return self.ngrams > 1 or self.subwords is not None


@dataclass(frozen=True)
class TrainingOptions:
    """epochs: at most. patience: epochs without a better validation loss before training stops.

    optimizer: "adam", "adamw", "adagrad", "sgd", or "rowwise": Adagrad with one sum of squares a row for large
    tables, Adam for all else. learning_rate: its rate. schedule: "constant", or "linear" from
    there down to 0 at the last epoch. embedding_rate: the embedding's rate as a multiple of it. frozen_epochs: the
    embedding stays as it is in the first epochs; released_rate: its rate from then on as a multiple of what it would
    be. weight_decay: AdamW's, of everything but the embedding. precision: "fp32", or "bf16" or "fp16" where torch's
    autocast has it safe. word_dropout: share of words that a training step replaces by an unseen one. ngram_dropout:
    share of the n-grams and subwords that it leaves out. averaging: what is judged and kept after an epoch is the
    average of the weights at the end of every epoch so far, each counting this share of the one after it; 0 for the
    weights as they are. clip: largest norm of all gradients together, or 0 for no limit (Pascanu, Mikolov, Bengio:
    On the Difficulty of Training Recurrent Neural Networks, 2012, arXiv:1211.5063).
    """

    epochs: int = 30
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 0.002
    schedule: str = "constant"
    embedding_rate: float = 1.0
    frozen_epochs: int = 0
    released_rate: float = 1.0
    weight_decay: float = 0.0
    precision: str = "fp32"
    word_dropout: float = 0.1
    ngram_dropout: float = 0.0
    averaging: float = 0.0
    patience: int = 4
    clip: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers that train nothing."""
        if min(self.epochs, self.batch_size, self.patience) < 1 or not 0 < self.learning_rate < math.inf:
            raise ValueError(
                f"training: epochs={self.epochs}, batch_size={self.batch_size}, patience={self.patience} must be "
                f"at least 1 and learning_rate={self.learning_rate} a number above 0."
            )
        if not (0 <= self.word_dropout < 1 and 0 <= self.ngram_dropout < 1 and 0 <= self.clip < math.inf):
            raise ValueError(
                f"training: word_dropout={self.word_dropout} and ngram_dropout={self.ngram_dropout} must be at least "
                f"0 and below 1, clip={self.clip} a number, at least 0."
            )
        for option, value, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise ValueError(f'training: {option} is "{value}", known are: {", ".join(known)}.')
        if not (0 < self.embedding_rate < math.inf and 0 < self.released_rate < math.inf):
            raise ValueError(
                f"training: embedding_rate={self.embedding_rate} and released_rate={self.released_rate} must be "
                "numbers above 0; an embedding that never learns has frozen_epochs = epochs."
            )
        if not 0 <= self.averaging < 1:
            raise ValueError(
                f"training: averaging={self.averaging} must be at least 0 and below 1: the share that an epoch's "
                "weights count of the next epoch's."
            )
        if self.frozen_epochs < 0:
            raise ValueError(f"training: frozen_epochs={self.frozen_epochs} must be at least 0.")
        if not 0 <= self.weight_decay < math.inf or (self.weight_decay and self.optimizer != "adamw"):
            raise ValueError(
                f"training: weight_decay={self.weight_decay} must be a number, at least 0, and is for optimizer = "
                f'"adamw" alone; the optimizer is "{self.optimizer}".'
            )
