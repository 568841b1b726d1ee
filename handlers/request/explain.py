"""Explain an answer: the contribution of each token of a text to the scores.

Scores are turned into logits, because a linear model adds logits. For one label of several: log p minus its mean over
all labels (softmax gives the same scores for both). For several labels: log(p / (1 - p)) of each.

additive   a bag with a linear layer. The model gets every cell of a text (a word, an n-gram, a subword) by itself,
           and the empty text, which gives the bias; the contribution of the cell follows. An n-gram or subword
           divides its contribution equally among its tokens. Used only if contributions + bias = logit, within
           ADDS_UP.
shapley    any other model. Contributions are Shapley values, sampled from random orders of the tokens, added one by
           one (Štrumbelj, Kononenko: Explaining prediction models and individual predictions with feature
           contributions, Knowledge and Information Systems 41, 2014); each order is used in reverse too. The steps go
           from the empty text to the whole one, so contributions + bias = logit by construction.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model.decoders import labels_above
from ..model.predictor import IdsIn, Predictor
from ..text.batch import Batch
from ..text.offsets import Found, find_tokens
from ..text.spec import PAD
from .protocol import Request
from .refusals import Refusal

# For an additive model, the most by which contributions and bias may differ from the logit, times the largest logit
# if that is above 1: an engine sums cells in float32 (measured: 5e-7 at 25 cells, 1e-4 at 2,000).
ADDS_UP = 1e-4
# Most texts of one request.
MAX_EXPLAINED_TEXTS = 16
# Seconds for all explanations of a batch: the worker answers no other request meanwhile.
SECONDS = 1.0
# Most pairs of orders that are drawn, always the same ones.
PAIRS = 32
SEED = 0
# Players of a sampled explanation: of longer texts, neighbouring tokens are left out together.
PLAYERS = 64

Logits = npt.NDArray[np.float64]


def check_explainable(request: Request, predictor: Predictor) -> None:
    """Raise Refusal for a request that has no explanation."""
    if not predictor.decoder.GIVES_SCORES:
        raise Refusal(
            400,
            "This model answers vectors, which have no explanation.",
            "POST /predictions/NAME",
            code="LX-HTTP-061",
        )
    if request.v2:
        raise Refusal(
            400,
            "Explanations are not given for Open Inference Protocol v2.",
            'JSON {"text": "…"}',
            code="LX-HTTP-062",
        )
    if len(request.texts) > MAX_EXPLAINED_TEXTS:
        count = f"{len(request.texts):,} elements"
        error = f"`texts` has {count}; one request for explanations may have {MAX_EXPLAINED_TEXTS}."
        raise Refusal(400, error, f"at most {MAX_EXPLAINED_TEXTS} texts", code="LX-HTTP-063")


class TimeBudget:
    """The time that the explanations of one batch share. It begins when it is made."""

    def __init__(self, texts: int) -> None:
        """Share SECONDS among `texts` texts."""
        self._texts = texts
        self._until = time.monotonic() + SECONDS

    def check(self) -> None:
        """Raise Refusal if the time is over."""
        if time.monotonic() >= self._until:
            what = f"Other explanations used the {SECONDS:g} s that this batch of requests has for them."
            raise Refusal(503, what, "the same request again in a second", code="LX-HTTP-064")

    def take(self) -> float:
        """Return the seconds for the next text: an equal share of what is left, 0 if nothing is."""
        left = max(self._until - time.monotonic(), 0.0) / max(self._texts, 1)
        self._texts -= 1
        return left


def explain(predictor: Predictor, request: Request, budget: TimeBudget | None = None) -> list[dict[str, Any]]:
    """Return an explanation of each text: method, label, logits, bias, and the tokens with offsets and contributions.

    `request` has passed `check_explainable`. Its texts take their shares of `budget`, by default one of their own,
    and each gets at least one pair of orders.
    """
    budget = budget or TimeBudget(len(request.texts))
    return [
        _Explaining(predictor, one).explain(request, budget.take())
        for one in Batch(request.texts, request.languages).pieces(1)
    ]


class _Explaining:
    """The explanation of one text by one model."""

    def __init__(self, predictor: Predictor, one: Batch) -> None:
        self._predictor = predictor
        self._one = one
        [self._text] = one.texts
        self._multi = predictor.decoder.TAKES_THRESHOLD
        encoder = predictor.encoder if isinstance(predictor, IdsIn) else None
        self._found = find_tokens(predictor.spec, self._text) if encoder is None else encoder.find(self._text)

    def explain(self, request: Request, seconds: float) -> dict[str, Any]:
        bias, whole = self._of_texts(["", self._text])
        more: dict[str, Any] = {}
        contributions = self._additive(bias, whole)
        method = "additive" if contributions is not None else "shapley"
        if contributions is None:
            contributions, more = self._shapley(bias, whole, seconds)
        answer = self._predictor.predict(self._one.texts, self._one.languages)[0]
        if "labels" in answer and request.threshold is not None:
            answer["labels"] = labels_above(request.threshold, answer["scores"])
        top_k = request.top_k
        return _written(self._predictor.labels, method, answer, self._found, bias, whole, contributions, top_k, more)

    def _additive(self, bias: Logits, whole: Logits) -> Logits | None:
        """Return what each token adds, [tokens, labels]; None if the model is not additive for this text."""
        parts = self._parts()
        if parts is None:
            return None
        single, owners = parts
        if not len(single):
            return np.zeros((0, len(bias)))
        added = single - bias
        best = min(
            (added / weight for weight in (len(added), 1.0, len(added) ** 0.5)),
            key=lambda cells: float(np.abs(cells.sum(axis=0) + bias - whole).max()),
        )
        # Written so that a NaN fails.
        if not np.abs(best.sum(axis=0) + bias - whole).max() <= ADDS_UP * max(1.0, np.abs(whole).max()):
            return None
        contributions = np.zeros((len(self._found), len(bias)))
        for cell, owner in zip(best, owners, strict=True):
            contributions[owner] += cell / max(len(owner), 1)
        return contributions

    def _parts(self) -> tuple[Logits, list[list[int]]] | None:
        """Return the logits of each cell by itself, and the tokens of the cell; None if this is impossible."""
        predictor, spec = self._predictor, self._predictor.spec
        count = len(self._found)
        if not isinstance(predictor, IdsIn):
            # A graph takes texts: one of a single token is one cell, unless there are subwords and n-grams beside it.
            if spec.ngrams > 1 or spec.subwords:
                return None
            single = self._of_texts([one.token for one in self._found])
            return single, [[token] for token in range(count)]
        tokens = predictor.encoder.look_up(self._one.texts, self._one.languages)
        cells = predictor.encoder.assemble(tokens)[0]
        # What is looked up beside the text's own tokens, its end or special tokens, belongs to none of them.
        before = spec.tokenizer.special[0] if spec.tokenizer is not None else 0
        owners = [
            [token for token in range(first, first + order) if 0 <= token < count]
            for order in range(1, spec.ngrams + 1)
            for first in range(-before, count + spec.ends - before - order + 1)
            for _ in range(spec.cells)
        ]
        if tokens.subwords is not None:
            owners += [[token] for token, own in enumerate(tokens.subwords.counts.tolist()) for _ in range(own)]
        if not owners:
            return np.zeros((0, len(predictor.labels))), []
        # Words without a row have no cell in models of fastText and model2vec.
        there = np.flatnonzero((cells[: len(owners)] != PAD).reshape(len(owners), -1).any(axis=1))
        if not len(there):
            return np.zeros((0, len(predictor.labels))), []
        return self._logits(predictor.outputs_of_ids(cells[there, None])), [owners[place] for place in there.tolist()]

    def _shapley(self, bias: Logits, whole: Logits, seconds: float) -> tuple[Logits, dict[str, Any]]:
        """Return sampled contributions [tokens, labels], and how they were sampled."""
        count = len(self._found)
        if not count:
            return np.zeros((0, len(bias))), {"orders": 0, "standard_error": 0.0}
        runs = [run.tolist() for run in np.array_split(np.arange(count), min(count, PLAYERS))]
        draw, until = np.random.default_rng(SEED), time.monotonic() + seconds
        pairs: list[Logits] = []
        while not pairs or (len(pairs) < PAIRS and len(runs) > 1 and time.monotonic() < until):
            order = draw.permutation(len(runs))
            pairs.append((self._steps(order, runs, bias, whole) + self._steps(order[::-1], runs, bias, whole)) / 2)
        sampled = np.stack(pairs)
        error = sampled.std(axis=0, ddof=1).max() / len(pairs) ** 0.5 if len(pairs) > 1 else 0.0
        contributions = np.zeros((count, len(bias)))
        for run, value in zip(runs, sampled.mean(axis=0), strict=True):
            contributions[run] = value / len(run)
        return contributions, {"orders": 2 * len(pairs), "standard_error": float(error)}

    def _steps(
        self, order: npt.NDArray[np.int64], runs: Sequence[Sequence[int]], bias: Logits, whole: Logits
    ) -> Logits:
        """Return what each run adds when the runs are added in this order, [runs, labels]."""
        texts, kept = [], set[int]()
        for run in order[:-1].tolist():
            kept.update(runs[run])
            texts.append(self._text_of(sorted(kept)))
        path = np.concatenate([bias[None], *([self._of_texts(texts)] if texts else []), whole[None]])
        added = np.empty((len(runs), len(bias)))
        added[order] = np.diff(path, axis=0)
        return added

    def _text_of(self, kept: Sequence[int]) -> str:
        """Return a text of these tokens alone, which are in order."""
        if self._predictor.spec.tokenizer is None:
            return " ".join(self._found[token].token for token in kept)
        # Pieces of a word do not stand between spaces, so what was between two neighbours stays.
        parts, end, last = [], 0, -1
        for token in kept:
            one = self._found[token]
            parts.append(self._text[end : one.start] if token == last + 1 else " ")
            parts.append(self._text[max(one.start, end) : one.end])
            end, last = max(end, one.end), token
        return "".join(parts)

    def _of_texts(self, texts: Sequence[str]) -> Logits:
        if not texts:
            return np.zeros((0, len(self._predictor.labels)))
        return self._logits(
            self._predictor.raw_outputs(Batch(texts, self._one.languages and [*self._one.languages] * len(texts)))[1]
        )

    def _logits(self, outputs: npt.NDArray[np.float32]) -> Logits:
        """Return scores as logits, float64. A score of 0 or 1 becomes the nearest number between them."""
        scores = outputs.astype(np.float64)
        if self._multi:
            scores = scores.clip(np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg)
            logits: Logits = np.log(scores) - np.log1p(-scores)
            return logits
        logits = np.log(scores.clip(np.finfo(np.float32).tiny))
        logits -= logits.mean(axis=1, keepdims=True)
        return logits


def _written(
    labels: Sequence[str],
    method: str,
    answer: dict[str, Any],
    found: Sequence[Found],
    bias: Logits,
    whole: Logits,
    contributions: Logits,
    top_k: int | None,
    more: dict[str, Any],
) -> dict[str, Any]:
    chosen = list(range(len(labels))) if top_k is None else np.argsort(-whole, kind="stable")[:top_k].tolist()

    def by_label(values: Logits) -> dict[str, float]:
        return {labels[place]: float(values[place]) for place in chosen}

    best = {"label": answer["label"], "score": answer["score"]} if "label" in answer else {"labels": answer["labels"]}
    return {
        **best,
        "method": method,
        **more,
        "bias": by_label(bias),
        "logits": by_label(whole),
        "tokens": [
            {"token": one.token, "start": one.start, "end": one.end, "contributions": by_label(own)}
            for one, own in zip(found, contributions, strict=True)
        ],
        "truncated": answer["truncated"],
    }
