"""The messages of the protocol files in `protocols/`, made from their compiled form without generated code.

`docs/generate` compiles the files. They are kept in a pool of their own, beside other packages that bring the same.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

COMPILED = Path(__file__).parent / "protocols" / "protocols.binpb"
"""What `protoc --descriptor_set_out` writes."""


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(COMPILED.read_bytes()).file:
        pool.Add(file)
    return pool


@cache
def message(name: str) -> Any:
    """Return the class of a message by its full name, such as `inference.ModelInferRequest`."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


def service(name: str) -> Any:
    """Return the description of a service by its full name."""
    return _pool().FindServiceByName(name)
