"""The longest body of a request and of an answer: those of the server that runs this worker."""

from __future__ import annotations

import os

REQUEST_VARIABLE = "LEXPORT_MAX_REQUEST_SIZE"
RESPONSE_VARIABLE = "LEXPORT_MAX_RESPONSE_SIZE"

# TorchServe's own, where `lexport serve` has not set any.
_DEFAULT = "6553500"

MAX_REQUEST = int(os.environ.get(REQUEST_VARIABLE, _DEFAULT))
"""Most bytes of a request's body, uncompressed. TorchServe itself checks the size of what it receives."""

MAX_RESPONSE = int(os.environ.get(RESPONSE_VARIABLE, _DEFAULT))
"""Most bytes of an answer. TorchServe ends a worker whose answer is longer than its `max_response_size`."""
