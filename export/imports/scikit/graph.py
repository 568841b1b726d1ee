"""The graph of an ONNX file that skl2onnx wrote of a pipeline, node by node from the texts to the scores.

skl2onnx writes a text vectorizer as StringNormalizer, Tokenizer and TfIdfVectorizer (which counts n-grams), the IDF
as a product and the norm as Normalizer; a linear classifier is LinearClassifier. Every node on the way is known here,
or the file is refused: what a graph does, its nodes say alone, whatever the pipeline was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....errors import InputError
from ....storage.compression import shown
from .steps import Array, LinearPipeline

# Nodes that change the shape of what they are given, or its type, and nothing else.
_SHAPING = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"}
_RUN = re.compile(r"(\\b)?(\[(?:[A-Za-z0-9_]|[A-Z]-[A-Z]|[a-z]-[a-z]|[0-9]-[0-9])+\]|\\w)((?:\2)?\+|\{\d+,\})(\\b)?")
_BOOL, _FLOAT, _STRING = 9, 1, 8
# Of RE2, whose classes are of ASCII alone.
_WORD = "[0-9A-Za-z_]"
_PARTS = ["0-9", "A-Z", "_", "a-z"]


class ScikitGraph:
    """A graph that is being followed."""

    def __init__(self, model: Any, file: str) -> None:
        """Follow an onnx.ModelProto, which errors call `file`."""
        from onnx import helper, numpy_helper

        self._file = shown(file)
        self._nodes = list(model.graph.node)
        self._attributes = {
            id(node): {one.name: helper.get_attribute_value(one) for one in node.attribute} for node in self._nodes
        }
        self._constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        self._inputs = [one for one in model.graph.input if one.name not in self._constants]
        self.lowercase = False
        self.tokens = ""
        self.ngrams = (1, 1)
        self.words: dict[str, int] = {}
        self.binary = False
        self.importance: Array = np.ones(0)
        self.norm = "none"

    def pipeline(self) -> LinearPipeline:
        """Return what the graph comes down to. Raises InputError for a node that a run has nothing for."""
        if len(self._inputs) != 1:
            raise self._other(f"{len(self._inputs)} inputs, where one of texts was expected")
        at = self._texts(self._inputs[0].name)
        at = self._numbers(at)
        node = self._only(at)
        if node.op_type != "LinearClassifier":
            raise self._other(f"{shown(node.op_type)} behind the features, where a LinearClassifier was expected")
        return self._classifier(node)

    def _other(self, what: str) -> InputError:
        return InputError(
            f"{self._file} has {what}; a run can only have what scikit-learn's TfidfVectorizer or CountVectorizer "
            "and a LogisticRegression become in skl2onnx. Bring in the pipeline itself: "
            "lexport.import_model(pipeline, …), or a file of skops.io.dump.",
            code="LX-IMPORT-370",
        )

    def _only(self, name: str) -> Any:
        """Return the one node that takes what is called `name`. Raises InputError."""
        found = [node for node in self._nodes if name in node.input]
        if len(found) != 1:
            told = ", ".join(shown(node.op_type) for node in found) or "nothing"
            raise self._other(f"{told} behind {shown(name)}, where one node was expected")
        return found[0]

    def _shaped(self, name: str) -> tuple[Any, str]:
        """Return the first node behind `name` that does more than to change its shape, and what it takes."""
        node = self._only(name)
        while node.op_type in _SHAPING or (node.op_type == "Cast" and self._get(node, "to") == _FLOAT):
            name = node.output[0]
            node = self._only(name)
        return node, name

    def _get(self, node: Any, name: str, default: Any = None) -> Any:
        found = self._attributes[id(node)].get(name, default)
        return found.decode() if isinstance(found, bytes) else found

    def _texts(self, name: str) -> str:
        """Follow the texts to the counts of their n-grams, and return what these are called."""
        node, name = self._shaped(name)
        if node.op_type == "StringNormalizer":
            if self._get(node, "stopwords"):
                raise self._other("a StringNormalizer with stop words, which leaves out whole texts")
            case = self._get(node, "case_change_action", "NONE")
            if case not in ("LOWER", "NONE"):
                raise self._other(f"texts in the case {shown(case)}")
            locale = self._get(node, "locale", "")
            if locale.partition(".")[0] not in ("", "en_US", "C"):
                raise self._other(f"texts in the case of the locale {shown(locale)}")
            self.lowercase = case == "LOWER"
            node, name = self._shaped(node.output[0])
        if node.op_type != "Tokenizer" or node.domain != "com.microsoft":
            raise self._other(f"{shown(node.op_type)} of the texts, where a Tokenizer was expected")
        self._tokenizer(node)
        node, name = self._shaped(node.output[0])
        if node.op_type != "TfIdfVectorizer":
            raise self._other(f"{shown(node.op_type)} of the tokens, where a TfIdfVectorizer was expected")
        self._vectorizer(node)
        return str(node.output[0])

    def _tokenizer(self, node: Any) -> None:
        pattern = self._get(node, "tokenexp", "")
        run = _RUN.fullmatch(pattern)
        # A run of some of the characters of words may lie within a word, where \b finds no begin and no end.
        if run and (run[1] or run[4]) and run[2] != r"\w" and sorted(re.findall(".-.|.", run[2][1:-1])) != _PARTS:
            run = None
        if self._get(node, "mark", 0) or not (run or pattern == r"\S+"):
            raise InputError(
                f"{self._file} splits texts by {shown(repr(pattern)) if pattern else 'separators'}, which may mean "
                "something else in a run; known are one class of ASCII characters, such as [a-zA-Z0-9_]+, \\w\\w+ "
                "and \\S+, with \\b around \\w or [a-zA-Z0-9_] alone. Convert the pipeline with "
                "options={'tokenexp': …}, or bring in the pipeline itself: lexport.import_model(pipeline, …).",
                code="LX-IMPORT-371",
            )
        least = int(self._get(node, "mincharnum", 1))
        if run is None:
            one, counted = r"[^\t\n\f\r ]", 1
        else:
            one = _WORD if run[2] == r"\w" else run[2]
            counted = int(run[3][1:-2]) if run[3].startswith("{") else 1 if run[3] == "+" else 2
        self.tokens = f"{one}{{{max(least, counted)},}}"

    def _vectorizer(self, node: Any) -> None:
        shortest, longest = int(self._get(node, "min_gram_length", 1)), int(self._get(node, "max_gram_length", 1))
        pool = [one.decode() for one in self._attributes[id(node)].get("pool_strings", [])]
        counts, columns = self._get(node, "ngram_counts", []), list(self._get(node, "ngram_indexes", []))
        mode = self._get(node, "mode", "TF")
        if int(self._get(node, "max_skip_count", 0)) or mode != "TF":
            raise self._other(f"a TfIdfVectorizer with mode {shown(mode)} that skips words")
        found: dict[str, int] = {}
        for order, start in enumerate(counts, 1):
            end = counts[order] if order < len(counts) else len(pool)
            for first in range(start, end, order):
                if len(found) < len(columns):
                    found[" ".join(pool[first : first + order])] = columns[len(found)]
        fits = sorted(found.values()) == list(range(len(columns))) and len(counts) >= longest >= shortest >= 1
        if not fits or not found or any(len(word.split(" ")) < shortest for word in found):
            raise self._other(f"{len(found):,} different n-grams in {len(columns):,} columns")
        self.words, self.ngrams = found, (shortest, longest)
        self.importance = np.ones(len(found))

    def _numbers(self, name: str) -> str:
        """Follow the counts to the features of the classifier, and return what these are called."""
        while True:
            node, name = self._shaped(name)
            kind = node.op_type
            untouched = self.norm == "none" and bool((self.importance == 1).all())
            if kind == "Cast" and self._get(node, "to") == _BOOL and untouched:
                self.binary = True
            elif kind == "Mul" and self.norm == "none":
                self.importance = self.importance * self._constant(node, name, self.importance.shape)
            elif kind == "Normalizer" and self._get(node, "norm", "MAX") == "L2" and self.norm == "none":
                self.norm = "l2"
            elif kind == "Normalizer":
                raise self._other(f"the norm {shown(self._get(node, 'norm', 'MAX'))}")
            elif kind in ("Add", "Log"):
                raise InputError(
                    f"{self._file} has sublinear counts, which skl2onnx computes as log(1 + n) and scikit-learn and "
                    "a run as 1 + log n: they answer otherwise. Bring in the pipeline itself, "
                    "lexport.import_model(pipeline, …), or convert one with sublinear_tf=False.",
                    code="LX-IMPORT-372",
                )
            else:
                return name
            name = node.output[0]

    def _constant(self, node: Any, name: str, shape: tuple[int, ...]) -> Array:
        found = [self._constants[one] for one in node.input if one != name and one in self._constants]
        if len(found) != 1 or found[0].reshape(-1).shape != shape:
            raise self._other(f"{shown(node.op_type)} with other numbers than one for each word")
        return found[0].reshape(-1).astype(np.float64)

    def _classifier(self, node: Any) -> LinearPipeline:
        names = self._attributes[id(node)].get("classlabels_strings") or self._attributes[id(node)].get(
            "classlabels_ints", []
        )
        labels = [one.decode() if isinstance(one, bytes) else str(one) for one in names]
        after = self._get(node, "post_transform", "NONE")
        weight, bias = _rows(self._get(node, "coefficients", []), self._get(node, "intercepts", []), len(labels))
        if weight.shape != (len(labels), len(self.words)) or len(bias) != len(labels) or len(labels) < 2:
            raise self._other(f"coefficients {list(weight.shape)} for {len(labels)} labels")
        if len(set(labels)) < len(labels) or after not in ("NONE", "SOFTMAX", "LOGISTIC"):
            raise self._other(f"the labels {', '.join(map(shown, labels[:5]))} with {shown(after)}")
        if after == "LOGISTIC":
            if len(labels) > 2:
                raise InputError(
                    f"{self._file} gives each of its {len(labels)} labels a logistic function of its own and divides "
                    "by their sum (OneVsRest), where a run has the softmax. Fit LogisticRegression without "
                    "multi_class='ovr' or liblinear.",
                    code="LX-IMPORT-373",
                )
            # Both rows are the same but for the sign.
            weight, bias = np.stack([np.zeros_like(weight[1]), weight[1]]), np.array([0.0, bias[1]])
        self._check_rest(node, divided=after != "NONE")
        return LinearPipeline(
            self.words,
            self.importance,
            weight,
            bias,
            labels,
            pattern=self.tokens,
            tokens=self.tokens,
            lowercase=self.lowercase,
            ngrams=self.ngrams,
            counts="binary" if self.binary else "plain",
            norm=self.norm,
            probable=after != "NONE",
        )

    def _check_rest(self, node: Any, *, divided: bool) -> None:
        """Raise InputError if something is done with labels and scores beyond handing them out.

        divided: whether the scores add up to 1, so that they may be divided by their sum.
        """
        waiting = list(node.output)
        seen: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in seen:  # there may be many ways to it
                continue
            seen.add(name)
            for after in (one for one in self._nodes if name in one.input):
                plain = after.op_type in (*_SHAPING, "Cast", "ZipMap")
                if not plain and not (divided and after.op_type == "Normalizer" and self._get(after, "norm") == "L1"):
                    raise self._other(f"{shown(after.op_type)} behind the classifier")
                waiting += list(after.output)


def _rows(coefficients: Sequence[float], intercepts: Sequence[float], labels: int) -> tuple[Array, Array]:
    """Return coefficients [labels, columns] and intercepts [labels] of a LinearClassifier."""
    weight, bias = np.array(coefficients, np.float64), np.array(intercepts, np.float64)
    outputs = max(len(bias), 1)
    weight = weight.reshape(outputs, -1) if len(weight) % outputs == 0 else weight[None]
    if outputs == 1 and labels == 2:
        weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    return weight, bias


def takes_texts(model: Any) -> bool:
    """Return whether an onnx.ModelProto has an input of strings."""
    return any(one.type.tensor_type.elem_type == _STRING for one in model.graph.input)
