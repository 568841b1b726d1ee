"""Warnings about data, table and predictions that make a model worse, with advice.

Each comes at most once per training, with the options that follow its advice; docs/warnings.md shows them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from ...data.dataset import Dataset
from ...data.splits import Splits
from ...handlers.text.encoder import Ids, TextEncoder
from ...handlers.text.spec import Layout
from ...models.corpus import pieces
from ...models.embeddings.buckets import AUTO
from ...models.heads import LabelOptions
from ...models.recipes import Recipe
from ...storage.compression import shown
from ..metrics import Outputs
from ..tasks import TASKS, MultiLabel, Task
from .advice import LEAVE_OUT, Advice, Command, setting
from .label_names import alike_labels, count_labels, placeholder_labels
from .label_noise import swapped_labels
from .leakage import cross_split_duplicates
from .tokenized import TokenizedSplits
from .unknown_words import unknown_words

_MOST = 0.5
# From this accuracy of always predicting the same label accuracy says little; and how rare a neglected label is.
_MAJORITY, _RARE = 0.75, 20
# Share of held-out texts that are in training too: fewer hardly change a metric.
_MIN_LEAKED = 0.01
# Warn if fewer buckets than this share are used, and at least 1 MiB is wasted.
_USED, _WASTED = 0.05, 1 << 20
_CHUNK = 512
# Fewer predictions say nothing about a model.
_FEW = 20


def data_warnings(
    recipe: Recipe,
    parts: Splits,
    encoder: TextEncoder,
    labels: Sequence[str],
    tokens: TokenizedSplits,
    command: Command,
    *,
    further: bool = False,
) -> list[Advice]:
    """Return warnings about the data that `recipe`, with its dim chosen, will be trained on; none for ordinary data.

    `tokens` are the texts of `parts` looked up by `encoder`. `command` is the user's command. `further`: vocabulary,
    labels and sizes are those of a run that is trained further.
    """
    found = [
        unknown_words(recipe, parts, encoder, tokens, command, further=further),
        _imbalance(recipe, parts.train, labels),
        _leaked_duplicates(recipe, encoder, parts, tokens),
        None if further else _unused_buckets(recipe, encoder, tokens),
    ]
    task = TASKS[recipe.task]
    if task.GIVES_SCORES:
        counts = count_labels(chain(parts.train.labels, parts.validation.labels, parts.test.labels))
        found += [alike_labels(counts), placeholder_labels(counts)]
    if task.GIVES_SCORES and not task.MULTI_LABEL:
        two = (parts.train, parts.validation), (tokens.train, tokens.validation)
        found.append(swapped_labels(encoder.spec, labels, *two))
    return [one for one in found if one]


def prediction_warnings(recipe: Recipe, task: Task, part: Dataset, outputs: Outputs) -> list[Advice]:
    """Return warnings about a trained model's `outputs` for `part`, in the layout of evaluation/tasks."""
    if len(part) < _FEW:
        return []
    if not task.GIVES_SCORES:
        return []
    if task.MULTI_LABEL:
        found = _no_label_predicted(part, outputs, task.threshold)
    else:
        found = _one_label_predicted(recipe, part, [label for (label,) in task.predictions(outputs)])
    return [found] if found else []


def _imbalance(recipe: Recipe, train: Dataset, labels: Sequence[str]) -> Advice | None:
    head = recipe.head
    if not isinstance(head, LabelOptions):
        return None
    sets = TASKS[recipe.task].label_sets(train)
    counts = dict.fromkeys(labels, 0)
    for names in sets:
        for name in names:
            counts[name] += 1
    if head.weighting(list(counts.values())) == "balanced":
        return None
    most, least = max(labels, key=counts.__getitem__), min(labels, key=counts.__getitem__)
    share = counts[most] / len(train)
    neglected = counts[least] * _RARE <= counts[most]
    if not neglected and (head.multi_label or share < _MAJORITY):
        return None
    meaning = (
        "so that rare labels are seldom predicted and micro-F1 hardly shows it"
        if head.multi_label
        else f"so that an accuracy of {share:.2f} is what always answering '{shown(most)}' would reach"
    )
    return Advice(
        "LX-WARN-003",
        f"labels are unbalanced: of {len(train):,} training texts {counts[most]:,} ({share:.0%}) have "
        f"'{shown(most)}' and {counts[least]:,} '{shown(least)}', {meaning}. Look at macro-F1; class weights can "
        "raise it.",
        (setting("head.class_weights", "balanced"),),
        details={
            "texts": len(train),
            "largest": most,
            "largest_count": counts[most],
            "smallest": least,
            "smallest_count": counts[least],
        },
    )


def _leaked_duplicates(recipe: Recipe, encoder: TextEncoder, parts: Splits, tokens: TokenizedSplits) -> Advice | None:
    if not TASKS[recipe.task].DUPLICATES_LEAK:
        return None
    chosen = cross_split_duplicates(encoder, parts.train, tokens.train, parts.validation, tokens.validation)
    tested = cross_split_duplicates(encoder, parts.train, tokens.train, parts.test, tokens.test)
    held = len(parts.validation) + len(parts.test)
    if len(chosen) + len(tested) < max(_MIN_LEAKED * held, 2):
        return None
    part, pairs = (parts.validation, chosen) if chosen else (parts.test, tested)
    row, other = pairs[0]
    return Advice(
        "LX-WARN-005",
        f"the same texts are in training and held out: {len(chosen):,} of {len(parts.validation):,} validation and "
        f"{len(tested):,} of {len(parts.test):,} test texts are the same as a training text for the model: they "
        "differ only in case, spaces or beyond max_tokens. The model knows them, so the metrics are too good; for "
        f'example "{shown(parts.train.texts[other])}" and "{shown(part.texts[row])}".',
        ((LEAVE_OUT, "shared"),),
        details={
            "validation": len(chosen),
            "validation_texts": len(parts.validation),
            "test": len(tested),
            "test_texts": len(parts.test),
        },
    )


def _unused_buckets(recipe: Recipe, encoder: TextEncoder, tokens: TokenizedSplits) -> Advice | None:
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
    return Advice(
        "LX-WARN-006",
        f"nearly all buckets stay unused: the training texts fill {count:,} of {buckets:,} ({count / buckets:.1%}), "
        f"the others waste {wasted / (1 << 20):.0f} MiB in memory and in every export.",
        (setting("text.buckets" if spec.buckets else "embedding.buckets", AUTO),),
        details={"used": count, "buckets": buckets, "wasted_bytes": wasted},
    )


def _bucket_rows(encoder: TextEncoder, tokens: TokenizedSplits, buckets: int) -> Iterator[Ids]:
    """Yield the buckets, from 0, of the training texts' n-grams (of all words if words are hashed), in chunks."""
    spec = encoder.spec
    if not buckets:
        return
    for part in tokens.trained:
        for piece in pieces(part, _CHUNK):
            ids = encoder.assemble(piece)
            if spec.inputs is Layout.HASHES:
                yield (ids[ids > 0] - 1) % buckets
            elif spec.inputs is Layout.LANGUAGES:
                yield ids[..., 0][(ids[..., 0] > 0) & (ids[..., 1] == len(spec.languages))] - 1
            else:
                yield ids[ids >= spec.words] - spec.words


def _no_label_predicted(part: Dataset, outputs: Outputs, threshold: float) -> Advice | None:
    sets = MultiLabel.label_sets(part)
    silent, blank = int((outputs < threshold).all(axis=1).sum()), sum(not names for names in sets)
    if silent <= _MOST * len(part) or blank > _MOST * silent:
        return None
    carried = sum(map(len, sets))
    enough = _floor(float(np.sort(outputs, axis=None)[-carried]))
    return Advice(
        "LX-WARN-008",
        f"the model predicts no label for {silent:,} of {len(part):,} validation texts, of which only {blank:,} have "
        f"none: no score reaches the threshold of {threshold:g}. With {enough:g} it would predict as many "
        "labels as the texts have, and micro-F1 would rise.",
        (setting("head.threshold", f"{enough:g}"),),
        details={
            "without_label": silent,
            "truly_without": blank,
            "validation_texts": len(part),
            "threshold": threshold,
            "suggested_threshold": enough,
        },
    )


def _floor(score: float) -> float:
    """Return a score rounded down to two digits, from 0.01 to 0.99, as a threshold."""
    return min(max(int(score * 100) / 100, 0.01), 0.99)


def _one_label_predicted(recipe: Recipe, part: Dataset, answers: Sequence[str]) -> Advice | None:
    simple = "multilingual" if recipe.inputs is Layout.LANGUAGES else "bag"
    if recipe.name == simple or len(set(answers)) > 1 or len(set(part.labels)) == 1:
        return None
    (answer,) = set(answers)
    wrong = sum(label != answer for label in part.labels)
    return Advice(
        "LX-WARN-009",
        f"the model predicts '{shown(answer)}' for all {len(part):,} validation texts, of which {wrong:,} have "
        f"another label. A simpler model learns more from so few texts, or with such a learning rate.",
        (("--model", simple),),
        details={"label": answer, "wrong": wrong, "validation_texts": len(part)},
    )
