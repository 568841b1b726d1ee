"""Plain values are read from pickles as they were saved; anything else is refused by its name, and nothing runs."""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.storage.pickled import reader, stack
from lexport.storage.pickled.reader import read_pickle

from ...refusals import refused

PROTOCOLS = range(6)
FILE = "vocabulary.pkl"

_NUMBERS = st.integers(-(1 << 62), 1 << 62) | st.booleans() | st.none() | st.floats(allow_nan=False)
_KEYS = st.recursive(
    st.text(max_size=8) | st.binary(max_size=8) | _NUMBERS,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
_PLAIN = st.recursive(
    st.text() | st.binary() | st.integers() | _NUMBERS | st.binary(max_size=9).map(bytearray),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(_KEYS, inner)
        | st.dictionaries(st.text(), inner).map(OrderedDict)
        | st.sets(_KEYS)
        | st.frozensets(_KEYS)
    ),
    max_leaves=30,
)


@settings(max_examples=80, deadline=None)
@given(value=_PLAIN, protocol=st.sampled_from(PROTOCOLS))
def test_a_plain_value_is_read_as_it_was_pickled(value: Any, protocol: int) -> None:
    found = read_pickle(pickle.dumps(value, protocol), FILE)
    # repr also tells True from 1 and an OrderedDict from a dictionary, where the order of sets does not differ.
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_vocabulary_is_read_by_any_protocol(protocol: int) -> None:
    words = OrderedDict((f"word{row}", row) for row in range(2000))
    shared = [words, words, {"é漢\U0001f600": (1, -1.5, 1 << 200)}]
    found = read_pickle(pickle.dumps(shared, protocol), FILE)
    assert found == shared
    assert found[0] is found[1]
    assert [type(one) for one in found[2]["é漢\U0001f600"]] == [int, float, int]


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=64), value=_PLAIN, protocol=st.sampled_from(PROTOCOLS), data=st.data())
def test_other_bytes_are_a_value_or_are_refused(content: bytes, value: Any, protocol: int, data: Any) -> None:
    whole = pickle.dumps(value, protocol)
    first, last = sorted(data.draw(st.tuples(st.integers(0, len(whole)), st.integers(0, len(whole)))))
    for spoiled in (content, whole[:first] + content + whole[last:], whole[:first], _shuffled(whole, data)):
        try:
            read_pickle(spoiled, FILE)
        except InputError as error:
            assert error.code.startswith("LX-IMPORT-0")  # noqa: PT017 - either is right


def _shuffled(whole: bytes, data: Any) -> bytes:
    """The opcodes of a pickle in another order."""
    places = [place for _, _, place in pickletools.genops(whole) if place is not None]
    parts = [whole[first:last] for first, last in zip(places, [*places[1:], len(whole)], strict=True)]
    return b"".join(data.draw(st.permutations(parts[:-1]))) + parts[-1]


class _Command:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_that_runs_a_command_is_refused_and_leaves_no_trace(protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    content = pickle.dumps({"word": [1, _Command(mark)]}, protocol)
    with refused(InputError, "LX-IMPORT-066", FILE, f"{os.name}.system"):
        read_pickle(content, FILE)
    assert not mark.exists()
    # The very same bytes do run for Python's own reader, or the test above shows nothing.
    assert b"system" in content


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Counter("abc"), "collections.Counter"),
        (Path("a").parts.count, "builtins.getattr"),
        (slice(1, 2), "builtins.slice"),
        (len, "builtins.len"),
        (complex(1, 2), "builtins.complex"),
    ],
)
def test_what_is_not_plain_is_named(value: Any, name: str, protocol: int) -> None:
    with refused(InputError, "LX-IMPORT-066", FILE, name):
        read_pickle(pickle.dumps([value], protocol), FILE)


def _recursive() -> bytes:
    value: list[Any] = []
    value.append({"itself": value})
    return pickle.dumps(value)


def _deep(levels: int) -> bytes:
    return b"]" * levels + b"a" * (levels - 1) + b"."


def _laughs() -> bytes:
    value: list[Any] = ["lol"]
    for _ in range(20):
        value = [value] * 10
    return pickle.dumps(value)


def _deep_key(levels: int) -> bytes:
    return b"}" + b")" + b"\x85" * levels + b"Ns."


def _wide_key() -> bytes:
    # Within one another, eight tuples of a hundred times the one before.
    tuples = b"0".join(b"(" + b"h\x00" * 100 + b"t" + b"q\x00" for _ in range(8))
    return b")q\x000}" + tuples + b"Ns."


@pytest.mark.parametrize(
    ("content", "code", "values"),
    [
        pytest.param(b"", "LX-IMPORT-061", ["damaged"], id="empty"),
        pytest.param(b"N", "LX-IMPORT-061", ["damaged"], id="without an end"),
        pytest.param(b"\xff.", "LX-IMPORT-061", ["damaged"], id="an opcode that there is not"),
        pytest.param(b"\x80\x09N.", "LX-IMPORT-061", ["protocol 9"], id="a later protocol"),
        pytest.param(b".", "LX-IMPORT-061", ["0 values"], id="no value"),
        pytest.param(b"NN.", "LX-IMPORT-061", ["2 values"], id="two values"),
        pytest.param(b"(N.", "LX-IMPORT-061", ["1 values"], id="an open container"),
        pytest.param(b"Na.", "LX-IMPORT-061", [], id="a list that is not there"),
        pytest.param(b"NNa.", "LX-IMPORT-061", ["NoneType", "list"], id="put into None"),
        pytest.param(b"}(Nu.", "LX-IMPORT-061", ["a key without a value"], id="a key alone"),
        pytest.param(b"h\x05.", "LX-IMPORT-061", ["remembered as 5"], id="not in the memo"),
        pytest.param(b"Np-3\n.", "LX-IMPORT-061", ["remembered as -3"], id="a negative place"),
        pytest.param(b"\x85.", "LX-IMPORT-061", ["a tuple"], id="a tuple of nothing"),
        pytest.param(b"NNR.", "LX-IMPORT-061", ["called"], id="None is called"),
        pytest.param(b"N}b.", "LX-IMPORT-061", ["NoneType"], id="attributes of None"),
        pytest.param(b"NN\x93.", "LX-IMPORT-061", ["a name"], id="a name that is no string"),
        pytest.param(b"U\x01\xe9.", "LX-IMPORT-061", ["Python 2", "ASCII"], id="short bytes of Python 2"),
        pytest.param(b"I" + b"9" * 5000 + b"\n.", "LX-IMPORT-061", [], id="a number of 5,000 digits"),
        pytest.param(b"S'caf\\xe9'\n.", "LX-IMPORT-061", ["ascii"], id="bytes of Python 2"),
        pytest.param(b"(" * 20_000 + b".", "LX-IMPORT-061", ["containers"], id="marks without end"),
        pytest.param(b"X" + struct.pack("<I", 1 << 31) + b"a.", "LX-IMPORT-061", [], id="a length beyond the end"),
        pytest.param(b"\x8d" + b"\xff" * 8 + b"a.", "LX-IMPORT-061", [], id="a length beyond all machines"),
        pytest.param(b"N.N.", "LX-IMPORT-064", ["2 bytes"], id="two pickles"),
        pytest.param(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.N.", "LX-IMPORT-063", [], id="torch before 1.6"),
        pytest.param(b"(ios\nsystem\n.", "LX-IMPORT-065", ["INST"], id="an instance"),
        pytest.param(b"\x82\x01.", "LX-IMPORT-065", ["EXT1"], id="the registry of copyreg"),
        pytest.param(b"ccollections\nOrderedDict\n)\x81.", "LX-IMPORT-065", ["NEWOBJ"], id="a new object"),
        pytest.param(b"\x97.", "LX-IMPORT-065", ["NEXT_BUFFER"], id="a buffer outside"),
        pytest.param(b"Pname\n.", "LX-IMPORT-068", [], id="a reference outside"),
        pytest.param(b"NQ.", "LX-IMPORT-068", [], id="another"),
        pytest.param(b"cos\nsystem\n.", "LX-IMPORT-066", ["os.system"], id="a name"),
        pytest.param(b"\x8c\x02os\x8c\x06system\x93.", "LX-IMPORT-066", ["os.system"], id="a name of strings"),
        pytest.param(b"cbuiltins\neval\n(S'1'\ntR.", "LX-IMPORT-066", ["builtins.eval"], id="eval"),
        pytest.param(b"c__builtin__\nset\n.", "LX-IMPORT-070", ["builtins.set"], id="a class as a value"),
        pytest.param(b"c_codecs\nencode\n(X\x01\0\0\0aX\x05\0\0\0utf-8tR.", "LX-IMPORT-067", [], id="an encoding"),
        pytest.param(b"cbuiltins\nbytearray\n(I1000000000\ntR.", "LX-IMPORT-067", [], id="a billion zeros"),
        pytest.param(b"ccollections\nOrderedDict\n](NNe\x85R.", "LX-IMPORT-067", ["pairs"], id="no pairs"),
        pytest.param(b"}]Ns.", "LX-IMPORT-069", ["list"], id="a list as a key"),
        pytest.param(b"\x8f(]\x90.", "LX-IMPORT-069", ["list"], id="a list in a set"),
        pytest.param(b"}L" + b"9" * 30 + b"L\nNs.", "LX-IMPORT-069", ["int"], id="a large number as a key"),
        pytest.param(_deep_key(100_000), "LX-IMPORT-069", ["tuple"], id="a deep key"),
        pytest.param(_wide_key(), "LX-IMPORT-069", ["tuple"], id="a wide key"),
        pytest.param(_recursive(), "LX-IMPORT-071", ["list"], id="part of itself"),
        pytest.param(_deep(100), "LX-IMPORT-072", ["65 deep"], id="100 deep"),
        pytest.param(_deep(100_000), "LX-IMPORT-072", ["65 deep"], id="100,000 deep"),
        pytest.param(_laughs(), "LX-IMPORT-072", ["written out"], id="a billion laughs"),
    ],
)
def test_a_hostile_pickle_is_refused(content: bytes, code: str, values: list[str]) -> None:
    with refused(InputError, code, FILE, *values):
        read_pickle(content, FILE)


def test_the_same_values_are_not_copied_again_and_again() -> None:
    numbers = pickle.dumps(list(range(10_000)), 2)[2:-1]
    content = b"\x80\x02(" + numbers + b"r\x10\x27\0\0" + b"cbuiltins\nset\nj\x10\x27\0\0\x85R" * 5_000 + b"l."
    with refused(InputError, "LX-IMPORT-061", FILE, "again and again"):
        read_pickle(content, FILE)


def test_a_pickle_has_limits_of_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LONGEST", 100)
    with refused(InputError, "LX-IMPORT-060", FILE, "101", "100"):
        read_pickle(b"N" * 101, FILE)
    monkeypatch.setattr(reader, "_MOST_OPCODES", 50)
    with refused(InputError, "LX-IMPORT-062", FILE, "50"):
        read_pickle(b"N" * 60, FILE)


def test_a_pickle_has_a_limit_of_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "_MOST_MADE", 30)
    assert read_pickle(b"]" * 30 + b"a" * 29 + b".", FILE)
    for many in (b"\x8f" * 31, b"N" + b"\x85" * 31, b"(N" * 31 + b"t" * 31, b"(l" * 31, b"(d" * 31, b"(\x91" * 31):
        with refused(InputError, "LX-IMPORT-400", FILE, "30"):
            read_pickle(many + b".", FILE)


def test_attributes_of_an_ordered_dictionary_are_left_out() -> None:
    value = OrderedDict(a=1)
    value._metadata = {"version": 1}  # type: ignore[attr-defined]
    found = read_pickle(pickle.dumps(value), FILE)
    assert found == {"a": 1}
    assert not hasattr(found, "_metadata")
