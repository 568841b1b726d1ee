"""What is wrong between texts and a model: unknown words, a vocabulary too large, texts in two parts, other texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ...data.dataset import Dataset
from ...handlers.text.encoder import UNK, Ids, TextEncoder
from ...handlers.text.spec import Layout
from ...models.corpus import Corpus
from ...storage.compression import shown
from ..drift import Limits, Measure, Texts, compare, most_unknown
from .advice import TITLES
from .findings import FINE, NOTE, SERIOUS, SKIPPED, WARNING, Finding, SharedText
from .near_duplicates import near_duplicates

# Share of unknown tokens from which on most is lost, and from which on words are worth adding.
_MOST, _SOME = 0.5, 0.1
# Tokens of training a row below which a vocabulary is too large; at this number a table of 16 dimensions has more
# numbers than the training has tokens.
_TOKENS_A_ROW = 5
# Shares of the held-out texts that are in training too.
_LEAKED, _MANY_LEAKED = 0.01, 0.05
# What training warns of and another check finds too, if it looks at the texts of the training.
_FOUND_BY = {"LX-WARN-001": "unknown", "LX-WARN-004": "labels", "LX-WARN-005": "leakage"}
_SHOWN = 5

MEASURED = {
    "unknown": "unknown words",
    "lengths": "lengths of the texts",
    "labels": "predicted labels",
    "confidence": "highest scores",
}
"""What is compared for drift, in words."""


def check_unknown(
    encoder: TextEncoder, texts: Dataset, usual: float, expand: str
) -> tuple[Finding, list[tuple[str, int]]]:
    """Return what is found about unknown words (or characters), and these by frequency.

    usual: the share of unknown tokens in the model's validation texts. expand: the command that adds the words.
    """
    if encoder.spec.inputs is Layout.HASHES:
        return Finding("unknown", FINE, "the model reads words by their hashes: it has a vector for every word"), []
    corpus = Corpus.split_by(encoder, texts.texts, texts.languages)
    what = "characters" if encoder.spec.inputs is Layout.CHARACTERS else "words"
    unknown, every = _count_unknown(encoder, corpus)
    if encoder.spec.tokenizer is not None:
        return _unknown_tokens(unknown.total() / max(every, 1), every, usual), []
    share = unknown.total() / max(every, 1)
    words = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))
    figures = {"share": share, "usual": usual, "different": len(words), "tokens": every}
    several = [word for word, count in words if count > 1]
    most = ", ".join(f"{shown(word)} ({count:,})" for word, count in words[:_SHOWN])
    found = f"{share:.1%} of {every:,} {what} are unknown to the model, {len(words):,} different ones"
    found += f"; the most frequent: {most}" if words else ""
    limit = max(most_unknown(usual), _SOME)
    if share <= limit:
        return Finding("unknown", NOTE if share > _SOME else FINE, found, "", "", figures), words
    return Finding(
        "unknown",
        SERIOUS if share > _MOST else WARNING,
        found + (f"; {usual:.1%} of the validation texts were" if usual and share > 2 * usual else ""),
        f"All unknown {what} look the same to the model.",
        expand if several and what == "words" else "train with texts that have them, or with --model hashed",
        figures,
    ), words


def _unknown_tokens(share: float, tokens: int, usual: float) -> Finding:
    """Return what is found of a model with a tokenizer.json, all of whose unknown tokens are one and the same."""
    found = f"{share:.1%} of {tokens:,} tokens are unknown to tokenizer.json"
    figures = {"share": share, "usual": usual, "tokens": tokens}
    if share <= max(most_unknown(usual), _SOME):
        return Finding("unknown", FINE, found, "", "", figures)
    cure = "train a model on these texts, or bring in one whose tokens they have"
    why = "All unknown tokens look the same to the model, or count for nothing."
    return Finding("unknown", SERIOUS if share > _MOST else WARNING, found, why, cure, figures)


def _count_unknown(encoder: TextEncoder, corpus: Corpus) -> tuple[Counter[str], int]:
    """Return how often each unknown word or character occurs, and the number of all."""
    unknown: Counter[str] = Counter()
    looked_up = corpus.looked_up(encoder)
    if encoder.spec.inputs is Layout.CHARACTERS:
        every: Counter[str] = Counter()
        for word, count in zip(corpus.words, corpus.counts().tolist(), strict=True):
            for character in word[: encoder.spec.word_length]:
                every[character] += count
        rows = encoder.look_up_words(list(every), 0).characters
        assert rows is not None
        for character, row in zip(every, rows.values.tolist(), strict=True):
            if row == UNK:
                unknown[character] = every[character]
        return unknown, every.total()
    for number, indices in enumerate(looked_up.indices):
        own = None if looked_up.languages is None else looked_up.languages == number
        counts = corpus.counts(own)
        for place in np.flatnonzero((indices == UNK) & (counts > 0)).tolist():
            unknown[corpus.words[place]] += int(counts[place])
    return unknown, int(corpus.lengths.sum())


def check_vocabulary(encoder: TextEncoder, tokens: int, counts: Ids | None) -> Finding:
    """Return whether the vocabulary is larger than the training texts support.

    tokens: of the training texts. counts: how often each word of the vocabulary is in them, int64 [words]; None if
    that is not known.
    """
    words = len(encoder.vocabulary)
    if not words:
        return Finding("vocabulary", FINE, "the model has no vocabulary of words")
    a_row = tokens / words
    figures: dict[str, int | float | str] = {"words": words, "tokens": tokens, "tokens_a_word": a_row}
    about = "" if counts is not None else "about "
    found = f"{words:,} words for {about}{tokens:,} training tokens, {a_row:.1f} a word"
    once = 0.0
    if counts is not None:
        once = float((counts <= 1).mean())
        figures["seen_once"] = once
        found += f"; {once:.0%} of the words were seen once at most" if once else ""
    if a_row >= _TOKENS_A_ROW:
        return Finding("vocabulary", FINE, found, "", "", figures)
    return Finding(
        "vocabulary",
        WARNING,
        found,
        "The vector of a word that was seen once or twice is mostly chance, and unknown words, which the rare ones "
        "stand for, are learned from nothing.",
        "train again with --min-count 2, or with more texts; for few texts --vectors brings trained ones",
        figures,
    )


def check_leakage(encoder: TextEncoder, parts: Mapping[str, Dataset]) -> tuple[Finding, list[SharedText]]:
    """Return what is found about texts that are in more than one of `parts`, and these, the most alike first.

    parts: by "train", "validation" and "test", in this order, those that are there; of each pair the later one counts
    as held out.
    """
    from .leakage import cross_split_duplicates  # which needs torch

    shared: dict[tuple[str, int], SharedText] = {}
    same: set[tuple[str, int]] = set()
    looked_up = {
        name: Corpus.split_by(encoder, one.texts, one.languages).looked_up(encoder) for name, one in parts.items()
    }
    words = {name: [encoder.tokens(text)[0] for text in one.texts] for name, one in parts.items()}
    for known, asked in combinations(parts, 2):
        first, second = parts[known], parts[asked]
        exact = cross_split_duplicates(encoder, first, looked_up[known], second, looked_up[asked])
        same |= {(asked, row) for row, _ in exact}
        pairs = [(row, other, 1.0) for row, other in exact]
        pairs += near_duplicates(words[known], words[asked])
        for row, other, likeness in pairs:
            if (asked, row) not in shared:
                shared[asked, row] = SharedText(second.texts[row], asked, first.texts[other], known, likeness)
    held = sum(len(one) for one in list(parts.values())[1:])
    listed = sorted(shared.values(), key=lambda one: (-one.likeness, one.part, one.text))
    figures = {"same": len(same), "near": len(shared) - len(same), "held_out": held}
    names = list(parts)
    where = f"also in {names[0]}" if len(names) == 2 else "also in another part"
    if not shared:
        return Finding(
            "leakage", FINE, f"none of {held:,} held-out texts is {where}, nor nearly so", "", "", figures
        ), []
    count = max(1, held)
    share = len(shared) / count
    found = f"of {held:,} held-out texts {len(same):,} are {where}, and {len(shared) - len(same):,} nearly so"
    return Finding(
        "leakage",
        SERIOUS if share >= _MANY_LEAKED else WARNING if share >= _LEAKED else NOTE,
        f"{found} ({share:.1%})",
        "The model knows these texts, so that its metrics on them are too good.",
        "--leave-out shared leaves out those that are the same; for the others split by what they share: --split "
        "group:COLUMN",
        figures,
    ), listed


def check_drift(
    reference: Texts, now: Texts, what: str, against: str, judged: Collection[str] = tuple(MEASURED)
) -> list[Finding]:
    """Return what has moved from the texts `reference`, in words `against`, to the texts `now`, in words `what`.

    judged: the measures that count, of MEASURED.
    """
    limits = Limits()
    figures: dict[str, int | float | str] = {"texts": now.count, "reference_texts": reference.count}
    if min(now.count, reference.count) < limits.least:
        few = (
            f"{now.count:,} and {reference.count:,} texts are too few to compare; {limits.least:,} of each are needed"
        )
        return [Finding("drift", SKIPPED, few, "", "", figures)]
    measures = [one for one in compare(reference, now, limits) if one.name in judged]
    for one in measures:
        figures |= {one.name: one.index if one.index is not None else one.found or 0.0}
    beyond = [one for one in measures if one.beyond]
    if not beyond:
        told = "; ".join(_told(one) for one in measures)
        return [Finding("drift", FINE, f"{what} are like {against}: {told}", "", "", figures)]
    return [
        Finding(
            "drift",
            WARNING,
            f"{what} are not like {against}: {'; '.join(_told(one) for one in beyond)}",
            "The metrics of the held-out texts say little of other texts.",
            "look at what has changed (docs/drift.md), label some of these texts and train with them",
            figures,
        )
    ]


def _told(one: Measure) -> str:
    name = MEASURED[one.name]
    if one.index is None:
        return f"{name} {one.found:.1%} after {one.reference:.1%}, limit {one.limit:.1%}"
    means = "" if one.found is None else f", mean {one.found:.1f} after {one.reference:.1f}"
    return f"{name} PSI {one.index:.3f}, limit {max(one.limit, one.by_chance or 0.0):.3f}{means}"


def check_training(warnings: Sequence[Mapping[str, Any]], checked: Collection[str]) -> Iterator[Finding]:
    """Yield a finding for each warning of the training, `Advice.to_json`, that no other check finds.

    checked: the checks that looked at the texts of the training.
    """
    left = [one for one in warnings if _FOUND_BY.get(one["code"]) not in checked]
    if not left:
        yield Finding("training", FINE, "the training gave no warning that is not found here")
    for one in left:
        options = " ".join(one["options"])
        details = ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in one["details"].items())
        yield Finding(
            "training",
            WARNING,
            f"{TITLES.get(one['code'], one['message'])} ({one['code']}): {details}",
            "docs/warnings.md says what it costs.",
            f"train again with {options}",
            dict(one["details"]),
        )


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else shown(str(value))
