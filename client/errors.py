"""Errors between a client and a served model.

    ClientError             the request got no answer; `cause`, `remedy` and, where there was one, `status`
    ├── RefusedInput        the model does not take this request; `positions` of a list's bad elements
    ├── UnknownModel        no model of this name or version is served
    ├── Unauthorised        no token, a wrong one, or no key file to read one from
    ├── NoServer            no process listens, or the connection broke
    ├── QueueFull           no room now: a full queue, no worker yet, a proxy's limit; `retry_after` seconds
    ├── WorkerLost          the worker died while it had this request
    ├── TimedOut            no answer in time
    ├── ModelFailed         the model failed for this request
    └── UnexpectedAnswer    the answer does not have the form that lexport's archives give

The first two are InputErrors as well, the others SystemProblems, so that the command line has its exit codes.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError, LexportError, SystemProblem


class ClientError(LexportError):
    """The request got no answer. `cause` is the reason, `remedy` what to do, `status` the HTTP status if any."""

    code = "LX-CLIENT-010"

    def __init__(self, cause: str, remedy: str, status: int | None = None) -> None:
        """Join `cause` and `remedy`, a sentence each, to the message."""
        super().__init__(f"{cause} {remedy}")
        self.cause, self.remedy, self.status = cause, remedy, status


class RefusedInput(ClientError, InputError):
    """The model does not take this request; `positions` are a list's bad elements, if the model named some.

    `code` is the one that the model answered, such as LX-HTTP-024.
    """

    code = "LX-CLIENT-011"

    positions: Sequence[int] = ()


class UnknownModel(ClientError, InputError):
    """No model of this name or version is served."""

    code = "LX-CLIENT-012"


class Unauthorised(ClientError, SystemProblem):
    """The server wants another token."""

    code = "LX-CLIENT-013"


class NoServer(ClientError, SystemProblem):
    """No process listens at the address, or the connection broke before the answer arrived."""

    code = "LX-CLIENT-014"


class QueueFull(ClientError, SystemProblem):
    """The server has no room for the request now: a full queue, no worker, or a limit of clients."""

    code = "LX-CLIENT-015"

    retry_after: float | None = None
    """Seconds after which to send the request again, if the server or a proxy sent `Retry-After`."""


class WorkerLost(ClientError, SystemProblem):
    """The worker that had the request died."""

    code = "LX-CLIENT-016"


class TimedOut(ClientError, SystemProblem):
    """No answer in time."""

    code = "LX-CLIENT-017"


class ModelFailed(ClientError, SystemProblem):
    """The model or the server failed for this request."""

    code = "LX-CLIENT-018"


class UnexpectedAnswer(ClientError, SystemProblem):
    """The answer does not have the form that lexport's archives give."""

    code = "LX-CLIENT-019"
