"""Asserting that something is refused: by the kind of the error, its code, and the values that its message names.

Errors are those of the kit; a refusal is the answer to a request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from lexport.errors import LexportError
from lexport.handlers.request.refusals import Refusal

E = TypeVar("E", bound=LexportError | Refusal)


@contextmanager
def refused(kind: type[E], code: str, *values: object) -> Iterator[pytest.ExceptionInfo[E]]:
    """Context manager: an error of this kind and code is raised, and its message has these values in this order.

    What a message says beside its values is held by tests/docs/test_errors.py for every message at once.
    """
    with pytest.raises(kind) as caught:
        yield caught
    error: LexportError | Refusal = caught.value
    found = error.body["code"] if isinstance(error, Refusal) else error.code
    assert found == code, f"{found}: {error}"
    rest = str(caught.value)
    for value in map(str, values):
        assert value in rest, f"{value!r} is not in, or not in this place of: {caught.value}"
        rest = rest[rest.index(value) + len(value) :]
