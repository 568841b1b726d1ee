from __future__ import annotations

import pytest

from lexport.errors import InputError
from lexport.serving.stores.oci.reference import is_loopback, parse

from ....refusals import refused

DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("oci://registry.example/topics:1.0", "registry.example", "topics", "1.0", ""),
        ("oci://127.0.0.1:5000/models/topics:v1_2-3", "127.0.0.1:5000", "models/topics", "v1_2-3", ""),
        ("oci://[::1]:5000/a/b/c:latest", "[::1]:5000", "a/b/c", "latest", ""),
        ("oci://localhost/a.b_c__d--e:1", "localhost", "a.b_c__d--e", "1", ""),
        (f"oci://registry.example/topics@{DIGEST}", "registry.example", "topics", "", DIGEST),
    ],
)
def test_parts_of_a_reference(text: str, registry: str, repository: str, tag: str, digest: str) -> None:
    found = parse(text)
    assert (found.registry, found.repository, found.tag, found.digest) == (registry, repository, tag, digest)
    assert str(found) == text


@pytest.mark.parametrize(
    "text",
    [
        "registry.example/topics:1.0",
        "http://registry.example/topics:1.0",
        "oci://registry.example/topics",
        "oci://registry.example:1.0",
        "oci://registry.example:99999/topics:1.0",
        "oci://registry.example:0/topics:1.0",
        "oci://[1:2]/topics:1.0",
        "oci:///topics:1.0",
        "oci://user:word@registry.example/topics:1.0",
        "oci://registry.example/Topics:1.0",
        "oci://registry.example/a//b:1.0",
        "oci://registry.example/../b:1.0",
        "oci://registry.example/topics:1.0+build.7",
        "oci://registry.example/topics:",
        f"oci://registry.example/topics:1.0@{DIGEST}",
        "oci://registry.example/topics@sha256:12",
        "oci://registry.example/topics@md5:0123456789abcdef",
        "oci://registry.example/topics:1.0?x=1",
        "oci://registry.example/topics:1.0\n",
        "oci://registry.example/topics:" + "1" * 129,
        "oci://registry.example/" + "a" * 600 + ":1",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with refused(InputError, "LX-SERVE-165", "oci://REGISTRY/REPOSITORY:TAG"):
        parse(text)


def test_a_tag_may_be_needed() -> None:
    with refused(InputError, "LX-SERVE-165", DIGEST):
        parse(f"oci://registry.example/topics@{DIGEST}", tagged=True)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_the_loopback_interface(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
