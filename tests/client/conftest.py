"""The servers that clients ask are those of the server tests."""

from __future__ import annotations

from ..serving.conftest import java as java
from ..serving.conftest import make_archive as make_archive
