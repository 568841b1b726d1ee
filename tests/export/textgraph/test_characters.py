"""Every character there is is lower-cased, split and hashed by the graph as by Python, without locales too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import regex

from lexport.export.textgraph.patterns import token_expression
from lexport.handlers.text.encoder import TextEncoder, TextSpec
from lexport.handlers.text.spec import TOKEN_PATTERN, Layout

from .graphs import Front

EVERY = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]


def test_every_code_point_is_lower_cased_split_and_hashed_as_in_python() -> None:
    encoder = TextEncoder(TextSpec(words=2, inputs=Layout.HASHES, max_tokens=10_000), [])
    front = Front(encoder)
    for first in range(0, len(EVERY), 1 << 14):
        part = EVERY[first : first + (1 << 14)]
        # Alone, and inside a word, which it joins or parts.
        texts = [f"{' '.join(part[row::64])} {' '.join(f'a{one}b' for one in part[row::64])}" for row in range(64)]
        expected, found = encoder.assemble(encoder.look_up(texts)), front.ids(texts)
        np.testing.assert_array_equal(found, expected, err_msg=f"in U+{ord(part[0]):04X} to U+{ord(part[-1]):04X}")


def test_the_ranges_are_the_patterns_own_whatever_unicode_version_re2_has() -> None:
    alone, run = token_expression(TOKEN_PATTERN).split("|")
    assert run.endswith("]+")
    ranges = [
        {(int(first, 16), int(last, 16)) for first, last in regex.findall(r"\\x\{(\w+)\}-\\x\{(\w+)\}", one)}
        for one in (alone, run)
    ]
    assert all(first <= last for one in ranges for first, last in one)
    single, joined = ({code for first, last in one for code in range(first, last + 1)} for one in ranges)
    assert not single & joined
    pattern = regex.compile(TOKEN_PATTERN)
    assert single | joined == {ord(one) for one in EVERY if pattern.fullmatch(one)}
    assert joined == {ord(one) for one in EVERY if pattern.fullmatch(one + one)}


SCRIPT = """\
import json, locale, sys
import numpy as np
import onnxruntime

try:
    locale.setlocale(locale.LC_ALL, "en_US.UTF-8")
    raise SystemExit("this machine has en_US")
except locale.Error:
    pass
session = onnxruntime.InferenceSession(sys.argv[1])
print(json.dumps(session.run(["ids"], {"texts": np.array(json.load(sys.stdin), object)})[0].tolist()))
"""


@pytest.mark.parametrize("locale", ["C", "POSIX", "xx_XX"])
def test_a_machine_without_locales_lower_cases_all_the_same(tmp_path: Path, locale: str) -> None:
    encoder = TextEncoder(TextSpec(words=2, inputs=Layout.HASHES), [])
    texts = ["ÄÖÜ ÉCOLE ΟΔΥΣΣΕΥΣ İSTANBUL ДОМ 很好", "Ꙁ Ⴀ 𐐀 ﬀ ẞ"]
    onnx.save(Front(encoder).model, str(tmp_path / "model.onnx"))
    # LOCPATH hides the locales that are installed.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    environment |= {"LC_ALL": locale, "LOCPATH": str(tmp_path / "none"), "PYTHONUTF8": "1"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "model.onnx")]
    done = subprocess.run(
        command, input=json.dumps(texts), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == encoder.assemble(encoder.look_up(texts)).tolist()
