"""An exported ids-in model with its text code in front: text-in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from ...handlers.model.decoders import DECODERS, Decoder
from ...handlers.text.encoder import TextEncoder
from ...handlers.text.spec import TOKEN_PATTERN, Layout, TextSpec
from . import layouts
from .nodes import DOMAINS, ML, Nodes
from .splitting import split

# RE2 repeats nothing more often.
_LONGEST_REPEAT = 1000


def reason_against(spec: TextSpec) -> str | None:
    """Return why a text spec has no text-in form, in one line, or None."""
    if spec.tokenizer is not None:
        return "text-in splits by lexport's own token pattern; no ONNX operator reads texts by a tokenizer.json"
    if spec.fasttext is not None:
        return "text-in hashes words by MurmurHash3; no ONNX operator makes the hashes that fastText's models need"
    if spec.spacy is not None:
        return "text-in splits by one token pattern; no ONNX operator splits as spaCy's tokenizer does"
    if spec.listed:
        return "text-in hashes n-grams; text.json has them in the vocabulary"
    if spec.pattern != TOKEN_PATTERN:
        return f"text-in splits by lexport's own token pattern; text.json has another, {spec.pattern!r}"
    if spec.word_length > _LONGEST_REPEAT:
        return f"text-in keeps at most {_LONGEST_REPEAT:,} characters of a word; word_length is {spec.word_length:,}"
    return None


def make_text_in(path: Path, encoder: TextEncoder, answers: str, labels: Sequence[str], threshold: float) -> None:
    """Put the text code of `encoder` before the ids-in ONNX model at `path`, in place; weights beside it stay.

    `answers` names one of `decoders.DECODERS`.

    Inputs: `texts`, string [batch], and where the model has languages `languages`, string [batch]. Outputs: `scores`
    float32 [batch, labels] or `vector` float32 [batch, dim]; of one label `label` string and `label_index` int64
    [batch], of several `chosen` bool [batch, labels]; of both `labels` string [labels]; `tokens`, `unknown` int64 and
    `truncated` bool [batch]. Raises ValueError with the reason for a spec that has no text-in form.
    """
    reason = reason_against(encoder.spec)
    if reason is not None:
        raise ValueError(f"{reason}.")
    model = onnx.load(str(path), load_external_data=False)
    [ids], [answer] = model.graph.input, model.graph.output
    batch = answer.type.tensor_type.shape.dim[0].dim_param
    before, after = Nodes("text/"), Nodes("answer/")
    inputs = [_value("texts", TensorProto.STRING, [batch])]
    text = split(before, encoder.spec, "texts")
    match encoder.spec.inputs:
        case Layout.INDICES:
            found, unknown = layouts.indices(before, encoder, text)
        case Layout.HASHES:
            found, unknown = layouts.hashed(before, encoder, text)
        case Layout.CHARACTERS:
            found, unknown = layouts.spelled(before, encoder, text)
        case _:
            inputs.append(_value("languages", TensorProto.STRING, [batch]))
            found, unknown = layouts.by_language(before, encoder, text, "languages")
    before.add("Identity", found, output=ids.name)
    outputs = _answers(after, answer, DECODERS[answers], labels, threshold)
    one_axis = before.constant([-1])
    for name, value, kind in (
        ("tokens", text.tokens, TensorProto.INT64),
        ("unknown", unknown, TensorProto.INT64),
        ("truncated", text.truncated, TensorProto.BOOL),
    ):
        before.add("Reshape", value, one_axis, output=name)
        outputs.append(_value(name, kind, [batch]))
    _join(model, before, after, inputs, outputs)
    onnx.save(model, str(path))
    onnx.checker.check_model(str(path))


def _answers(
    after: Nodes, answer: ValueInfoProto, decoder: Decoder, labels: Sequence[str], threshold: float
) -> list[ValueInfoProto]:
    """Return what is told of the model's own output, which comes first."""
    if not decoder.GIVES_SCORES:
        after.add("Identity", answer.name, output="vector")
        vector = ValueInfoProto()
        vector.CopyFrom(answer)
        vector.name = "vector"
        return [vector]
    batch, count = answer.type.tensor_type.shape.dim[0].dim_param, len(labels)
    after.add("Constant", output="labels", value_strings=list(labels))
    named = _value("labels", TensorProto.STRING, [count])
    if decoder.TAKES_THRESHOLD:
        # As the handler compares: in float64.
        scores = after.add("Cast", answer.name, to=TensorProto.DOUBLE)
        after.add("GreaterOrEqual", scores, after.constant(threshold, np.float64), output="chosen")
        return [answer, _value("chosen", TensorProto.BOOL, [batch, count]), named]
    index = after.add("ArgMax", answer.name, axis=1, keepdims=0, output="label_index")
    numbers = list(range(count))
    after.add("LabelEncoder", index, domain=ML, keys_int64s=numbers, values_strings=list(labels), output="label")
    of_text = [_value("label", TensorProto.STRING, [batch]), _value("label_index", TensorProto.INT64, [batch])]
    return [answer, *of_text, named]


def _join(
    model: ModelProto,
    before: Nodes,
    after: Nodes,
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
) -> None:
    """Put nodes before and after those of `model`, and give it these inputs and outputs."""
    graph = model.graph
    nodes = [*before.nodes, *graph.node, *after.nodes]
    for field, values in ((graph.node, nodes), (graph.input, inputs), (graph.output, outputs)):
        kept = list(values)
        del field[:]
        field.extend(kept)
    graph.initializer.extend([*before.constants.values(), *after.constants.values()])
    known = {imported.domain for imported in model.opset_import}
    model.opset_import.extend(
        helper.make_opsetid(domain, version) for domain, version in DOMAINS.items() if domain not in known
    )


def _value(name: str, kind: int, shape: Sequence[str | int]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)
