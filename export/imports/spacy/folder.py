"""The folder of a pipeline that spaCy saved: its configuration, its tokenizer's rules and the weights of its textcat.

What the parts hold is told by their own content: `config.cfg` names components and architectures, `tokenizer` and
`COMPONENT/model` are MessagePack, `COMPONENT/cfg` is JSON. Nothing in a folder is run.
"""

from __future__ import annotations

import configparser
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....errors import InputError
from ....handlers.text.spacy import LONGEST_PIECE, Spacy
from ....storage.compression import shown
from .msgpack import read_msgpack

CONFIG = "config.cfg"
_FACTORIES = ("textcat", "textcat_multilabel")
# Components that change no token, so that a textcat behind them reads what the tokenizer made.
_BESIDE = {
    "attribute_ruler",
    "entity_linker",
    "entity_ruler",
    "lemmatizer",
    "morphologizer",
    "ner",
    "parser",
    "senter",
    "sentencizer",
    "span_ruler",
    "spancat",
    "spancat_singlelabel",
    "tagger",
    "tok2vec",
    "trainable_lemmatizer",
    "transformer",
    "curated_transformer",
}
_BAGS = ("spacy.TextCatBOW.v1", "spacy.TextCatBOW.v2", "spacy.TextCatBOW.v3")
_TOKENIZER = "spacy.Tokenizer.v1"
# Layers of such a model; others only lead from one to the next.
_SOFTMAX, _LOGISTIC, _GRAMS, _LINEAR = "softmax_activation", "logistic", "extract_ngrams", "sparse_linear"
# spaCy's numbers of what n-grams are made of, and of the text of a token in an exception.
_ORTH, _LOWER = 65, 66
_LARGEST = 1 << 32  # bytes of a file
_MOST_RULES = 1 << 16
_LEARN = "lexport train DATA --teacher ANSWERS"
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TextCat:
    """A text classifier of a pipeline."""

    component: str
    """Its name in the pipeline."""
    language: str
    """The code of the pipeline's language."""
    architecture: str
    """What the configuration calls it."""
    labels: list[str]
    """In the order of the outputs."""
    several: bool
    """Whether a text may have several labels."""
    threshold: float
    """The score from which on a text has a label, of several."""
    rules: Spacy
    """How texts are read."""
    ngrams: int
    """The longest n-gram, in tokens."""
    table: Array
    """What each of the two rows of an n-gram adds, float32 [rows, labels]."""
    bias: Array
    """Float32 [labels]."""


def is_pipeline(path: Path) -> bool:
    """Return whether a folder is one that spaCy saved."""
    try:
        return (path / "meta.json").is_file() and "[nlp]" in (path / CONFIG).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def read_textcat(path: Path) -> TextCat:
    """Return the bag of n-grams in the folder of a pipeline.

    Raises InputError for a pipeline with another classifier or tokenizer, which it names, and for damaged files.
    """
    config = _config(path)
    component, architecture = _component(path, config)
    nlp = config["nlp"]
    tokenizer = config.get("nlp.tokenizer", {}).get("@tokenizers")
    if tokenizer != _TOKENIZER:
        raise InputError(
            f"{shown(path)} splits texts by {shown(str(tokenizer))}, a program of the language "
            f"{shown(str(nlp.get('lang')))}; only rules of {_TOKENIZER} can be brought in. {_other()}",
            code="LX-IMPORT-383",
        )
    try:
        rules = _rules(read_msgpack(_content(path / "tokenizer")))
        settings = json.loads(_content(path / component / "cfg"))
        model = read_msgpack(_content(path / component / "model"))
        return _textcat(component, str(nlp.get("lang")), architecture, settings, model, rules)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise InputError(
            f"{shown(path)} cannot be read as a pipeline of spaCy's: {shown(str(error)) or type(error).__name__}. "
            "Save it again with nlp.to_disk, of spaCy 3.",
            code="LX-IMPORT-381",
        ) from None


def _other() -> str:
    return (
        "Train a textcat with the architecture spacy.TextCatBOW.v3 on the texts, or have a run learn the pipeline's "
        f"answers: {_LEARN}"
    )


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    if size > _LARGEST:
        raise ValueError(f"{path.name} has {size:,} bytes, more than {_LARGEST:,}")
    return path.read_bytes()


def _config(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return the sections of a configuration with their values. Raises InputError."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(_content(path / CONFIG).decode())
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise InputError(
            f"{shown(path)} has a {CONFIG} that cannot be read ({shown(str(error))}). Save the pipeline again.",
            code="LX-IMPORT-382",
        ) from None
    return {name: {key: _value(value) for key, value in parser[name].items()} for name in parser.sections()}


def _value(text: str) -> Any:
    """Return a value of a configuration: JSON, or a reference to another value as it stands."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _component(path: Path, config: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """Return the classifier's name and architecture. Raises InputError."""
    names = config.get("nlp", {}).get("pipeline")
    names = [str(name) for name in names] if isinstance(names, list) else []
    factories = {name: str(config.get(f"components.{name}", {}).get("factory")) for name in names}
    found = [name for name, factory in factories.items() if factory in _FACTORIES]
    strange = [name for name, factory in factories.items() if factory not in (*_FACTORIES, *_BESIDE)]
    if len(found) != 1:
        raise InputError(
            f"{shown(path)} has the components {', '.join(map(shown, names)) or 'none'}, {len(found)} of which are a "
            "textcat; expected one. Take the others out with nlp.remove_pipe and save the pipeline again.",
            code="LX-IMPORT-384",
        )
    if strange:
        raise InputError(
            f"{shown(path)} has the component {shown(strange[0])} of {shown(factories[strange[0]])} beside its "
            "textcat, which may change tokens, and what it does a run cannot know. If it changes none, take it out "
            "with nlp.remove_pipe and save the pipeline again.",
            code="LX-IMPORT-385",
        )
    architecture = config.get(f"components.{found[0]}.model", {}).get("@architectures")
    if architecture not in _BAGS:
        deep = "whose scores depend on the words around each word" if "BOW" not in str(architecture) else "not known"
        raise InputError(
            f"{shown(path)}: its textcat is {shown(str(architecture))}, {deep}; a run can only have a bag of "
            f"n-grams, {', '.join(_BAGS)}. {_other()}",
            code="LX-IMPORT-380",
        )
    return found[0], str(architecture)


def _rules(found: Any) -> Spacy:
    """Return the rules of a tokenizer. Raises ValueError, TypeError, KeyError or AttributeError for damaged ones."""
    exceptions = found.get("exceptions") or {}
    if len(exceptions) > _MOST_RULES:
        raise ValueError(f"the tokenizer has {len(exceptions):,} exceptions, more than {_MOST_RULES:,}")
    rules = {
        str(piece): [str(one.get(_ORTH, one.get("ORTH"))) for one in tokens] for piece, tokens in exceptions.items()
    }
    names = ("prefix_search", "suffix_search", "infix_finditer", "token_match", "url_match")
    prefix, suffix, infix, whole, url = (str(found[name]) if found.get(name) else None for name in names)
    made = Spacy(
        prefix=prefix,
        suffix=suffix,
        infix=infix,
        whole=whole,
        url=url,
        rules=rules,
        every_rule=not found.get("faster_heuristics", True),
    )
    problem = made.problem()
    if problem is not None:
        raise ValueError(f"the tokenizer: {problem}")
    long = [piece for piece in rules if len(piece) > LONGEST_PIECE]
    if long:
        raise ValueError(f"the tokenizer has an exception of {len(long[0]):,} characters")
    return made


def _textcat(component: str, language: str, architecture: str, settings: Any, model: Any, rules: Spacy) -> TextCat:
    """Return the classifier. Raises ValueError, TypeError, KeyError or AttributeError for a damaged one."""
    labels = [str(label) for label in settings["labels"]]
    places = {node["name"]: place for place, node in enumerate(model["nodes"])}
    linear, grams = places[_LINEAR], places[_GRAMS]
    if (_SOFTMAX in places) == (_LOGISTIC in places):
        raise InputError(
            f"{shown(component)} has no output layer (no_output_layer = true): its scores are no probabilities, and "
            "a run's are. Train it with no_output_layer = false.",
            code="LX-IMPORT-386",
        )
    counted = {name: read_msgpack(value) for name, value in model["attrs"][grams].items()}
    attribute, ngrams = counted["attr"], counted["ngram_size"]
    if attribute not in (_ORTH, _LOWER) or type(ngrams) is not int or not 1 <= ngrams <= 16:
        raise ValueError(f"n-grams of {ngrams!r} tokens by the attribute {attribute!r}")
    weights = model["params"][linear]
    dims = model["nodes"][linear]["dims"]
    rows, outputs = dims["length"], dims["nO"]
    # Earlier versions of thinc have another name for the mark, or but this way and no mark.
    marks = {name: read_msgpack(value) for name, value in model["attrs"][linear].items()}
    overlapping = bool(marks.get("v1_indexing", marks.get("invalid_indexing", True)))
    with np.errstate(over="ignore"):
        table = _table(weights["W"], rows, outputs, overlapping=overlapping)
        bias = np.asarray(weights["b"], np.float32)
    if outputs != len(labels) or bias.shape != (outputs,) or len(set(labels)) < len(labels) or len(labels) < 2:
        raise ValueError(f"{outputs} outputs for the labels {', '.join(labels[:5])}")
    if not np.isfinite(table).all() or not np.isfinite(bias).all():
        raise ValueError("weights that are not finite numbers")
    several, threshold = _LOGISTIC in places, float(settings.get("threshold") or 0.5)
    if several and not 0 < threshold < 1:
        raise ValueError(f"the threshold {threshold}")
    return TextCat(
        component=component,
        language=language,
        architecture=architecture,
        labels=labels,
        several=several,
        threshold=threshold if several else 0.5,
        rules=replace(rules, lowercase=attribute == _LOWER),
        ngrams=ngrams,
        table=table,
        bias=bias,
    )


def _table(weights: Any, rows: int, outputs: int, *, overlapping: bool) -> Array:
    """Return what each row adds, float32 [rows, outputs]. Raises ValueError.

    overlapping: whether a row is the numbers from its place on, as in SparseLinear.v1: neighbours share numbers.
    """
    flat = np.asarray(weights, np.float32).reshape(-1)
    if rows < 1 or rows & (rows - 1) or len(flat) != rows * outputs or outputs < 1:
        raise ValueError(f"{len(flat):,} weights for {rows:,} rows of {outputs} numbers")
    if overlapping:
        return np.lib.stride_tricks.sliding_window_view(flat, outputs)[:rows]
    return flat.reshape(outputs, rows).T
