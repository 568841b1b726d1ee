"""Change what a running server serves: deploy, promote, roll back, scale, undeploy."""

from .change import promote, rollback, scale
from .deploy import Change, deploy, undeploy
from .restore import has_record, serve_again

__all__ = ["Change", "deploy", "has_record", "promote", "rollback", "scale", "serve_again", "undeploy"]
