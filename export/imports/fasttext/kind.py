"""Classifiers of fastText as runs: a table of words and buckets, their mean, a linear layer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch

from ....data.dataset import SEPARATOR
from ....errors import InputError
from ....handlers.text.encoder import FIRST_WORD, TextEncoder, TextSpec
from ....handlers.text.fasttext import LABEL, PATTERN, FastText
from ....models.compose import TextModel, build
from ....models.embeddings import TableOptions
from ....models.encoders.bag import BagOptions
from ....models.heads.classifier import ClassifierOptions
from ....models.heads.tree import DEPTH, TreeOptions, steps_of
from ....models.recipes import Recipe, TextOptions, TrainingOptions
from ....storage.compression import listed, shown
from ..kind import MAX_TOKENS, SCORES_WITHIN, Imported, ImportOptions, Kind, beginning
from .answering import Answering
from .file import MAGIC, FastTextFile, Loss, read_file
from .huffman import huffman_ways

_TOGETHER = 1 << 16  # rows
_LEAST_SUBWORD = 2
# Of losses of one label against all, fastText reads the logistic function off a table of steps of 1/32.
_STEPPED_WITHIN = 0.01
# Of a tree, fastText adds 1e-5 at each node on the way to a label.
_ADDED = 1.1e-5
_LARGEST_KEPT = 800_000  # characters of text.json

_LOSSES = {
    Loss.SOFTMAX: "softmax",
    Loss.HIERARCHICAL: "hierarchical softmax",
    Loss.ONE_VS_ALL: "one-vs-all",
    Loss.NEGATIVE: "negative sampling",
}


class FastTextClassifier(Kind):
    """A `.bin` that `fasttext supervised` wrote, or a `.ftz` of `fasttext quantize`."""

    NAME = "a classifier of fastText (.bin, .ftz)"

    def recognise(self, path: Path) -> bool:
        """Return whether the file begins with fastText's magic number."""
        return beginning(path, len(MAGIC)) == MAGIC

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Read it. Raises InputError for a damaged file, one without labels, and a loss that has no head."""
        content = read_file(path)
        several = content.loss in (Loss.ONE_VS_ALL, Loss.NEGATIVE)
        ways = _ways(path, content)
        labels = _labels(path, content, options.label_prefix, several=several)
        words, rows = _readable_words(content)
        kept = _kept(path, content)
        spec = _spec(content, words, kept)
        recipe = Recipe(
            name="fasttext",
            when="A classifier that fastText trained.",
            text=TextOptions(
                ngrams=spec.ngrams,
                # A recipe knows no n-grams of one character; the text spec has them.
                subwords=spec.subwords
                and (max(spec.subwords[0], _LEAST_SUBWORD), max(spec.subwords[1], _LEAST_SUBWORD)),
                buckets=spec.buckets,
                max_tokens=spec.max_tokens,
                normalization=str(spec.normalization),
                min_count=1,
            ),
            embedding=TableOptions(dim=content.dim),
            encoder=BagOptions(),
            head=TreeOptions() if ways else ClassifierOptions(multi_label=several),
            training=TrainingOptions(),
        )
        model = build(recipe, spec, labels=len(labels))
        if kept is not None:
            rows = np.concatenate([rows, len(content.words) + kept[:, 1]])
        elif spec.buckets:
            rows = np.concatenate([rows, np.arange(len(content.words), content.inputs.rows)])
        _fill(model, content, rows, ways)
        lost = len(content.words) - len(words)
        return Imported(
            recipe=recipe,
            model=model,
            encoder=TextEncoder(spec, words),
            labels=labels,
            before=Answering(content),
            within=_STEPPED_WITHIN if several else max(SCORES_WITHIN, _ADDED * max(map(len, ways), default=0)),
            notes=_notes(content, lost),
            facts={
                "loss": _LOSSES[content.loss],
                "dim": content.dim,
                "words": len(content.words),
                "buckets": content.buckets if content.grams else 0,
                "kept_buckets": None if kept is None else len(kept),
            },
        )


def _ways(path: Path, content: FastTextFile) -> list[list[tuple[int, bool]]]:
    """Return the way to each label in the tree of hierarchical softmax, nothing for another loss.

    Raises InputError for a tree that the head has no room for.
    """
    if content.loss is not Loss.HIERARCHICAL:
        return []
    ways = huffman_ways(content.label_counts)
    deepest = max(map(len, ways))
    if not 1 <= deepest <= DEPTH:
        raise InputError(
            f"{shown(path)} was trained with -loss hs, and its tree of {len(ways):,} labels is {deepest} nodes deep; "
            f"1 to {DEPTH} can be brought in. Train it with -loss softmax.",
            code="LX-IMPORT-015",
        )
    return ways


def _notes(content: FastTextFile, lost: int) -> list[str]:
    notes = []
    if content.loss in (Loss.ONE_VS_ALL, Loss.NEGATIVE):
        notes.append(
            "fastText names the label with the highest score, however low; the run names those with 0.5 or more. "
            f"Scores may differ by {_STEPPED_WITHIN:g}: fastText rounds them to steps of a table"
        )
    if lost:
        notes.append(f"{lost:,} words of its dictionary are left out: no text that is valid Unicode has them")
    return notes


def _labels(path: Path, content: FastTextFile, prefix: str, *, several: bool) -> list[str]:
    """Return the labels as the run has them. Raises InputError for names that are none."""
    try:
        labels = [label.decode().removeprefix(prefix) for label in content.labels]
    except UnicodeDecodeError as error:
        raise InputError(
            f"{shown(path)} has a label that is not UTF-8, {error.object!r}; names in UTF-8 were expected. Train it "
            "with other names.",
            code="LX-IMPORT-016",
        ) from None
    bad = [label for label, count in Counter(labels).items() if count > 1 or not label]
    if several:
        bad += [label for label in labels if SEPARATOR in label]
    if bad:
        raise InputError(
            f"{shown(path)} has labels that a run cannot name without {shown(prefix)!r}: "
            f"{listed(map(repr, bad))}. They must differ, have a character, and where texts have several labels be "
            f"without {SEPARATOR!r}. Name another --label-prefix, or train it with other names.",
            code="LX-IMPORT-017",
        )
    return labels


def _readable_words(content: FastTextFile) -> tuple[list[str], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return the words that a text can have, and the row of each, int64 [words]."""
    words: list[str] = []
    rows: list[int] = []
    for row, word in enumerate(content.words):
        try:
            text = word.decode()
        except UnicodeDecodeError:
            continue
        # The file of a vocabulary has a word a line, and a token that begins so is a label.
        if text and not set(text) & set(" \n\r\t\v\f") and not text.startswith(LABEL):
            words.append(text)
            rows.append(row)
    return words, np.array(rows, np.int64)


def _kept(path: Path, content: FastTextFile) -> np.ndarray[tuple[int, int], np.dtype[np.int64]] | None:
    """Return the kept buckets and their rows in ascending order, int64 [buckets, 2]; None where all or none are."""
    if content.kept is None or not content.grams:
        return None
    kept = content.kept[np.argsort(content.kept[:, 0])]
    if len(_written(kept[:, 0])) > _LARGEST_KEPT:
        raise InputError(
            f"{shown(path)} keeps {len(kept):,} of {content.buckets:,} buckets, more than a text spec can list. "
            "Quantize it with a lower -cutoff, or without.",
            code="LX-IMPORT-018",
        )
    return kept


def _written(buckets: np.ndarray[tuple[int], np.dtype[np.int64]]) -> str:
    return " ".join(map(str, np.diff(buckets, prepend=0).tolist()))


def _spec(
    content: FastTextFile,
    words: list[str],
    kept: np.ndarray[tuple[int, int], np.dtype[np.int64]] | None,
) -> TextSpec:
    labels = (label.decode() for label in content.labels)
    return TextSpec(
        words=FIRST_WORD + len(words),
        buckets=0 if not content.grams else content.buckets if kept is None else len(kept),
        ngrams=content.ngrams if content.grams else 1,
        subwords=content.subwords if content.grams else None,
        max_tokens=MAX_TOKENS,
        lowercase=False,
        pattern=PATTERN,
        min_count=1,
        fasttext=FastText(
            content.buckets,
            None if kept is None else _written(kept[:, 0]),
            tuple(label for label in labels if not label.startswith(LABEL)),
        ),
    )


def _fill(
    model: TextModel,
    content: FastTextFile,
    rows: np.ndarray[tuple[int], np.dtype[np.int64]],
    ways: list[list[tuple[int, bool]]],
) -> None:
    """Give the model the weights; `rows` are those of the file in the order of the table, behind PAD and UNK."""
    state = model.state_dict()
    table = state["embedding.weight"]
    table.zero_()
    for first in range(0, len(rows), _TOGETHER):
        part = rows[first : first + _TOGETHER]
        start = FIRST_WORD + first
        table[start : start + len(part)] = torch.from_numpy(content.inputs.take(part))
    outputs = torch.from_numpy(content.outputs.take(np.arange(content.outputs.rows)))
    if ways:
        # The file has a row for each label, the last of which stands for nothing.
        state["head.linear.weight"].copy_(outputs[:-1])
        state["head.steps"].copy_(steps_of(ways, len(ways) - 1))
    else:
        state["head.linear.weight"].copy_(outputs)
        state["head.linear.bias"].zero_()
