"""Warnings that teach: what in the data, the table or the answers will make a model worse, and what to do.

Each is a line that begins with "warning: " and comes at most once a training; docs/warnings.md shows them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...data.dataset import Dataset, label_sets
from ...data.splits import Splits
from ...handlers.text.encoder import UNK, Ids, TextEncoder, Tokens
from ...models.compose import offsets
from ...models.heads import ClassifierOptions
from ...models.recipes import Recipe
from ...storage.compression import listed, shown
from ..tasks import Outputs
from .label_noise import swapped_labels
from .leakage import twins, word_keys

_MOST = 0.5
# The accuracy of always giving the same answer from which on accuracy says little, and how rare a label is neglected.
_MAJORITY, _RARE = 0.75, 20
# Share of held-out texts that are in training too: fewer hardly move a metric.
_SHARED = 0.01
# Buckets in use of those that take memory, and the memory that is worth a word: 1 MiB.
_USED, _WASTED = 0.05, 1 << 20
_CHUNK = 512
# Fewer answers say nothing of a model.
_FEW = 20


@dataclass(frozen=True)
class LookedUp:
    """What `TextEncoder.look_up` makes of the parts' texts, and of the second texts of training where there are."""

    train: Tokens
    validation: Tokens
    test: Tokens
    pairs: Tokens | None = None

    @classmethod
    def of(cls, encoder: TextEncoder, parts: Splits) -> LookedUp:
        """Look all texts of `parts` up."""
        train, validation, test = (
            encoder.look_up(part.texts, part.languages) for part in (parts.train, parts.validation, parts.test)
        )
        second = parts.train.pairs
        pairs = None if second is None else encoder.look_up(second, parts.train.languages)
        return cls(train, validation, test, pairs)

    @property
    def trained(self) -> list[Tokens]:
        """All that training reads."""
        return [self.train] if self.pairs is None else [self.train, self.pairs]


def of_data(
    recipe: Recipe,
    parts: Splits,
    encoder: TextEncoder,
    labels: Sequence[str],
    tokens: LookedUp,
    *,
    further: bool = False,
) -> list[str]:
    """Warnings about the data that `recipe` is about to be trained on, its dim chosen; none for ordinary data.

    `tokens` are the texts of `parts` looked up by `encoder`. `further`: words, labels and sizes are those of a run
    that is trained further.
    """
    found = [
        _unknown(recipe, encoder, tokens, further=further),
        _imbalance(recipe, parts.train, labels),
        _shared(recipe, encoder, parts, tokens),
        _untouched(encoder, tokens),
        None if further else _unused(recipe, encoder, tokens),
    ]
    if recipe.task == "classify":
        every = (parts.train, parts.validation, parts.test)
        looked_up = (tokens.train, tokens.validation, tokens.test)
        found.append(swapped_labels(encoder.spec, labels, every, looked_up))
    return [f"warning: {one}" for one in found if one]


def of_answers(
    task: str, part: Dataset, outputs: Outputs, labels: Sequence[str], threshold: float = 0.5
) -> list[str]:
    """Warnings about a trained model's `outputs` for the texts of `part`, laid out as evaluation/tasks.py says."""
    if len(part) < _FEW:
        return []
    if task == "multilabel":
        found = _silence(part, outputs, threshold)
    elif task == "classify":
        found = _one_answer(part, [labels[top] for top in outputs.argmax(axis=1)])
    else:
        found = None
    return [f"warning: {found}"] if found else []


def _unknown(recipe: Recipe, encoder: TextEncoder, tokens: LookedUp, *, further: bool) -> str | None:
    train, held = (_unknown_shares(encoder, tokens.train, one) for one in (tokens.train, tokens.validation))
    where, share = max(held.items(), key=lambda item: item[1])
    if share <= _MOST:
        return None
    inputs, options = encoder.spec.inputs, recipe.text
    if inputs == "hashes":
        return (
            f"most words are new: {share:.0%} of those in the validation texts are in no training text, and nothing "
            "has been learned of their vectors. Set subwords = [3, 5] in [text], so that they share parts with words "
            "that training knows, or add training texts like these."
        )
    what, other = "words", " Or take --model hashed or char, which read any word."
    if inputs == "characters":
        what, other = "characters", ""
    if further:
        way = (
            "Train anew with all the texts." if other == "" else "First add them: lexport expand RUN --from-oov DATA."
        )
    elif train.get(where, 0.0) <= share / 2:
        way = "Add texts like these to training."
    else:
        lower = f"lower min_count ({options.min_count})" if options.min_count > 1 else ""
        higher = f"raise max_vocabulary ({options.max_vocabulary:,})" if options.max_vocabulary else ""
        way = f"In [text] {' and '.join(filter(None, (lower, higher)))}."
    return (
        f"most {what} are unknown: {share:.0%} of those in the validation texts{where} "
        f"({train.get(where, 0.0):.0%} in training) have no row of their own and look the same to the model. "
        f"{way}{other}"
    )


def _unknown_shares(encoder: TextEncoder, train: Tokens, tokens: Tokens) -> dict[str, float]:
    """The share of unknown words (or characters), by what is said of where: of all texts, or of each language's.

    With "hashes" a word is unknown that training never met, unless it has subwords to know it by.
    """
    spec = encoder.spec
    if spec.inputs == "hashes":
        unknown = np.zeros(len(tokens.hashes), bool) if spec.subwords else ~np.isin(tokens.hashes, train.hashes)
    elif tokens.characters is not None:
        unknown = tokens.characters.values == UNK
    else:
        unknown = tokens.indices == UNK
    if tokens.languages is None:
        return {"": _mean(unknown)}
    numbers = np.repeat(tokens.languages, tokens.lengths)
    return {
        f" in {shown(language)}": _mean(unknown[numbers == number])
        for number, language in enumerate(encoder.languages)
    }


def _mean(flags: npt.NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _imbalance(recipe: Recipe, train: Dataset, labels: Sequence[str]) -> str | None:
    head = recipe.head
    if not isinstance(head, ClassifierOptions) or head.class_weights == "balanced":
        return None
    sets = label_sets(train) if head.multi_label else [(label,) for label in train.labels]
    counts = dict.fromkeys(labels, 0)
    for names in sets:
        for name in names:
            counts[name] += 1
    most, least = max(labels, key=counts.__getitem__), min(labels, key=counts.__getitem__)
    share = counts[most] / len(train)
    neglected = counts[least] * _RARE <= counts[most]
    if not neglected and (head.multi_label or share < _MAJORITY):
        return None
    seen = (
        f"labels are unbalanced: of {len(train):,} training texts {counts[most]:,} ({share:.0%}) have "
        f"'{shown(most)}' and {counts[least]:,} '{shown(least)}'"
    )
    meaning = (
        "so that rare labels are seldom answered and micro F1 hardly shows it"
        if head.multi_label
        else f"so that an accuracy of {share:.2f} is what always answering '{shown(most)}' would reach"
    )
    return f'{seen}, {meaning}. Judge by macro F1, and set class_weights = "balanced" in [head].'


def _shared(recipe: Recipe, encoder: TextEncoder, parts: Splits, tokens: LookedUp) -> str | None:
    if recipe.task == "joint":
        return None  # its rows are told apart by their images
    chosen = twins(encoder, parts.train, tokens.train, parts.validation, tokens.validation)
    tested = twins(encoder, parts.train, tokens.train, parts.test, tokens.test)
    held = len(parts.validation) + len(parts.test)
    if len(chosen) + len(tested) < max(_SHARED * held, 2):
        return None
    part, pairs = (parts.validation, chosen) if chosen else (parts.test, tested)
    row, other = pairs[0]
    return (
        f"texts are in training and held out alike: {len(chosen):,} of {len(parts.validation):,} validation and "
        f"{len(tested):,} of {len(parts.test):,} test texts are to the model the same as a training text, differing "
        f"only in case, spaces or beyond max_tokens. It knows them by heart, and the metrics flatter it: keep one "
        f'of each, for example "{shown(parts.train.texts[other])}" or "{shown(part.texts[row])}".'
    )


def _untouched(encoder: TextEncoder, tokens: LookedUp) -> str | None:
    spec, vocabulary = encoder.spec, encoder.vocabulary
    if not vocabulary:
        return None
    touched = np.zeros(spec.words, bool)
    for part in tokens.trained:
        touched[word_keys(spec, part)] = True
    sizes = list(spec.languages.values()) or [spec.words - 1]
    starts = offsets(spec)[:-1] or [0]
    rows = np.concatenate([np.arange(start + 2, start + size + 1) for start, size in zip(starts, sizes, strict=True)])
    still = np.flatnonzero(~touched[rows])
    if len(still) <= _MOST * len(vocabulary):
        return None
    return (
        f"most rows of the table are never updated: {len(still):,} of {len(vocabulary):,} words occur in no training "
        f"text ({listed((vocabulary[one] for one in still.tolist()), 3)}), so that their vectors stay as they are "
        "while all others move. Train on texts that use them, or let every vector stay: frozen_epochs = the number "
        "of epochs in [training]."
    )


def _unused(recipe: Recipe, encoder: TextEncoder, tokens: LookedUp) -> str | None:
    embedding, spec = recipe.embedding, encoder.spec
    buckets = spec.buckets or getattr(embedding, "buckets", 0)
    hashes = getattr(embedding, "hashes", 1)
    width = (embedding.dim or 0) * (1 if getattr(embedding, "combine", "sum") == "concat" else hashes)
    used = np.zeros(buckets, bool)
    for rows in _bucket_rows(encoder, tokens, buckets):
        used[rows] = True
        if np.count_nonzero(used) > _USED * buckets:
            return None
    count = int(np.count_nonzero(used))
    wasted = (buckets - count) * width * 4
    if wasted < _WASTED:
        return None
    enough = max(1 << (4 * count - 1).bit_length(), 1024) if count else 1024
    where = "[text]" if spec.buckets else "[embedding]"
    return (
        f"nearly all buckets stay unused: the training texts fill {count:,} of {buckets:,} ({count / buckets:.1%}), "
        f"the others are {wasted / (1 << 20):.0f} MiB in memory and in every export for nothing. Set buckets = "
        f"{enough} in {where}."
    )


def _bucket_rows(encoder: TextEncoder, tokens: LookedUp, buckets: int) -> Iterator[Ids]:
    """The buckets, from 0, that the training texts' n-grams go to (any words', where all are hashed), bit by bit."""
    spec = encoder.spec
    if not buckets:
        return
    for part in tokens.trained:
        for first in range(0, len(part.lengths), _CHUNK):
            ids = encoder.assemble(part.take(np.arange(first, min(first + _CHUNK, len(part.lengths)))))
            if spec.inputs == "hashes":
                yield (ids[ids > 0] - 1) % buckets
            elif spec.inputs == "languages":
                yield ids[..., 0][(ids[..., 0] > 0) & (ids[..., 1] == len(spec.languages))] - 1
            else:
                yield ids[ids >= spec.words] - spec.words


def _silence(part: Dataset, outputs: Outputs, threshold: float) -> str | None:
    sets = label_sets(part)
    silent, blank = int((outputs < threshold).all(axis=1).sum()), sum(not names for names in sets)
    if silent <= _MOST * len(part) or blank > _MOST * silent:
        return None
    carried = sum(map(len, sets))
    enough = float(np.sort(outputs, axis=None)[-carried])
    return (
        f"the model answers no label for {silent:,} of {len(part):,} validation texts, of which only {blank:,} have "
        f"none: no score reaches the threshold of {threshold:g}. With threshold = {_floor(enough):g} in [head] it "
        f'would answer as many labels as the texts have; class_weights = "balanced" raises the scores of rare ones.'
    )


def _floor(score: float) -> float:
    """A score as a threshold to write down, two digits and within what one can be."""
    return min(max(int(score * 100) / 100, 0.01), 0.99)


def _one_answer(part: Dataset, answers: Sequence[str]) -> str | None:
    if len(set(answers)) > 1 or len(set(part.labels)) == 1:
        return None
    (answer,) = set(answers)
    wrong = sum(label != answer for label in part.labels)
    return (
        f"the model answers '{shown(answer)}' for all {len(part):,} validation texts, of which {wrong:,} have "
        'another label: it tells nothing apart. Where labels are unbalanced set class_weights = "balanced" in '
        "[head]; otherwise try another learning_rate or more epochs in [training], or a simpler model (--model bag)."
    )
