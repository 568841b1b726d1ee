"""Ask a served model from Python: `Client`, `AsyncClient`, their answers and errors. Page: docs/client.md."""

from .answers import Answer, Contribution, Explanation, MultiLabelPrediction, Prediction, Scored, Vector
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
    "Client",
    "ClientError",
    "Contribution",
    "Explanation",
    "ModelFailed",
    "MultiLabelPrediction",
    "NoServer",
    "Prediction",
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
