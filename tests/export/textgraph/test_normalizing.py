"""The graph normalizes as the Python text code does: every character, and characters in any order."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from lexport.export.textgraph.nodes import DOMAINS, Nodes
from lexport.export.textgraph.normalizing import normalized
from lexport.handlers.text.normalization import Normalization, normalize

FORMS = (Normalization.NFC, Normalization.NFKC)
ASSIGNED = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs")]
MARKS = [one for one in ASSIGNED if unicodedata.combining(one)]
COMPOSED = [one for one in ASSIGNED if unicodedata.decomposition(one)]
CHANGED = sorted({*MARKS, *COMPOSED, *(chr(code) for code in range(0x2000, 0x2070))})
BASES = sorted({part for one in COMPOSED for part in unicodedata.normalize("NFD", one)})
JAMO = [chr(code) for code in range(0x1100, 0x1200)] + [chr(code) for code in range(0xAC00, 0xAC60)]
CHARACTERS = st.one_of(
    st.sampled_from(MARKS),
    st.sampled_from(COMPOSED),
    st.sampled_from(BASES),
    st.sampled_from(JAMO),
    st.sampled_from("\u00ad\u200c\u200d\u200b\ufe0f\u0f73\uff9e aमی中"),
    st.characters(exclude_categories=["Cs"]),
)


@cache
def session(form: Normalization) -> onnxruntime.InferenceSession:
    nodes = Nodes("text/")
    found = normalized(nodes, "texts", form)
    before, after = ([helper.make_tensor_value_info(one, TensorProto.STRING, ["batch"])] for one in ("texts", found))
    graph = helper.make_graph(nodes.nodes, "normalize", before, after, list(nodes.constants.values()))
    imports = [helper.make_opsetid(domain, version) for domain, version in {"": 20, **DOMAINS}.items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString())


def check(form: Normalization, texts: Sequence[str]) -> None:
    [found] = session(form).run(None, {"texts": np.array(texts, object)})
    # A space, which no word holds, may stand behind a text.
    different = [
        text
        for text, one in zip(texts, found, strict=True)
        if one not in (expected := normalize(text, form), f"{expected} ")
    ]
    assert not different


@pytest.mark.parametrize("form", FORMS)
def test_every_character_alone_and_between_letters(form: Normalization) -> None:
    for every, size in ((CHANGED, 500), (sorted(set(ASSIGNED) - set(CHANGED)), 5_000)):
        for first in range(0, len(every), size):
            check(form, [f"{one} e{one}o" for one in every[first : first + size]])
    check(form, CHANGED[:500])


@pytest.mark.parametrize("form", FORMS)
def test_every_composed_character_in_parts_and_with_marks(form: Normalization) -> None:
    check(form, [unicodedata.normalize("NFKD", one) for one in COMPOSED])
    check(form, [f"{unicodedata.normalize('NFD', one)}\u0323\u0301" for one in COMPOSED])


@given(st.lists(st.text(CHARACTERS, max_size=50), min_size=1, max_size=6), st.sampled_from(FORMS))
def test_characters_in_any_order(texts: list[str], form: Normalization) -> None:
    check(form, texts)


@pytest.mark.parametrize("form", FORMS)
def test_long_runs_and_texts(form: Normalization) -> None:
    runs = [
        "q" + "\u0301\u0323" * 40,
        "か" + ("\u0301" * 20 + "\uff9e") * 9,
        "\u200d" * 50 + "a",
        "a" + "\u0330" * 31,
    ]
    check(form, [*runs, *(unicodedata.normalize("NFD", "Việt Nam 각하 ") * 300,), "\u00ad" * 5_000, ""])
    check(form, ["\u00ad"])
    check(form, ["", ""])


@pytest.mark.parametrize("form", FORMS)
def test_texts_that_have_the_form_are_left_as_they_are(form: Normalization) -> None:
    """The slow part is asked for none of them: the texts of a batch are then the very same."""
    texts = ["a plain text", "电影很好看", "हिन्दी में", "ภาษาไทย", "café", "각하"]
    [found] = session(form).run(None, {"texts": np.array(texts, object)})
    assert found.tolist() == [normalize(text, form) for text in texts] == texts
