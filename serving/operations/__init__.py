"""Change what a running server serves, and its tokens: deploy, promote, roll back, scale, undeploy, rotate."""

from .change import promote, rollback, scale
from .deploy import Change, deploy, undeploy
from .restore import has_record, serve_again
from .tokens import Rotated, rotate

__all__ = [
    "Change",
    "Rotated",
    "deploy",
    "has_record",
    "promote",
    "rollback",
    "rotate",
    "scale",
    "serve_again",
    "undeploy",
]
