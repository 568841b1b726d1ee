"""Versions by name: what is found, what is the default, what cannot be removed."""

from __future__ import annotations

import pytest

from lexport.serving.embedded.addresses.answers import Failure
from lexport.serving.embedded.versions import Versions


@pytest.fixture
def known() -> Versions[int]:
    versions: Versions[int] = Versions()
    for number, (name, version) in enumerate((("b", "1"), ("a", "2"), ("b", "2"))):
        versions.put(name, version, number)
    return versions


def refused(failure: pytest.ExceptionInfo[Failure], status: int, kind: str) -> bool:
    return (failure.value.status, failure.value.kind) == (status, kind)


def test_the_first_version_of_a_name_is_its_default_until_another_is_made_so(known: Versions[int]) -> None:
    assert known.defaults == {"a": "2", "b": "1"}
    assert (known.find("b"), known.find("b", "2"), known.find("a")) == (0, 2, 1)
    known.make_default("b", "2")
    assert known.find("b") == 2
    assert list(known) == [("a", "2", 1), ("b", "1", 0), ("b", "2", 2)]


def test_what_is_put_again_is_known_anew_and_stays_the_default(known: Versions[int]) -> None:
    known.put("b", "1", 7)
    assert (known.find("b"), known.defaults["b"]) == (7, "1")


def test_the_default_of_several_versions_is_not_removed_and_the_last_one_takes_its_name_along(
    known: Versions[int],
) -> None:
    with pytest.raises(Failure) as caught:
        known.remove("b", "1")
    assert refused(caught, 403, "InvalidModelVersionException")
    known.remove("b", "2")
    known.remove("b", "1")
    assert known.defaults == {"a": "2"}
    with pytest.raises(Failure) as caught:
        known.find("b")
    assert refused(caught, 404, "ModelNotFoundException")


@pytest.mark.parametrize("action", ["find", "remove", "make_default"])
def test_what_is_not_known_is_refused(known: Versions[int], action: str) -> None:
    with pytest.raises(Failure) as caught:
        getattr(known, action)("a", "9")
    assert refused(caught, 404, "ModelVersionNotFoundException")
    with pytest.raises(Failure) as caught:
        getattr(known, action)("c", "1")
    assert refused(caught, 404, "ModelNotFoundException")
