"""Ask a served model from Python: `Client`, `AsyncClient`, their answers and errors. Page: docs/client.md."""

from .answers import Answer, Classification, Contribution, Explanation, Labelled, Scored, Vector
from .clients import AsyncClient, Client
from .errors import (
    ClientError,
    ModelFailed,
    NoServer,
    QueueFull,
    RefusedInput,
    TimedOut,
    Unauthorised,
    UnexpectedAnswer,
    UnknownModel,
    WorkerLost,
)

__all__ = [
    "Answer",
    "AsyncClient",
    "Classification",
    "Client",
    "ClientError",
    "Contribution",
    "Explanation",
    "Labelled",
    "ModelFailed",
    "NoServer",
    "QueueFull",
    "RefusedInput",
    "Scored",
    "TimedOut",
    "Unauthorised",
    "UnexpectedAnswer",
    "UnknownModel",
    "Vector",
    "WorkerLost",
]
