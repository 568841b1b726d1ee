"""An HTTP/1.1 server for small answers: asyncio protocols on llhttp, for clients on the open internet."""

from .later import Later
from .limits import Limits
from .loop import new_event_loop
from .messages import JSON, Fields, Request, Response
from .room import Room
from .server import Counts, Server

__all__ = ["JSON", "Counts", "Fields", "Later", "Limits", "Request", "Response", "Room", "Server", "new_event_loop"]
